import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { mediaTypes } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';
import { isOwnAddress, isPublicHost } from '../../src/image/registry/address.ts';
import { parseChallenge } from '../../src/image/registry/auth.ts';
import { checkStep } from '../../src/image/registry/http.ts';
import { proxyFor, readProxies } from '../../src/image/registry/proxy.ts';
import { pullImage, type PullOptions } from '../../src/image/registry/pull.ts';
import { pushImage } from '../../src/image/registry/push.ts';
import type { ImageStore } from '../../src/image/store.ts';
import { failureOf, putImage, StoreFolder } from '../support/image-store.ts';
import { LyingRegistry } from '../support/lying-registry.ts';

const LAYER = randomBytes(3_000_000);
const OPTIONS: PullOptions = {
  findCredentials: () => Promise.resolve(undefined),
  retryDelayMs: 1,
  stallMs: 300,
};

describe('a registry that lies, stalls or sends away', () => {
  const folder = new StoreFolder();
  let registry: LyingRegistry;
  let store: ImageStore;
  let stores = 0;

  beforeEach(async () => {
    registry = await LyingRegistry.start();
    store = await folder.open(`store-${String(stores++)}`);
  });
  afterEach(() => registry.stop());
  after(() => folder.close());

  const pull = (options: PullOptions = {}): Promise<unknown> =>
    pullImage(store, `${registry.host}/app:1`, { ...OPTIONS, ...options });

  /** One line, no name, and after a prune nothing but what is worth going on with. */
  async function refused(message: RegExp, options: PullOptions = {}): Promise<void> {
    const text = await failureOf(pull(options));
    expect(text).to.match(message);
    expect(text).not.to.contain('\n');
    expect(store.list()).to.deep.equal([]);
    store.release();
    await store.prune();
    expect(readdirSync(join(store.folder, 'blobs/sha256'))).to.deep.equal([]);
    expect(readdirSync(join(store.folder, 'tmp')).filter((name) => !name.endsWith('.part'))).to.deep.equal(
      [],
    );
  }

  it('an honest one is believed, so that the rest means something', async () => {
    registry.put('1', LAYER);
    await pull();
    expect(store.list()).to.have.length(1);
  });

  it('another blob than the digest says is refused', async () => {
    const { layer } = registry.put('1', LAYER);
    registry.blobs.set(layer, Buffer.concat([LAYER.subarray(0, -1), Buffer.from([LAYER[0] ?? 0])]));
    await refused(/^sha256:.*: the content has another digest, sha256:/);
    expect(readdirSync(join(store.folder, 'tmp'))).to.deep.equal([]);
  });

  it('a longer blob is refused before it fills the disk', async () => {
    const { layer } = registry.put('1', LAYER);
    registry.handler = ({ url = '' }, response) => {
      if (!url.endsWith(layer)) return false;
      const more = (): void => void (response.write(LAYER, () => more()) || response);
      more();
      return true;
    };
    await refused(/is longer than its 3000000 bytes/);
  });

  it('a blob that ends early is asked for again from there, and refused when that leads nowhere', async () => {
    const { layer } = registry.put('1', LAYER);
    registry.blobs.set(layer, LAYER.subarray(0, 1_000_000));
    registry.handler = ({ url = '', headers }, response) => {
      if (!url.endsWith(layer) || headers.range === undefined) return false;
      response.writeHead(206, { 'content-range': `bytes ${headers.range.slice(6)}999999/1000000` }).end();
      return true;
    };
    await refused(/ends after 1000000 of 3000000 bytes/);
  });

  it('connections that break off cost nothing but the rest', async () => {
    const { layer } = registry.put('1', LAYER);
    let breaks = 0;
    registry.handler = ({ url = '', headers }, response) => {
      if (!url.endsWith(layer) || breaks === 3) return false;
      breaks++;
      const start = Number(/\d+/.exec(headers.range ?? '0')?.[0] ?? 0);
      const range = `bytes ${String(start)}-2999999/3000000`;
      response.writeHead(start === 0 ? 200 : 206, {
        'content-length': LAYER.length - start,
        'content-range': range,
      });
      response.write(LAYER.subarray(start, start + 500_000), () => response.destroy());
      return true;
    };
    await pull();
    const starts = registry.asked
      .filter((line) => line.includes(layer))
      .map((line) => Number(/bytes=(\d+)/.exec(line)?.[1] ?? 0));
    expect(starts).to.have.length(4);
    expect(starts).to.deep.equal([...starts].sort((a, b) => a - b));
    expect(starts[3]).to.be.greaterThan(0);
  });

  it('a pull that was ended is gone on with by the next one', async () => {
    const { layer } = registry.put('1', LAYER);
    registry.handler = ({ url = '' }, response) => {
      if (!url.endsWith(layer)) return false;
      response.writeHead(200, { 'content-length': LAYER.length });
      response.write(LAYER.subarray(0, 1_000_000));
      return true;
    };
    const controller = new AbortController();
    const ended = failureOf(
      pull({
        signal: controller.signal,
        stallMs: 60_000,
        onEvent: (event) => {
          if (event.type === 'progress' && event.doneBytes === 1_000_000)
            controller.abort(new Error('enough'));
        },
      }),
    );
    expect(await ended).to.equal('enough');
    registry.handler = () => false;
    store.release();
    await store.prune();
    registry.asked.length = 0;
    await pull();
    expect(registry.asked.filter((line) => line.includes(layer))).to.deep.equal([
      `GET /v2/app/blobs/${layer} bytes=1000000-`,
    ]);
  });

  it('one that knows no ranges is read over again, up to there', async () => {
    const { layer } = registry.put('1', LAYER);
    let isFirst = true;
    registry.handler = ({ url = '' }, response) => {
      if (!url.endsWith(layer)) return false;
      response.writeHead(200, { 'content-length': LAYER.length });
      if (isFirst) response.write(LAYER.subarray(0, 1_234_567), () => response.destroy());
      else response.end(LAYER);
      isFirst = false;
      return true;
    };
    await pull();
  });

  it('another range than asked for is refused', async () => {
    const { layer } = registry.put('1', LAYER);
    registry.handler = ({ url = '', headers }, response) => {
      if (!url.endsWith(layer)) return false;
      if (headers.range === undefined) {
        response.writeHead(200, { 'content-length': LAYER.length });
        response.write(LAYER.subarray(0, 1000), () => response.destroy());
      } else response.writeHead(206, { 'content-range': 'bytes 77-2999999/3000000' }).end(LAYER.subarray(77));
      return true;
    };
    await refused(/answers with another range|the connection broke off/);
  });

  for (const [what, part] of [
    ['a manifest', '/manifests/1'],
    ['a blob', '/blobs/'],
  ] as const) {
    it(`${what} that does not go on is given up, and not tried for ever`, async () => {
      registry.put('1', LAYER);
      registry.handler = ({ url = '' }, response) => {
        if (!url.includes(part)) return false;
        response.writeHead(200, { 'content-length': 1_000_000, 'content-type': mediaTypes.manifest });
        response.flushHeaders();
        return true;
      };
      await refused(/127\.0\.0\.1:\d+: nothing came for 0\.1 s/, { stallMs: 100 });
      expect(registry.asked.filter((line) => line.includes(part)).length).to.be.within(5, 10);
    });
  }

  it('one that answers with errors is asked again a few times, when it says', async () => {
    registry.put('1', LAYER);
    let errors = 3;
    registry.handler = ({ url = '' }, response) => {
      if (!url.includes('/manifests/') || errors === 0) return false;
      errors--;
      response.writeHead(errors === 2 ? 429 : 503, { 'retry-after': '0' }).end('busy');
      return true;
    };
    await pull();
    errors = 100;
    expect(await failureOf(pull())).to.match(
      /app: manifest 1: status 503 \(status 503\)|manifest 1: status 503/,
    );
    expect(errors).to.equal(95);
  });

  it('a huge manifest is refused while it comes', async () => {
    registry.handler = ({ url = '' }, response) => {
      if (!url.includes('/manifests/')) return false;
      response.writeHead(200, { 'content-type': mediaTypes.manifest });
      const spaces = Buffer.alloc(1_000_000, ' ');
      const more = (): void => void response.write(spaces, () => more());
      more();
      return true;
    };
    await refused(/manifest 1 is longer than 4194304 bytes/);
  });

  const layer = (size: number): object => ({ mediaType: mediaTypes.layer, digest: digestOf('x'), size });
  const manifests: readonly (readonly [string, string | object, RegExp, string?])[] = [
    ['is no JSON', 'hello', /the manifest is not JSON/],
    [
      'is of an old kind',
      '{"schemaVersion":1}',
      /"application\/vnd\.docker\.distribution\.manifest\.v1\+json" is no image/,
      'application/vnd.docker.distribution.manifest.v1+json',
    ],
    [
      'is an image and an index at once',
      { mediaType: mediaTypes.manifest, manifests: [], config: {}, layers: [] },
      /an image and an index at once/,
    ],
    [
      'says it is an index where the registry says image',
      { mediaType: mediaTypes.index, manifests: [] },
      /an image and an index at once/,
    ],
    [
      'lacks a field',
      { schemaVersion: 2, mediaType: mediaTypes.manifest, layers: [] },
      /manifest sha256:\w+: config: is required/,
    ],
    [
      'has a digest that leads out',
      {
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: { ...layer(1), digest: 'sha256:../../x' },
        layers: [],
      },
      /config\.digest: expected "sha256:"/,
    ],
    [
      'has a negative size',
      { schemaVersion: 2, mediaType: mediaTypes.manifest, config: layer(-1), layers: [] },
      /config\.size: expected an integer/,
    ],
    [
      'has a huge configuration',
      { schemaVersion: 2, mediaType: mediaTypes.manifest, config: layer(2 ** 40), layers: [] },
      /config: 1099511627776 bytes are too much/,
    ],
    [
      'has endless layers',
      {
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: layer(1),
        layers: Array.from({ length: 2000 }, () => layer(1)),
      },
      /layers: 2000 are more than 1024/,
    ],
    [
      'names a blob that is not there',
      { schemaVersion: 2, mediaType: mediaTypes.manifest, config: layer(1), layers: [] },
      /blob sha256:\w+ does not exist: NAME_UNKNOWN: nothing\\nhere/,
    ],
  ];
  for (const [what, content, message, type = mediaTypes.manifest] of manifests) {
    it(`a manifest that ${what} is refused`, async () => {
      registry.manifests.set('1', {
        type,
        data: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
      });
      await refused(message);
    });
  }

  it('a manifest that is not the one of the digest is refused', async () => {
    registry.put('1', LAYER);
    registry.handler = ({ url = '' }, response) => {
      if (url.includes('/manifests/')) response.setHeader('docker-content-digest', digestOf('other'));
      return false;
    };
    await refused(/manifest "sha256:\w+.*has another digest/);
    const name = `${registry.host}/app@${digestOf('other')}`;
    registry.handler = () => false;
    registry.manifests.set(digestOf('other'), { type: mediaTypes.manifest, data: Buffer.from('{}') });
    expect(await failureOf(pullImage(store, name, OPTIONS))).to.match(/has another digest/);
  });

  it('an index in an index without end is refused', async () => {
    registry.handler = ({ url = '' }, response, self) => {
      if (!url.includes('/manifests/1')) return false;
      let previous = { mediaType: mediaTypes.index, digest: digestOf('x'), size: 1 };
      let data = Buffer.alloc(0);
      for (let i = 0; i < 10; i++) {
        data = Buffer.from(
          JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [previous] }),
        );
        previous = { mediaType: mediaTypes.index, digest: digestOf(data), size: data.length };
        self.manifests.set(previous.digest, { type: mediaTypes.index, data });
      }
      response.setHeader('content-type', mediaTypes.index);
      response.end(data);
      return true;
    };
    await refused(/nested too deep/);
  });

  describe('credentials', () => {
    const ada = { type: 'password', username: 'ada', password: 's3cret' } as const;
    const asAda: PullOptions = { findCredentials: () => Promise.resolve(ada) };
    const wantsBasic = (response: ServerResponse): void => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };

    it('are not sent to where a blob is redirected', async () => {
      const other = await LyingRegistry.start();
      try {
        const { layer: digest } = registry.put('1', LAYER);
        other.put('1', LAYER);
        registry.handler = ({ url = '', headers }, response) => {
          if (headers.authorization === undefined) wantsBasic(response);
          else if (url.endsWith(digest))
            response.writeHead(307, { location: `http://${other.host}${url}` }).end();
          else return false;
          return true;
        };
        await pull(asAda);
        expect(other.asked).to.deep.equal([`GET /v2/app/blobs/${digest}`]);
        expect(other.headers[0]).not.to.have.property('authorization');
      } finally {
        await other.stop();
      }
    });

    it('are not sent to where an upload is sent away, nor answered for there', async () => {
      const other = await LyingRegistry.start();
      try {
        const image = await putImage(store, { layers: [[{ name: 'file', content: 'x' }]] });
        registry.handler = ({ method, headers }, response) => {
          if (headers.authorization === undefined) wantsBasic(response);
          else if (method === 'HEAD') response.writeHead(404).end();
          else if (method === 'POST')
            response.writeHead(202, { location: `http://${other.host}/upload` }).end();
          else response.writeHead(500).end();
          return true;
        };
        other.handler = (_, response) => {
          wantsBasic(response);
          return true;
        };
        const message = await failureOf(
          pushImage(store, `${registry.host}/app:1`, image, { ...OPTIONS, ...asAda }),
        );
        expect(message).to.match(/not allowed/);
        expect(other.headers.length).to.be.greaterThan(0);
        for (const headers of other.headers) expect(headers).not.to.have.property('authorization');
      } finally {
        await other.stop();
      }
    });

    it('are not asked for if nobody wants them', async () => {
      registry.put('1', LAYER);
      await pull({ findCredentials: () => Promise.reject(new Error('asked')) });
    });

    it('are not repeated when they are wrong', async () => {
      registry.handler = (_, response) => {
        wantsBasic(response);
        return true;
      };
      await refused(/manifest 1: not allowed: status 401/, asAda);
      expect(registry.asked.filter((line) => line.includes('manifests'))).to.have.length(2);
    });
  });

  it('redirects without end are refused', async () => {
    registry.handler = ({ url = '' }, response) => {
      if (!url.includes('/manifests/')) return false;
      response.writeHead(302, { location: url }).end();
      return true;
    };
    await refused(/redirects more than 5 times/);
  });
});

describe('where a registry may send us', () => {
  const steps: readonly (readonly [string, string, RegExp | undefined])[] = [
    ['https://8.8.8.8/', 'https://1.1.1.1/', undefined],
    ['https://8.8.8.8/', 'http://1.1.1.1/', /not encrypted/],
    ['https://8.8.8.8/', 'https://127.0.0.1/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://127.1/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://2130706433/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://localhost/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://[::1]/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://[::ffff:127.0.0.1]/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://[::ffff:a00:1]/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://10.1.2.3/', /an address of this host or its network/],
    [
      'https://8.8.8.8/',
      'https://169.254.169.254/latest/meta-data',
      /an address of this host or its network/,
    ],
    ['https://8.8.8.8/', 'https://[fe80::1]/', /an address of this host or its network/],
    ['https://8.8.8.8/', 'https://user:secret@1.1.1.1/', /with a password in it/],
    ['https://8.8.8.8/', 'file:///etc/passwd', /which is no web address/],
    ['https://10.0.0.1/', 'https://10.0.0.2/', undefined],
    ['https://10.0.0.1/', 'https://127.0.0.1/', /an address of this host/],
    ['http://10.0.0.1:5000/', 'http://10.0.0.1:5001/', undefined],
    ['http://10.0.0.1:5000/', 'http://10.0.0.2:5001/', /not encrypted/],
    ['http://127.0.0.1:5000/', 'http://127.0.0.1:6000/', undefined],
    ['http://127.0.0.1:5000/', 'http://8.8.8.8/', /not encrypted/],
  ];
  for (const [from, to, message] of steps) {
    it(`${from} ${message === undefined ? 'to' : 'not to'} ${to}`, async () => {
      const step = checkStep(new URL(from), new URL(to));
      if (message === undefined) await step;
      else {
        const text = await failureOf(step);
        expect(text)
          .to.match(message)
          .and.match(/: not followed$/);
        expect(text).not.to.contain('secret');
      }
    });
  }

  it('tells public addresses from others', async () => {
    for (const own of [
      '0.0.0.0',
      '192.168.1.1',
      '172.31.0.1',
      '100.64.0.1',
      '224.0.0.1',
      '::',
      'fd00::1',
      'ff02::1',
      'x',
    ]) {
      expect(isOwnAddress(own), own).to.equal(true);
    }
    for (const other of ['8.8.8.8', '172.32.0.1', '2001:4860:4860::8888', '::ffff:8.8.8.8']) {
      expect(isOwnAddress(other), other).to.equal(false);
    }
    expect(await isPublicHost('localhost')).to.equal(false);
  });

  it('reads challenges as they come', () => {
    expect(
      parseChallenge('Bearer realm="https://a/token",service="b c",scope="repository:x:pull,push"'),
    ).to.deep.equal({
      scheme: 'bearer',
      realm: 'https://a/token',
      service: 'b c',
      scope: 'repository:x:pull,push',
    });
    expect(parseChallenge('basic realm=x')).to.deep.equal({ scheme: 'basic', realm: 'x' });
    expect(parseChallenge('Negotiate')).to.equal(undefined);
  });

  it('takes proxies from the environment, but never for this host', () => {
    const proxies = readProxies({
      HTTPS_PROXY: 'proxy:3128',
      http_proxy: 'http://p:1',
      NO_PROXY: 'a.example, .b.example:443',
    });
    const to = (url: string): string | undefined => proxyFor(new URL(url), proxies);
    expect(to('https://c.example/')).to.equal('http://proxy:3128');
    expect(to('http://c.example/')).to.equal('http://p:1');
    for (const direct of [
      'https://a.example',
      'https://x.a.example',
      'https://x.b.example',
      'http://127.0.0.1:5000',
      'http://localhost',
      'http://[::1]',
    ]) {
      expect(to(direct), direct).to.equal(undefined);
    }
    expect(to('https://x.b.example:8443')).to.equal('http://proxy:3128');
    expect(to('https://nota.example')).to.equal('http://proxy:3128');
  });
});
