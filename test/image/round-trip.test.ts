/** An image of our own build goes to engines and registries and comes back, by the installed program. */
import { expect } from 'chai';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Playground } from '../support/bundle.ts';
import { Containerd } from '../support/containerd.ts';
import { Dockerd } from '../support/dockerd.ts';
import { GREETING, writeImage } from '../support/images.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { TestRegistry } from '../support/registry.ts';

const RUN =
  'RUN tr a-z A-Z < /etc/copied > /etc/made && ln -s made /etc/link && chown alice:video /etc/made && chmod 640 /etc/made && rm /etc/layer';
/** What it has done, seen from inside. */
const LOOK = [
  'sh',
  '-c',
  'pwd; echo $BUILT; cat /etc/link; stat -c "%n %a %u:%g" /etc/made /etc/copied; ls /etc/layer',
];
const SEEN = '/work\nyes\nCOPIED\n/etc/made 640 1000:44\n/etc/copied 644 5:6\n';

describe('images between runnc, engines and registries', function () {
  this.timeout(180_000);
  const host = new Playground();
  const store = join(host.folder, 'images');
  const saved = join(host.folder, 'saved.tar');

  before(async () => {
    const file = join(host.folder, 'in.tar');
    await writeLinuxArchive(file, { name: 'base:1' });
    await verb('load', '-i', file);
    const context = join(host.folder, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'copied'), 'copied\n');
    const lines = ['FROM base:1', 'COPY --chown=5:6 copied /etc/', RUN, 'ENV BUILT=yes', 'WORKDIR /work', ''];
    writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
    await verb('build', '--quiet', '--tag', 'linux:1', context);
    await writeImage(file);
    await verb('load', '-i', file);
  });
  after(() => host.close());

  async function verb(name: string, ...args: readonly string[]): Promise<string> {
    return (await call(name, args)).stdout;
  }

  async function call(
    name: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ stdout: string; stderr: string }> {
    const result = await host.runnc([name, '--store', store, ...args], { env: { ...process.env, ...env } });
    expect(result.status, result.stderr).to.equal(0);
    return result;
  }

  /** Builds from standard input, `FROM from` with a file more; the digest. */
  async function build(
    from: string,
    args: readonly string[],
    { env = {}, into = store }: { env?: NodeJS.ProcessEnv; into?: string } = {},
  ): Promise<string> {
    const context = join(host.folder, 'empty');
    mkdirSync(context, { recursive: true });
    const { status, stdout, stderr } = await host.runnc(
      ['build', '--store', into, '--quiet', '--file', '-', ...args, context],
      { env: { ...process.env, ...env }, input: `FROM ${from}\nCOPY <<EOF /etc/more\nmore\nEOF\n` },
    );
    expect(status, stderr).to.equal(0);
    return stdout.trim();
  }

  const MORE = ['cat', '/etc/motd', '/etc/more'];
  const SAID = 'from the image\nmore\n';

  async function digestOf(name: string, folder = store): Promise<{ digest: string; id: string }> {
    const { stdout } = await host.runnc(['images', '--store', folder, '-f', 'json', name]);
    const [image] = JSON.parse(stdout) as { digest: string; id: string }[];
    if (image === undefined) throw new Error(`no image ${name}`);
    return { digest: image.digest, id: image.id };
  }

  describe('docker', () => {
    let docker: Dockerd;
    before(async () => (docker = await Dockerd.start()));
    after(() => docker.stop());

    for (const format of ['docker-archive', 'oci-archive'] as const) {
      // Docker of before 25 reads the older form alone.
      const how = format === 'oci-archive' ? 'refuses or takes' : 'takes';
      it(`${how} what is saved as ${format}, and runs it with runnc and runc`, async () => {
        await docker.try(['rmi', '--force', 'linux:1']);
        await verb('save', '--output', saved, '--format', format, 'linux:1', 'probes');
        const { status, stdout, stderr } = await docker.try(['load', '--input', saved]);
        if (format === 'oci-archive' && status !== 0) {
          expect(stderr).to.contain('no such file');
          return;
        }
        expect(stdout, stderr).to.contain('Loaded image: linux:1').and.contain('probes:latest');
        const { id } = await digestOf('linux:1');
        if (format === 'docker-archive') expect(await docker.inspect('linux:1', '.Id')).to.contain(id);
        for (const runtime of ['runnc', 'runc']) {
          const args = ['run', '--rm', '--network=none', '--runtime', runtime, 'linux:1'];
          expect(await docker.docker(...args)).to.equal('from the image');
          const { stdout, stderr } = await docker.try([...args, ...LOOK]);
          expect(stdout, stderr).to.equal(SEEN);
          expect(stderr).to.contain('/etc/layer: No such file or directory');
        }
        expect(await docker.docker('run', '--rm', '--network=none', 'probes')).to.contain(GREETING);
      });
    }

    it('gives an image that it has by its socket, with the same configuration', async () => {
      await verb('save', '-o', saved, 'linux:1');
      await docker.docker('load', '--input', saved);
      const env = { DOCKER_HOST: `unix://${docker.folder}/docker.sock` };
      const { stdout } = await call('run', ['--rm', 'docker-daemon:linux:1'], env);
      expect(stdout).to.equal('from the image\n');
      const none = await host.runnc(['run', '--store', store, 'docker-daemon:nothing:1'], {
        env: { ...process.env, ...env },
      });
      expect([none.status, none.stderr]).to.deep.equal([
        125,
        'docker-daemon:nothing:1 does not exist there: see "docker images"\n',
      ]);
      // What docker itself saves comes back as the image that it was.
      const file = join(host.folder, 'docker.tar');
      await docker.docker('save', '--output', file, 'linux:1');
      const other = join(host.folder, 'from-docker');
      await host.runnc(['load', '--store', other, '-i', file]);
      expect((await digestOf('linux:1', other)).id).to.equal((await digestOf('linux:1')).id);
      rmSync(other, { recursive: true });
    });

    it('gets what is built with --load, from an image that it has', async () => {
      await verb('save', '-o', saved, 'linux:1');
      await docker.docker('load', '--input', saved);
      const env = { DOCKER_HOST: `unix://${docker.folder}/docker.sock` };
      const idFile = join(host.folder, 'id');
      const from = 'docker-daemon:linux:1';
      await build(from, ['--tag', 'loaded:1', '--load', '--iidfile', idFile], { env });
      expect(await docker.inspect('loaded:1', '.Id')).to.equal(readFileSync(idFile, 'utf8'));
      const ran = await docker.docker('run', '--rm', '--network=none', '--runtime=runc', 'loaded:1', ...MORE);
      expect(`${ran}\n`).to.equal(SAID);
    });

    it('that does not listen is an error in one line', async () => {
      const env = { ...process.env, DOCKER_HOST: 'unix:///not/there.sock' };
      const { status, stderr } = await host.runnc(['run', '--store', store, 'docker-daemon:x:1'], { env });
      expect([status, stderr]).to.deep.equal([125, 'docker: /not/there.sock: no dockerd listens there\n']);
    });
  });

  describe('containerd', () => {
    let containerd: Containerd;
    before(async () => (containerd = await Containerd.start()));
    after(() => containerd.stop());

    for (const format of ['docker-archive', 'oci-archive'] as const) {
      it(`takes what is saved as ${format} and runs it, the digest unchanged`, async () => {
        const name = `docker.io/library/linux:${format}`;
        await verb('tag', 'linux:1', name);
        await verb('save', '-o', saved, '--format', format, name);
        await containerd.import(saved);
        const { digest } = await digestOf(name);
        const line = (await containerd.ctr('image', 'list'))
          .split('\n')
          .find((text) => text.startsWith(name));
        expect(line).to.contain(digest);
        const { stdout, stderr } = await containerd.runImage(name, `store-${format}`, ['--rm'], LOOK);
        expect(stdout, stderr).to.equal(SEEN);
      });
    }

    it('gives an image that it has', async () => {
      const name = 'docker.io/library/linux:1';
      await verb('save', '-o', saved, name);
      await containerd.import(saved);
      const env = {
        CONTAINERD_ADDRESS: join(containerd.folder, 'c.sock'),
        CONTAINERD_NAMESPACE: containerd.namespace,
      };
      expect((await call('run', ['--rm', `containerd:${name}`], env)).stdout).to.equal('from the image\n');
      await build(`containerd:${name}`, ['--tag', 'from-containerd'], { env });
      expect((await call('run', ['--rm', 'from-containerd', ...MORE])).stdout).to.equal(SAID);
      const none = await host.runnc(['run', '--store', store, 'containerd:docker.io/library/nothing:1'], {
        env: { ...process.env, ...env },
      });
      expect(none.status).to.equal(125);
      expect(none.stderr.trim())
        .to.match(/^containerd: ctr image export .*: .*not found/)
        .and.not.contain('\n');
    });
  });

  describe('a registry', () => {
    let registry: TestRegistry;
    const config = join(host.folder, 'docker-config');
    const as = { DOCKER_CONFIG: config };
    before(async () => (registry = await TestRegistry.start({ users: { ada: 's3cret' } })));
    after(() => registry.stop());

    it('that asks nobody for a name gives back what it got, with the same digest', async () => {
      const open = await TestRegistry.start();
      try {
        const name = `${open.host}/linux:1`;
        const { digest } = await digestOf('linux:1');
        expect(await verb('push', 'linux:1', name)).to.equal(`Digest: ${digest}\nPushed: ${name}\n`);
        const other = join(host.folder, 'pulled-openly');
        const pull = await host.runnc(['pull', '--store', other, name]);
        expect([pull.stdout, pull.stderr]).to.deep.equal([`Digest: ${digest}\nPulled: ${name}\n`, '']);
        const run = await host.runnc(['run', '--store', other, '--rm', name, ...LOOK]);
        expect(run.stdout, run.stderr).to.equal(SEEN);

        // Built from what is there, and pushed at once; then from the newer one that is there now.
        const built = `${open.host}/built:1`;
        const into = join(host.folder, 'building');
        const pushed = await build(name, ['--tag', built, '--push'], { into });
        const there = await host.runnc(['pull', '--store', other, built]);
        expect(there.stdout).to.equal(`Digest: ${pushed}\nPulled: ${built}\n`);
        await verb('push', 'linux:1', built);
        expect(await build(built, [], { into })).not.to.equal(pushed);
        expect(await build(built, ['--pull'], { into })).to.equal(pushed);
      } finally {
        await open.stop();
      }
    });

    it('gives back what it got, to who is logged in, with the same digest', async () => {
      const name = `${registry.host}/team/linux:1`;
      const denied = await host.runnc(['push', '--store', store, 'linux:1', name], {
        env: { ...process.env, ...as },
      });
      expect(denied.status).to.equal(1);
      expect(denied.stderr).to.match(/not allowed: .*see "runnc login/);
      const wrong = await host.runnc(['login', '-u', 'ada', '--password-stdin', registry.host], {
        env: { ...process.env, ...as },
        input: 'wrong\n',
      });
      expect([wrong.status, wrong.stderr.includes('not allowed')]).to.deep.equal([1, true]);
      const login = await host.runnc(['login', '-u', 'ada', '--password-stdin', registry.host], {
        env: { ...process.env, ...as },
        input: 's3cret\n',
      });
      expect([login.status, login.stdout]).to.deep.equal([0, 'Login succeeded\n']);
      const { digest } = await digestOf('linux:1');
      expect((await call('push', ['linux:1', name], as)).stdout).to.equal(
        `Digest: ${digest}\nPushed: ${name}\n`,
      );
      const other = join(host.folder, 'pulled');
      const pull = await host.runnc(['pull', '--store', other, name], { env: { ...process.env, ...as } });
      expect([pull.stdout, pull.stderr]).to.deep.equal([`Digest: ${digest}\nPulled: ${name}\n`, '']);
      const run = await host.runnc(['run', '--store', other, '--rm', '--pull=always', name], {
        env: { ...process.env, ...as },
      });
      expect(run.stdout, run.stderr).to.equal('from the image\n');
      const logout = await host.runnc(['logout', registry.host], { env: { ...process.env, ...as } });
      expect(logout.stdout).to.equal(`Credentials for ${registry.host} are removed\n`);
    });
  });

  it('outputs of a build run, and are built from, each of them', async () => {
    const out = (name: string): string => join(host.folder, `out-${name}`);
    const outputs = ['oci', 'oci-archive', 'docker', 'dir'].map(
      (type) => `--output=type=${type},dest=${out(type)}`,
    );
    const digest = await build('linux:1', outputs);
    const sources = [
      `oci:${out('oci')}`,
      `oci-archive:${out('oci-archive')}`,
      `docker-archive:${out('docker')}`,
    ];
    const again = new Set<string>();
    for (const source of sources) {
      expect((await call('run', ['--rm', source, ...MORE])).stdout).to.equal(SAID);
      const built = out(`built-${String(again.size)}`);
      again.add(await build(source, [`--output=type=oci,dest=${built}`]));
      expect((await call('run', ['--rm', `oci:${built}`, ...MORE])).stdout).to.equal(SAID);
    }
    // Wherever it comes from, it is the same image.
    expect(again.size).to.equal(1);
    const index = JSON.parse(readFileSync(join(out('oci'), 'index.json'), 'utf8')) as {
      manifests: { digest: string }[];
    };
    expect(index.manifests.map((entry) => entry.digest)).to.deep.equal([digest]);
    expect(readFileSync(join(out('dir'), 'etc/more'), 'utf8')).to.equal('more\n');
    expect(statSync(join(out('dir'), 'etc/made')).uid).to.equal(1000);
  });

  it('a proxy of the environment is asked for other hosts, and not for this one', async () => {
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(404).end();
    }).on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}`;
    const env = { ...process.env, HTTPS_PROXY: url, HTTP_PROXY: url, NO_PROXY: '' };
    const far = await host.runnc(['pull', '--insecure', '--store', store, 'registry.example/app'], { env });
    expect([far.status, far.stderr]).to.deep.equal([
      1,
      'registry.example/app: manifest latest does not exist: status 404\n',
    ]);
    expect(asked).to.deep.equal(['registry.example:443', 'http://registry.example/v2/app/manifests/latest']);
    asked.length = 0;
    const near = await host.runnc(['pull', '--store', store, '127.0.0.1:4/app'], { env });
    expect(near.stderr).to.equal('127.0.0.1:4: nobody listens there\n');
    expect(asked).to.deep.equal([]);
    proxy.close();
    proxy.closeAllConnections();
  });
});
