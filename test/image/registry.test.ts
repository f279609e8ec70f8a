import { expect } from 'chai';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mediaTypes, type Descriptor } from '../../src/image/descriptor.ts';
import {
  findCredentials,
  removeCredentials,
  storeCredentials,
} from '../../src/image/registry/credentials.ts';
import { pullImage } from '../../src/image/registry/pull.ts';
import { pushImage } from '../../src/image/registry/push.ts';
import type { CopyEvent } from '../../src/image/copy.ts';
import type { ImageStore } from '../../src/image/store.ts';
import { failureOf, putImage, StoreFolder } from '../support/image-store.ts';
import { TestRegistry } from '../support/registry.ts';
import { TokenServer } from '../support/token-server.ts';

const noCredentials = { findCredentials: () => Promise.resolve(undefined), retryDelayMs: 1 };

describe('a real registry', () => {
  const folder = new StoreFolder();
  let registry: TestRegistry;
  let store: ImageStore;
  let image: Descriptor;

  before(async () => {
    registry = await TestRegistry.start();
    store = await folder.open();
    image = await putImage(store, {
      layers: [
        [{ name: 'big', content: Buffer.alloc(9 * 2 ** 20, 'runnc') }],
        [{ name: 'small', content: 'x' }],
      ],
      config: { Cmd: ['/small'] },
    });
  });
  after(async () => {
    await registry.stop();
    folder.close();
  });

  it('gets an image and gives it back with the same digests', async () => {
    const name = `${registry.host}/team/app:1`;
    await pushImage(store, name, image, noCredentials);
    const other = await folder.open('other');
    const pulled = await pullImage(other, name, noCredentials);
    expect(pulled).to.deep.equal(image);
    expect(await other.resolve(name)).to.deep.equal(image);
    expect(other.missingPart(image)).to.equal(undefined);
  });

  it('is not sent what it has, and takes over what a neighbour has', async () => {
    const events: CopyEvent[] = [];
    const onEvent = (event: CopyEvent): void => void events.push(event);
    await pushImage(store, `${registry.host}/team/app:2`, image, { ...noCredentials, onEvent });
    expect(events.map(({ type }) => type)).to.deep.equal(['there', 'there', 'there']);
    await store.tag(`${registry.host}/team/app:2`, image);
    events.length = 0;
    await pushImage(store, `${registry.host}/team/other:1`, image, { ...noCredentials, onEvent });
    expect(events.filter(({ type }) => type === 'progress')).to.deep.equal([]);
  });

  it('gives of several platforms the one that is asked for, or all', async () => {
    const foreign = await putImage(store, {
      layers: [[{ name: 'arm', content: 'x' }]],
      platform: { os: 'linux', architecture: 'arm64' },
    });
    const index = await store.putJson(mediaTypes.index, {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [
        { ...foreign, platform: { os: 'linux', architecture: 'arm64' } },
        { ...image, platform: { os: 'linux', architecture: 'amd64' } },
      ],
    });
    const name = `${registry.host}/multi:1`;
    await pushImage(store, name, index, noCredentials);
    const other = await folder.open('platforms');
    expect((await pullImage(other, name, noCredentials)).digest).to.equal(image.digest);
    const arm = { os: 'linux', architecture: 'arm64' };
    expect((await pullImage(other, name, { ...noCredentials, platform: arm })).digest).to.equal(
      foreign.digest,
    );
    expect(await pullImage(other, name, { ...noCredentials, platform: 'all' })).to.deep.equal(index);
    const riscv = { os: 'linux', architecture: 'riscv64' };
    expect(await failureOf(pullImage(other, name, { ...noCredentials, platform: riscv }))).to.match(
      /an image for linux\/riscv64 does not exist, only for linux\/arm64, linux\/amd64/,
    );
    const byDigest = `${registry.host}/multi@${index.digest}`;
    expect((await pullImage(other, byDigest, noCredentials)).digest).to.equal(image.digest);
  });

  it('that has no such image says so', async () => {
    const message = await failureOf(pullImage(store, `${registry.host}/nothing:1`, noCredentials));
    expect(message).to.match(/nothing: manifest 1 does not exist: MANIFEST_UNKNOWN/);
  });

  it('that nobody runs is an error in one line', async () => {
    const message = await failureOf(pullImage(store, '127.0.0.1:4/app', noCredentials));
    expect(message).to.match(/^127\.0\.0\.1:4: nobody listens there$/);
  });
});

describe('a registry that wants to know who asks', () => {
  const folder = new StoreFolder();
  let store: ImageStore;
  let image: Descriptor;

  before(async () => {
    store = await folder.open();
    image = await putImage(store, { layers: [[{ name: 'file', content: 'x' }]] });
  });
  after(() => folder.close());

  function config(name: string, value: object): string {
    const file = join(folder.folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(value));
    return file;
  }

  describe('by password', () => {
    let registry: TestRegistry;
    before(async () => (registry = await TestRegistry.start({ users: { ada: 's3cret:x' } })));
    after(() => registry.stop());

    it('gets it from docker config.json', async () => {
      const auth = Buffer.from('ada:s3cret:x').toString('base64');
      for (const [i, key] of [
        registry.host,
        `http://${registry.host}`,
        `https://${registry.host}/v1/`,
      ].entries()) {
        const file = config(`auths-${String(i)}`, { auths: { [key]: { auth } }, HttpHeaders: { a: 'b' } });
        const findOwn = () => findCredentials(registry.host, file);
        const name = `${registry.host}/app:${String(i)}`;
        await pushImage(store, name, image, { findCredentials: findOwn });
        expect(await pullImage(store, name, { findCredentials: findOwn })).to.deep.equal(image);
      }
    });

    it('gets it from a credential helper, which has the first word', async () => {
      const bin = join(folder.folder, 'bin');
      mkdirSync(bin);
      const program = join(bin, 'docker-credential-test');
      writeFileSync(
        program,
        `#!/bin/sh\nread server\n[ "$1 $server" = "get ${registry.host}" ] || { echo "credentials not found in native keychain"; exit 1; }\necho '{"ServerURL":"x","Username":"ada","Secret":"s3cret:x"}'\n`,
      );
      chmodSync(program, 0o755);
      const path = process.env['PATH'];
      process.env['PATH'] = `${bin}:${path ?? ''}`;
      try {
        for (const [i, value] of [
          { credsStore: 'test' },
          { credHelpers: { [registry.host]: 'test' } },
        ].entries()) {
          const file = config(`helper-${String(i)}`, { ...value, auths: { [registry.host]: {} } });
          const findOwn = () => findCredentials(registry.host, file);
          expect(
            await pullImage(store, `${registry.host}/app:0`, { findCredentials: findOwn }),
          ).to.deep.equal(image);
          expect(await findCredentials('elsewhere.example', file)).to.equal(undefined);
        }
      } finally {
        process.env['PATH'] = path;
      }
      const missing = config('helper-missing', { credsStore: 'is-not-there' });
      expect(await failureOf(findCredentials('a.example', missing))).to.contain(
        'docker-credential-is-not-there is not installed',
      );
      const evil = config('helper-evil', { credsStore: '../../bin/sh' });
      expect(await failureOf(findCredentials('a.example', evil))).to.contain(
        'no name of a credential helper',
      );
    });

    it('refuses in one line who has none or a wrong one', async () => {
      const name = `${registry.host}/app:0`;
      expect(await failureOf(pullImage(store, name, noCredentials))).to.match(
        /not allowed: UNAUTHORIZED: .* \(status 401\): see "runnc login 127\.0\.0\.1/,
      );
      const wrong = { type: 'password', username: 'ada', password: 'wrong' } as const;
      const message = await failureOf(
        pullImage(store, name, { findCredentials: () => Promise.resolve(wrong) }),
      );
      expect(message).to.contain('not allowed').and.not.to.contain('wrong');
    });

    it('is remembered and forgotten in docker config.json, which keeps what else is in it', async () => {
      const file = config('login', { HttpHeaders: { a: 'b' } });
      await storeCredentials(registry.host, { username: 'ada', password: 's3cret:x' }, file);
      expect(await findCredentials(registry.host, file)).to.deep.include({
        username: 'ada',
        password: 's3cret:x',
      });
      expect(await removeCredentials(registry.host, file)).to.equal(true);
      expect(await removeCredentials(registry.host, file)).to.equal(false);
      const { readFileSync } = await import('node:fs');
      expect(JSON.parse(readFileSync(file, 'utf8'))).to.deep.equal({ HttpHeaders: { a: 'b' }, auths: {} });
    });

    it('says where docker config.json is wrong, and never shows what is in it', async () => {
      const file = config('wrong', { auths: { 'a.example': { auth: 7 } } });
      expect(await failureOf(findCredentials('a.example', file))).to.match(
        /wrong\.json: auths\["a\.example"\]\.auth: expected a string/,
      );
      writeFileSync(file, '{"auths": s3cret');
      expect(await failureOf(findCredentials('a.example', file)))
        .to.match(/is no JSON object/)
        .and.not.contain('s3cret');
    });
  });

  describe('by token', () => {
    let tokens: TokenServer;
    let registry: TestRegistry;
    before(async () => {
      tokens = await TokenServer.start({ ada: 's3cret' });
      registry = await TestRegistry.start({ token: tokens });
    });
    after(async () => {
      await registry.stop();
      await tokens.stop();
    });

    it('gets one for a password, with no more rights than are needed', async () => {
      const ada = { type: 'password', username: 'ada', password: 's3cret' } as const;
      const as = { findCredentials: () => Promise.resolve(ada) };
      const name = `${registry.host}/team/app:1`;
      await pushImage(store, name, image, as);
      tokens.asked.length = 0;
      expect(await pullImage(store, name, as)).to.deep.equal(image);
      expect(tokens.asked).to.deep.equal(['ada repository:team/app:pull']);
      await store.tag(name, image);
      tokens.asked.length = 0;
      await pushImage(store, `${registry.host}/team/other:1`, image, as);
      expect(tokens.asked).to.include('ada repository:team/other:pull,push repository:team/app:pull');
    });

    it('gets one for a refresh token', async () => {
      const token = { type: 'identity-token', token: 'refresh-ada' } as const;
      const as = { findCredentials: () => Promise.resolve(token) };
      expect(await pullImage(store, `${registry.host}/team/app:1`, as)).to.deep.equal(image);
    });

    it('gives none to strangers', async () => {
      const eve = { type: 'password', username: 'eve', password: 'x' } as const;
      const message = await failureOf(
        pullImage(store, `${registry.host}/team/app:1`, { findCredentials: () => Promise.resolve(eve) }),
      );
      expect(message).to.match(/gives no token with the credentials of docker config\.json \(status 401\)/);
    });
  });
});
