import { expect } from 'chai';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Cache } from '../../src/rootfs/cache.ts';
import { openRootfsImage } from '../../src/rootfs/open.ts';
import type { OpenRootfsOptions, RootfsImage } from '../../src/rootfs/rootfs-image.ts';
import { closeImage, filesBelow, isRoot, rejection, scratchFolder, sha256, withImage } from './fixture.ts';

const child = fileURLToPath(new URL('open-child.ts', import.meta.url));
const childWords = ['--import', 'tsx/esm', child] as const;

describe('the cache of rootfs images', function () {
  const scratch = scratchFolder();
  let count = 0;

  /** A rootfs and a cache of their own for each test. */
  function fresh(format: OpenRootfsOptions['format'] = 'erofs'): OpenRootfsOptions & { cacheDir: string } {
    count++;
    return { rootfs: makeRootfs(), format, cacheDir: join(scratch, `cache-${count}`) };
  }

  let rootfsCount = 0;
  function makeRootfs(content = 'content'): string {
    const rootfs = join(scratch, `rootfs-${rootfsCount++}`);
    fs.mkdirSync(join(rootfs, 'etc'), { recursive: true });
    fs.writeFileSync(join(rootfs, 'etc/file'), content);
    return rootfs;
  }

  const inode = ({ fd }: RootfsImage): number => fs.fstatSync(fd).ino;

  describe('finds an image again', () => {
    it('without building it', async () => {
      const options = fresh();
      const first = await withImage(options, (_, image) => inode(image));
      const second = await withImage(options, (_, image) => inode(image));
      expect(second).to.equal(first);
    });

    it('by a name that its owner vouches for, without a look at the folder', async () => {
      const options = { ...fresh(), contentId: 'store sha256:1' };
      const first = await withImage(options, (_, image) => inode(image));
      fs.writeFileSync(join(options.rootfs, 'etc/file'), 'not looked at');
      expect(await withImage(options, (_, image) => inode(image))).to.equal(first);
      expect(await withImage({ ...options, rootfs: makeRootfs() }, (_, image) => inode(image))).to.equal(
        first,
      );
      const other = { ...options, contentId: 'store sha256:2' };
      expect(await withImage(other, (_, image) => inode(image))).to.not.equal(first);
      expect(new Cache(options.cacheDir).list()).to.have.length(2);
    });

    it('but not after a file was written, with size and times as before', async () => {
      const options = fresh();
      const file = join(options.rootfs, 'etc/file');
      const times = fs.statSync(file);
      const first = await withImage(options, sha256);
      fs.writeFileSync(file, 'CONTENT');
      fs.utimesSync(file, times.atime, times.mtime);
      const second = await withImage(options, sha256);
      expect(second).to.not.equal(first);
      expect(new Cache(options.cacheDir).list()).to.have.length(2);
    });

    for (const [what, change] of [
      ['a new file', (rootfs: string) => fs.writeFileSync(join(rootfs, 'new'), '')],
      ['another mode', (rootfs: string) => fs.chmodSync(join(rootfs, 'etc/file'), 0o600)],
      [
        'another name',
        (rootfs: string) => fs.renameSync(join(rootfs, 'etc/file'), join(rootfs, 'etc/other')),
      ],
      ['another place of two equal files', swapFiles],
    ] as const) {
      it(`but not after ${what}`, async () => {
        const options = fresh();
        fs.writeFileSync(join(options.rootfs, 'etc/twin'), 'CONTENT');
        const first = await withImage(options, sha256);
        change(options.rootfs);
        expect(await withImage(options, sha256)).to.not.equal(first);
      });
    }

    function swapFiles(rootfs: string): void {
      const at = (name: string): string => join(rootfs, 'etc', name);
      fs.renameSync(at('file'), at('spare'));
      fs.renameSync(at('twin'), at('file'));
      fs.renameSync(at('spare'), at('twin'));
    }

    it('not in a copy that only differs in contents', async () => {
      const options = fresh();
      const copy = makeRootfs('CONTENT');
      const file = fs.statSync(join(options.rootfs, 'etc/file'));
      for (const path of ['etc/file', 'etc', '']) {
        fs.utimesSync(join(copy, path), file.atime, file.mtime);
        fs.utimesSync(join(options.rootfs, path), file.atime, file.mtime);
      }
      const [first, second] = [
        await withImage(options, (_, image) => [image.sizeBytes, inode(image)]),
        await withImage({ ...options, rootfs: copy }, (_, image) => [image.sizeBytes, inode(image)]),
      ];
      expect(second[0]).to.equal(first[0]);
      expect(second[1]).to.not.equal(first[1]);
    });

    it('only of the same format and the same id mappings', async () => {
      const options = fresh();
      const ids = [{ containerID: 0, hostID: 1000, size: 1 }];
      await withImage(options, () => undefined);
      await withImage({ ...options, format: 'iso9660' }, () => undefined);
      await withImage({ ...options, uidMappings: ids }, () => undefined);
      expect(new Cache(options.cacheDir).list()).to.have.length(3);
    });
  });

  describe('removes', () => {
    it('the least recently used images beyond its limit, and no image in use', async () => {
      const { cacheDir } = fresh();
      const open = (rootfs: string, cacheLimitBytes?: number): Promise<RootfsImage> =>
        openRootfsImage({
          rootfs,
          format: 'erofs',
          cacheDir,
          ...(cacheLimitBytes === undefined ? {} : { cacheLimitBytes }),
        });
      const [used, old, recent, last] = [makeRootfs('1'), makeRootfs('2'), makeRootfs('3'), makeRootfs('4')];
      const inUse = await open(used);
      for (const rootfs of [old, recent]) closeImage(await open(rootfs));
      // Used again: `old` is the one that was used longest ago, but for the one in use.
      const cache = new Cache(cacheDir);
      const bySource = (rootfs: string): string =>
        cache.list().find(({ entry }) => entry.source === rootfs)?.entry.key ?? '';
      for (const [rootfs, seconds] of [
        [used, 1],
        [old, 2],
        [recent, 3],
      ] as const) {
        fs.utimesSync(join(cacheDir, 'entries', bySource(rootfs), 'entry.json'), seconds, seconds);
      }
      const each = cache.list()[0]?.diskBytes ?? 0;
      closeImage(await open(last, each * 3));
      expect(cache.list().map(({ entry }) => entry.source)).to.have.members([used, recent, last]);
      closeImage(inUse);
    });

    it('nothing that another process has open, or has inherited', async () => {
      const options = fresh();
      const image = await openRootfsImage(options);
      const holder = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore', image.fd] });
      const ended = once(holder, 'exit');
      closeImage(image);
      const cache = new Cache(options.cacheDir);
      expect(cache.list().map(({ inUse }) => inUse)).to.deep.equal([true]);
      expect(await cache.prune({ toBytes: 0 })).to.deep.equal([]);
      const key = cache.keys()[0] ?? '';
      expect(() => cache.remove(key, { force: false })).to.throw(/^image [0-9a-f]{12} is in use/);
      holder.stdin?.end();
      await ended;
      expect(cache.list().map(({ inUse }) => inUse)).to.deep.equal([false]);
      expect(await cache.prune({ toBytes: 0 })).to.have.length(1);
      expect(filesBelow(options.cacheDir)).to.deep.equal([]);
    });

    it('an image under a running container without harm to it', async () => {
      const options = fresh();
      await withImage(options, async (path) => {
        const before = sha256(path);
        fs.rmSync(options.cacheDir, { recursive: true });
        expect(sha256(path)).to.equal(before);
        expect(await withImage(options, sha256)).to.equal(before);
        const cache = new Cache(options.cacheDir);
        cache.remove(cache.keys()[0]?.slice(0, 12) ?? '', { force: true });
        expect(sha256(path)).to.equal(before);
      });
    });

    it('an image by the beginning of its key, if that is clear', async () => {
      const options = fresh();
      closeImage(await openRootfsImage(options));
      const cache = new Cache(options.cacheDir);
      expect(() => cache.remove('abc', { force: false })).to.throw(/abc does not exist/);
      expect(() => cache.remove('../entries', { force: false })).to.throw(/does not exist/);
      const key = cache.keys()[0] ?? '';
      expect(cache.remove(key.slice(0, 8), { force: false })).to.equal(key);
      expect(cache.keys()).to.deep.equal([]);
    });
  });

  describe('with a damaged entry', () => {
    async function damaged(
      damage: (entry: string) => void,
    ): Promise<{ warnings: string[]; problem?: string | undefined }> {
      const options = fresh();
      const before = await withImage(options, sha256);
      const cache = new Cache(options.cacheDir);
      const key = cache.keys()[0] ?? '';
      damage(join(options.cacheDir, 'entries', key));
      const problem = await cache.verify(key);
      const warnings: string[] = [];
      const after = await withImage({ ...options, onWarning: (line) => warnings.push(line) }, sha256);
      if (warnings.length > 0) {
        expect(after).to.equal(before);
        expect(await cache.verify(key)).to.equal(undefined);
      }
      return { warnings, problem };
    }

    for (const [what, damage] of [
      ['a truncated image', (entry: string) => fs.truncateSync(join(entry, 'image'), 4096)],
      ['a longer image', (entry: string) => fs.appendFileSync(join(entry, 'image'), 'x')],
      ['no image', (entry: string) => fs.unlinkSync(join(entry, 'image'))],
      [
        'an unreadable description',
        (entry: string) => fs.writeFileSync(join(entry, 'entry.json'), '{"version":'),
      ],
      ['no description', (entry: string) => fs.unlinkSync(join(entry, 'entry.json'))],
    ] as const) {
      it(`that has ${what}, warns and builds it again`, async () => {
        const { warnings, problem } = await damaged(damage);
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.match(/^cached image [0-9a-f]{12} is damaged and is built again: /);
        expect(problem).to.be.a('string');
      });
    }

    it('whose content was altered, says so in verify', async () => {
      const { problem } = await damaged((entry) => {
        const fd = fs.openSync(join(entry, 'image'), 'r+');
        fs.writeSync(fd, 'x', 1500);
        fs.closeSync(fd);
      });
      expect(problem).to.equal('image: its content was altered');
    });
  });

  describe('used by several processes', () => {
    it('builds an image once for those that want it at the same time', async () => {
      const options = fresh();
      const opening = await Promise.all([startChild(options), startChild(options), startChild(options)]);
      for (const { stdin } of opening) stdin.write('go\n');
      const results = await Promise.all(opening.map(({ line }) => line()));
      const inodes = new Set(results.map((text) => (JSON.parse(text) as { inode: number }).inode));
      expect(inodes.size).to.equal(1);
      for (const { stdin } of opening) stdin.end();
      await Promise.all(opening.map(({ ended }) => ended));
      expect(fs.readdirSync(join(options.cacheDir, 'tmp'))).to.deep.equal([]);
      expect(fs.readdirSync(join(options.cacheDir, 'building'))).to.deep.equal([]);
    });

    it('builds it once within one process, too', async () => {
      const options = fresh();
      const images = await Promise.all(Array.from({ length: 8 }, () => openRootfsImage(options)));
      expect(new Set(images.map(inode)).size).to.equal(1);
      images.forEach(closeImage);
    });

    // Every place where a build changes the disk: the builder is killed just before the call.
    for (const [call, times] of [
      ['mkdir', 4],
      ['ftruncate', 1],
      ['fdatasync', 1],
      ['fsync', 3],
      ['rename', 1],
      ['unlink', 1],
    ] as const) {
      it(`shows nothing partial when a builder is killed at any ${call}`, async function () {
        for (let time = 1; time <= times; time++) {
          const options = fresh();
          const inject = `inject=${call}:signal=SIGKILL:error=EIO:when=${time}`;
          const words = [
            '-f',
            '-qq',
            '-o',
            '/dev/null',
            '-e',
            `trace=${call}`,
            '-e',
            inject,
            process.execPath,
          ];
          const killed = spawnSync(
            'strace',
            [...words, ...childWords, options.rootfs, 'erofs', options.cacheDir],
            {
              input: 'go\n',
              encoding: 'utf8',
            },
          );
          expect(killed.signal ?? killed.status, `${call} ${time}: ${killed.stderr}`).to.equal('SIGKILL');
          const cache = new Cache(options.cacheDir);
          for (const key of cache.keys()) expect(await cache.verify(key)).to.equal(undefined);
          const warnings: string[] = [];
          closeImage(await openRootfsImage({ ...options, onWarning: (line) => warnings.push(line) }));
          expect(warnings).to.deep.equal([]);
          await cache.prune({ toBytes: 0 });
          expect(filesBelow(options.cacheDir), `${call} ${time}`).to.deep.equal([]);
        }
      });
    }
  });

  describe('reports with one line and leaves nothing', () => {
    it('when the disk is full', async function () {
      if (!isRoot) this.skip();
      await withTmpfs('1m', async (cacheDir) => {
        for (const format of ['erofs', 'iso9660'] as const) {
          const rootfs = makeRootfs();
          fs.writeFileSync(join(rootfs, 'big'), Buffer.alloc(3 * 2 ** 20, 'x'));
          const error = await rejection(openRootfsImage({ rootfs, format, cacheDir }));
          expect(error.message).to.match(/ cannot be written: no space left on the device$/);
          expect(filesBelow(cacheDir)).to.deep.equal([]);
        }
      });
    });

    it('unless images that nobody uses make room', async function () {
      if (!isRoot) this.skip();
      await withTmpfs('3m', async (cacheDir) => {
        const big = (): string => {
          const rootfs = makeRootfs();
          fs.writeFileSync(join(rootfs, 'big'), Buffer.alloc(2 * 2 ** 20, 'x'));
          return rootfs;
        };
        const format = 'erofs';
        closeImage(await openRootfsImage({ rootfs: big(), format, cacheDir }));
        const image = await openRootfsImage({ rootfs: big(), format, cacheDir });
        const error = await rejection(openRootfsImage({ rootfs: big(), format, cacheDir }));
        expect(error.message).to.match(/no space left/);
        closeImage(image);
        expect(new Cache(cacheDir).list()).to.have.length(1);
      });
    });

    it('when the cache belongs to somebody else or is open to all', async () => {
      const options = fresh();
      fs.mkdirSync(options.cacheDir);
      fs.chmodSync(options.cacheDir, 0o777);
      const error = await rejection(openRootfsImage(options));
      expect(error.message).to.match(/must belong to the user of runnc and be writable by nobody else$/);
    });

    it('when the cache cannot be made', async () => {
      const options = fresh();
      fs.writeFileSync(options.cacheDir, '');
      const error = await rejection(openRootfsImage(options));
      expect(error.message).to.match(/^the cache .* cannot be used: ENOTDIR/);
    });

    it('when the build is cancelled', async () => {
      const options = fresh();
      for (let i = 0; i < 8; i++)
        fs.writeFileSync(join(options.rootfs, `big${i}`), Buffer.alloc(16 * 2 ** 20, i));
      for (const format of ['erofs', 'iso9660'] as const) {
        const stop = new AbortController();
        const error = await rejection(
          openRootfsImage({
            ...options,
            format,
            signal: stop.signal,
            onProgress: () => stop.abort(new Error('stopped')),
          }),
        );
        expect(error.message).to.equal('stopped');
        expect(filesBelow(options.cacheDir)).to.deep.equal([]);
      }
    });
  });

  async function withTmpfs(size: string, use: (folder: string) => Promise<void>): Promise<void> {
    const folder = fs.mkdtempSync(join(scratch, 'tmpfs-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder]);
    try {
      await use(folder);
    } finally {
      execFileSync('umount', [folder]);
    }
  }
});

interface Child {
  readonly stdin: NodeJS.WritableStream;
  readonly line: () => Promise<string>;
  readonly ended: Promise<unknown>;
}

async function startChild({ rootfs, format, cacheDir = '' }: OpenRootfsOptions): Promise<Child> {
  const process_: ChildProcess = spawn(process.execPath, [...childWords, rootfs, format, cacheDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdin, stdout } = process_;
  if (stdin === null || stdout === null) throw new Error('no pipes');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the child ended early');
    return value;
  };
  expect(await line()).to.equal('ready');
  return { stdin, line, ended: once(process_, 'exit') };
}
