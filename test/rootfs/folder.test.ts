import { expect } from 'chai';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Cache } from '../../src/rootfs/cache.ts';
import { type FolderOptions, openFolderImage } from '../../src/rootfs/folder.ts';
import type { MountedFolder } from '../../src/rootfs/mounts.ts';
import { Playground } from '../support/bundle.ts';
import { describeTree, filesBelow, isRoot, makeAwkwardTree, rejection, scratchFolder } from './fixture.ts';

const MIB = 2 ** 20;

describe('a read-only folder of the host as an image', () => {
  const scratch = scratchFolder();
  let count = 0;

  function fresh(fill: (source: string) => void = () => undefined): {
    folder: MountedFolder;
    options: FolderOptions & { cacheDir: string };
    cache: Cache;
  } {
    const source = join(scratch, `source-${++count}`);
    fs.mkdirSync(source);
    fill(source);
    const cacheDir = join(scratch, `cache-${count}`);
    const where = 'config.json mounts[3] (/data)';
    return {
      folder: { kind: 'folder', target: '/data', source, options: [], recursive: true, where },
      options: { format: 'erofs', cacheDir },
      cache: new Cache(cacheDir),
    };
  }

  /** What the host's kernel finds in the image. */
  async function read<T>(
    folder: MountedFolder,
    options: FolderOptions,
    look: (path: string) => T,
  ): Promise<T> {
    const fd = await openFolderImage(folder, options);
    const on = fs.mkdtempSync(join(scratch, 'mounted-'));
    try {
      execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', `/proc/${process.pid}/fd/${fd}`, on]);
      try {
        return look(on);
      } finally {
        execFileSync('umount', [on]);
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  const large = (source: string): void =>
    fs.writeFileSync(join(source, 'large'), Buffer.alloc(17 * MIB, 'x'));

  function withMount(type: string, on: string, use: () => Promise<void>): Promise<void> {
    execFileSync('mount', ['-t', type, 'runnc-test', on]);
    return use().finally(() => execFileSync('umount', [on]));
  }

  it('is that folder, entry by entry, and no disk sees it if it is small', async function () {
    if (!isRoot) this.skip();
    const { folder, options } = fresh((source) => {
      fs.rmdirSync(source);
      makeAwkwardTree(source);
      fs.truncateSync(join(source, 'sparse'), 1_000_000);
    });
    const expected = describeTree(folder.source);
    expect(await read(folder, options, describeTree)).to.deep.equal(expected);
    expect(fs.existsSync(options.cacheDir)).to.equal(false);
    const fd = await openFolderImage(folder, options);
    expect(fs.readlinkSync(`/proc/self/fd/${fd}`)).to.match(/^\/memfd:folder/);
    expect(() => fs.writeSync(fd, 'x')).to.throw(/EBADF/);
    fs.closeSync(fd);
  });

  it('has the owners that the container sees', async function () {
    if (!isRoot) this.skip();
    const { folder, options } = fresh((source) => fs.chownSync(source, 100_007, 100_009));
    const ids = [{ containerID: 0, hostID: 100_000, size: 10 }];
    const { uid, gid } = await read(folder, { ...options, uidMappings: ids, gidMappings: ids }, (on) =>
      fs.statSync(on),
    );
    expect({ uid, gid }).to.deep.equal({ uid: 7, gid: 9 });
  });

  it('is as it is now: made again when anything in it has changed', async function () {
    if (!isRoot) this.skip();
    for (const fill of [(): undefined => undefined, large]) {
      const { folder, options } = fresh(fill);
      const file = join(folder.source, 'file');
      fs.writeFileSync(file, 'before');
      const times = fs.statSync(file);
      const content = (): Promise<string> =>
        read(folder, options, (on) => fs.readFileSync(join(on, 'file'), 'utf8'));
      expect(await content()).to.equal('before');
      fs.writeFileSync(file, 'after!');
      fs.utimesSync(file, times.atime, times.mtime);
      expect(await content()).to.equal('after!');
    }
  });

  it('is kept in the cache if it is large, apart from a rootfs, and used there until it is closed', async () => {
    const { folder, options, cache } = fresh(large);
    const fd = await openFolderImage(folder, options);
    const again = await openFolderImage(folder, options);
    expect(fs.fstatSync(again).ino).to.equal(fs.fstatSync(fd).ino);
    expect(cache.list().map(({ inUse, entry }) => [inUse, entry.segmentsArea])).to.deep.equal([
      [true, undefined],
    ]);
    fs.closeSync(again);
    expect(await cache.prune({ toBytes: 0 })).to.deep.equal([]);
    fs.closeSync(fd);
    expect(await cache.prune({ toBytes: 0 })).to.have.length(1);
  });

  it('is kept in the cache if it has many entries', async () => {
    const { folder, options, cache } = fresh((source) => {
      execFileSync('sh', ['-c', 'cd "$1" && seq 10000 | xargs touch', 'sh', source]);
    });
    fs.closeSync(await openFolderImage(folder, options));
    expect(cache.keys()).to.have.length(1);
  });

  it('is refused before anything is written if the whole cache may not be so large', async () => {
    const { folder, options } = fresh(large);
    const error = await rejection(openFolderImage(folder, { ...options, cacheLimitBytes: 16 * MIB }));
    expect(error.message).to.match(
      /^config\.json mounts\[3\] \(\/data\): \S+ has 17825792 bytes, more than the cache of images may take \(16777216\): raise cacheLimit in \/etc\/runnc\/config\.json or mount a smaller folder$/,
    );
    expect(fs.existsSync(options.cacheDir)).to.equal(false);
  });

  it('has what is mounted inside it, or not, as the mount asks', async function () {
    if (!isRoot) this.skip();
    const { folder, options } = fresh((source) =>
      fs.mkdirSync(join(source, 'inside/hidden'), { recursive: true }),
    );
    await withMount('tmpfs', join(folder.source, 'inside'), async () => {
      fs.writeFileSync(join(folder.source, 'inside/seen'), 'seen');
      expect(await read(folder, options, filesBelow)).to.deep.equal(['inside/seen']);
      const bare = { ...folder, recursive: false };
      expect(await read(bare, options, (on) => fs.readdirSync(join(on, 'inside')))).to.deep.equal(['hidden']);
      const error = await rejection(openFolderImage(folder, { ...options, format: 'iso9660' }));
      expect(error.message).to.match(
        /inside is mounted inside \S+, which a block device cannot have: use the option "bind"$/,
      );
    });
  });

  it('is without the file systems of the host’s kernel, and says so', async function () {
    if (!isRoot) this.skip();
    const { folder, options } = fresh((source) => fs.mkdirSync(join(source, 'proc')));
    await withMount('proc', join(folder.source, 'proc'), async () => {
      const warnings: string[] = [];
      const onWarning = (line: string): void => {
        warnings.push(line);
        // A process more, between the first look and the second: /proc counts them.
        children.push(spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] }));
      };
      const children: ChildProcess[] = [];
      const names = await read(folder, { ...options, onWarning }, (on) => fs.readdirSync(join(on, 'proc')));
      for (const child of children) child.stdin?.end();
      expect(names).to.deep.equal([]);
      expect(warnings).to.deep.equal([
        `${folder.source}/proc is left out of the mount: it is a file system of the host's kernel`,
      ]);
    });
  });

  it('is an ISO image for a unikernel', async () => {
    const { folder, options } = fresh((source) => fs.writeFileSync(join(source, 'file'), 'content'));
    const fd = await openFolderImage(folder, { ...options, format: 'iso9660' });
    try {
      const image = `/proc/${process.pid}/fd/${fd}`;
      expect(execFileSync('bsdtar', ['-xOf', image, 'file'], { encoding: 'utf8' })).to.equal('content');
    } finally {
      fs.closeSync(fd);
    }
  });

  describe('attached to a unikernel by annotation', () => {
    let host: Playground;
    beforeEach(() => {
      host = new Playground();
    });
    afterEach(() => host.close());

    const run = (annotations: Record<string, string>): ReturnType<Playground['runnc']> => {
      const { folder } = fresh((source) => fs.writeFileSync(join(source, 'file'), 'of the host\n'));
      const bundle = host.bundle('iso', ['cat', '/file'], (spec) => {
        const mount = { destination: '/data', type: 'bind', source: folder.source, options: ['rbind', 'ro'] };
        spec.mounts = [...(spec.mounts ?? []), mount];
        spec.annotations = annotations;
      });
      return host.runnc(['run', '-b', bundle, 'unikernel']);
    };

    it('is its block device; without, it hears of it in the log', async function () {
      if (!isRoot) this.skip();
      const got = await run({ 'io.runnc.block.rootfs': 'mount:/data' });
      expect(got).to.deep.equal({ status: 0, stdout: 'of the host\n', stderr: '' });
      const left = await run({});
      expect(left.stdout).to.equal('FAIL: not found\n');
      expect(left.stderr).to.contain(
        'mount on /data is left out: a Solo5 guest has no file system of the host',
      );
      const wrong = await run({ 'io.runnc.block.rootfs': 'mount:/other' });
      expect(wrong.stderr).to.equal(
        'annotation io.runnc.block.rootfs=mount:/other: config.json mounts no folder there\n',
      );
    });
  });

  it('names the mount when the folder is gone or may not be read', async () => {
    const { folder, options } = fresh();
    const missing = { ...folder, source: join(scratch, 'nowhere') };
    expect((await rejection(openFolderImage(missing, options))).message).to.match(
      /^config\.json mounts\[3\] \(\/data\): the source \S+nowhere does not exist$/,
    );
    const file = join(folder.source, 'file');
    fs.writeFileSync(file, '');
    expect((await rejection(openFolderImage({ ...folder, source: file }, options))).message).to.match(
      /^config\.json mounts\[3\] \(\/data\): the source \S+file is not a folder$/,
    );
  });
});
