/** Volumes of `runnc run IMAGE`: named ones that stay, an image's own and those without a name that go with the container. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';

describe('volumes of an image', function () {
  this.timeout(120_000);
  const host = new Playground();
  const store = join(host.folder, 'images');
  const volume = (name: string): string => join(store, 'volumes', name);
  const own = (): string[] => {
    const folder = join(store, 'containers');
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  before(async () => {
    await load('plain:1', {});
    await load('own:1', { Volumes: { '/data': {}, '/new/place': {} } });
  });
  afterEach(async () => {
    for (const id of readdirSync(host.root).filter((name) => !name.startsWith('@'))) {
      await host.runnc(['delete', '--force', id]);
    }
    expect(own()).to.deep.equal([]);
  });
  after(() => host.close());

  async function load(name: string, config: object): Promise<void> {
    const file = join(host.folder, 'image.tar');
    await writeLinuxArchive(file, {
      name,
      config,
      entries: [
        { name: 'data', type: 'directory', mode: 0o2751, uid: 7, gid: 8 },
        { name: 'data/seed', content: 'seed\n', mode: 0o640, uid: 9, gid: 10 },
        { name: 'data/sub', type: 'directory', mode: 0o700 },
        { name: 'data/sub/hard', type: 'link', linkname: 'data/seed' },
        { name: 'data/out', type: 'symlink', linkname: '/etc/motd' },
        { name: 'inside', type: 'symlink', linkname: '../../data' },
        { name: 'outside', type: 'symlink', linkname: '/usr/share' },
      ],
    });
    const { status, stderr } = await host.runnc(['load', '--store', store, '-q', '-i', file]);
    expect(status, stderr).to.equal(0);
  }

  async function prints(args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await host.runnc(['run', '--store', store, ...args]);
    expect([status, stderr]).to.deep.equal([0, '']);
    return stdout;
  }

  it('a new named one begins with what the image has there, and keeps its changes', async () => {
    const look = ['sh', '-c', 'cat /data/seed && stat -c "%a %u:%g" /data /data/seed'];
    const begin = 'seed\n2751 7:8\n640 9:10\n';
    expect(await prints(['--rm', '-v', 'named:/data', 'plain:1', ...look])).to.equal(begin);
    const [seed, hard] = ['seed', 'sub/hard'].map((name) => statSync(join(volume('named'), name)));
    expect(hard?.ino).to.equal(seed?.ino);
    expect(
      await prints(['--rm', '-v', 'named:/data', 'plain:1', 'sh', '-c', 'echo more >> /data/seed']),
    ).to.equal('');
    expect(await prints(['--rm', '-v', 'named:/data', 'plain:1', 'cat', '/data/seed'])).to.equal(
      'seed\nmore\n',
    );
    // The image itself has not changed, nor does a volume that is there get anything.
    expect(await prints(['--rm', '-v', 'other:/data', 'plain:1', 'cat', '/data/seed'])).to.equal('seed\n');
    expect(await prints(['--rm', '-v', 'named:/etc', 'plain:1', 'ls', '/etc/seed'])).to.equal('/etc/seed\n');
    expect(readdirSync(join(store, 'volumes')).sort()).to.deep.equal(['.lock', 'named', 'other']);
  });

  it('one with nocopy, or where the image has no folder, begins empty', async () => {
    expect(await prints(['--rm', '-v', 'bare:/data:nocopy', 'plain:1', 'ls', '/data'])).to.equal('');
    expect(await prints(['--rm', '-v', 'fresh:/not/there', 'plain:1', 'ls', '/not/there'])).to.equal('');
  });

  it("the image's links lead into the image, not to the host", async () => {
    expect(await prints(['--rm', '-v', 'linked:/inside', 'plain:1', 'cat', '/data/seed'])).to.equal('seed\n');
    expect(readFileSync(join(volume('linked'), 'seed'), 'utf8')).to.equal('seed\n');
    await host.runnc(['run', '--store', store, '--rm', '-v', 'led:/outside', 'plain:1', 'pwd']);
    // Of the host's /usr/share there is nothing in it.
    expect(readdirSync(volume('led'))).to.deep.equal([]);
  });

  it("the image's own are on disk as long as the container is, and begin with its files", async () => {
    const script = 'cat /data/seed; echo own > /data/new; echo x > /new/place/y; cat /new/place/y';
    expect(await prints(['--rm', 'own:1', 'sh', '-c', script])).to.equal('seed\nx\n');
    expect(own()).to.deep.equal([]);
    expect(await prints(['--name', 'store-own', 'own:1', 'sh', '-c', script])).to.equal('seed\nx\n');
    const [folder = ''] = own();
    expect(readFileSync(join(store, 'containers', folder, 'volumes/0/new'), 'utf8')).to.equal('own\n');
    expect((await host.runnc(['delete', 'store-own'])).status).to.equal(0);
    // Each container has its own.
    expect(await prints(['--rm', 'own:1', 'ls', '/data'])).to.equal('out\nseed\nsub\n');
  });

  it('one that the user names takes the place of the image’s', async () => {
    expect(await prints(['--rm', '-v', 'mine:/data', 'own:1', 'sh', '-c', 'echo 1 > /data/kept'])).to.equal(
      '',
    );
    expect(await prints(['--rm', '-v', 'mine:/data', 'own:1', 'cat', '/data/kept'])).to.equal('1\n');
  });

  it('one without a name goes with the container', async () => {
    const script = 'cat /data/seed; echo x > /data/y; cat /data/y';
    expect(await prints(['--rm', '-v', '/data', 'plain:1', 'sh', '-c', script])).to.equal('seed\nx\n');
  });

  it('can be written under a read-only root', async () => {
    const script = 'echo x > /data/y && cat /data/y';
    expect(await prints(['--rm', '--read-only', 'own:1', 'sh', '-c', script])).to.equal('x\n');
  });

  for (const step of ['folder-made', 'record-written', 'launched', 'started']) {
    it(`those of a container whose runtime is killed at ${step} go with it`, async () => {
      const args = ['run', '--store', store, '-d', '--name', 'store-killed', 'own:1', 'sleep', '1000'];
      const killed = await host.runnc(args, { env: { ...process.env, RUNNC_FAULT: `runtime:${step}` } });
      expect(killed.status).to.equal(137);
      expect(own()).to.have.length(1);
      expect((await host.runnc(['delete', '--force', 'store-killed'])).status).to.equal(0);
      expect(own()).to.deep.equal([]);
    });
  }
});
