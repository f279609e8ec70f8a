/**
 * Rootfs images at full size: a Debian-like tree of 500 MB and 30,000 files, a million inodes, files beyond 4 GiB, ten
 * containers of one image, and builders killed at every call that touches the disk. Prints its figures.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cache } from '../../src/rootfs/cache.ts';
import { openRootfsImage } from '../../src/rootfs/open.ts';
import type { OpenRootfsOptions } from '../../src/rootfs/rootfs-image.ts';
import { makeDebianTree } from '../rootfs/debian-tree.ts';
import { closeImage, describeTree, filesBelow, scratchFolder, withImage } from '../rootfs/fixture.ts';
import { runtime } from '../support/paths.ts';

const child = fileURLToPath(new URL('../rootfs/open-child.ts', import.meta.url));

function figure(what: string, value: string): void {
  console.log(`      ${what}: ${value}`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function timed(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

describe('rootfs images at full size', function () {
  this.timeout(1_200_000);
  const scratch = scratchFolder();
  const debian = join(scratch, 'debian');

  const mounted = async <T>(options: OpenRootfsOptions, look: (folder: string) => T): Promise<T> => {
    const folder = fs.mkdtempSync(join(scratch, 'mounted-'));
    return withImage(options, (image) => {
      execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', image, folder]);
      try {
        return look(folder);
      } finally {
        execFileSync('umount', [folder]);
      }
    });
  };

  before(() => {
    makeDebianTree(debian);
    const size = execFileSync('sh', ['-c', 'find "$1" | wc -l; du -sm "$1" | cut -f1', 'sh', debian], {
      encoding: 'utf8',
    });
    figure('tree (entries, MB)', size.trim().replace('\n', ', '));
  });

  it('build a Debian rootfs in the time of a few tar -cf, and find it again at once', async () => {
    const cacheDir = join(scratch, 'cache');
    const options: OpenRootfsOptions = { rootfs: debian, format: 'erofs', cacheDir };
    const archive = join(scratch, 'debian.tar');
    const [tar, first, second]: [number[], number[], number[]] = [[], [], []];
    execFileSync('tar', ['-cf', archive, '-C', debian, '.'], { stdio: 'ignore' });
    for (let i = 0; i < 5; i++) {
      fs.rmSync(archive, { force: true });
      tar.push(
        await timed(() => execFileSync('tar', ['-cf', archive, '-C', debian, '.'], { stdio: 'ignore' })),
      );
      fs.rmSync(cacheDir, { recursive: true, force: true });
      first.push(await timed(async () => closeImage(await openRootfsImage(options))));
      for (let j = 0; j < 3; j++)
        second.push(await timed(async () => closeImage(await openRootfsImage(options))));
    }
    fs.rmSync(archive);
    figure('tar -cf, ms', median(tar).toFixed(0));
    figure(
      'first image, ms (ratio to tar)',
      `${median(first).toFixed(0)} (${(median(first) / median(tar)).toFixed(2)})`,
    );
    figure('second start of the plain bundle, ms', median(second).toFixed(1));
    expect(await mounted(options, describeTree)).to.deep.equal(describeTree(debian));
  });

  it('hold a million inodes', async () => {
    const tree = join(scratch, 'million');
    for (let i = 0; i < 1000; i++) {
      fs.mkdirSync(join(tree, `folder-${i}`), { recursive: true });
      for (let j = 0; j < 1000; j++) fs.closeSync(fs.openSync(join(tree, `folder-${i}/file-${j}`), 'w'));
    }
    const options: OpenRootfsOptions = { rootfs: tree, format: 'erofs', cacheDir: join(scratch, 'cache') };
    figure(
      'first image of a million inodes, ms',
      (await timed(async () => closeImage(await openRootfsImage(options)))).toFixed(0),
    );
    const inodes = await mounted(options, (folder) =>
      execFileSync('sh', ['-c', 'find "$1" | wc -l', 'sh', folder], { encoding: 'utf8' }),
    );
    expect(Number(inodes)).to.equal(1_001_001);
    fs.rmSync(tree, { recursive: true });
  });

  // xorriso's time grows with the square of a folder's entries.
  for (const [format, links] of [
    ['erofs', 100_000],
    ['iso9660', 20_000],
  ] as const) {
    it(`hold a circle of ${links} links as ${format}`, async () => {
      const tree = join(scratch, `circle-${format}`);
      fs.mkdirSync(tree);
      for (let i = 0; i < links; i++) {
        fs.symlinkSync(`link-${(i + 1) % links}`, join(tree, `link-${i}`));
      }
      const options: OpenRootfsOptions = { rootfs: tree, format, cacheDir: join(scratch, 'cache') };
      const count = ['sh', '-c', 'find "$1" -type l | wc -l', 'sh'] as const;
      const found =
        format === 'erofs'
          ? await mounted(options, (folder) => execFileSync(count[0], [...count.slice(1), folder]))
          : await withImage(options, (image) =>
              execFileSync('sh', ['-c', 'bsdtar -tvf "$1" | grep -c "^l"', 'sh', image]),
            );
      expect(Number(found.toString())).to.equal(links);
      fs.rmSync(tree, { recursive: true });
    });
  }

  for (const format of ['erofs', 'iso9660'] as const) {
    it(`hold a file beyond 4 GiB as ${format}`, async () => {
      const tree = join(scratch, `large-${format}`);
      fs.mkdirSync(tree);
      const fd = fs.openSync(join(tree, 'large'), 'w');
      for (const [offset, text] of [
        [0, 'begin'],
        [2 ** 32 - 3, 'across the border'],
        [4.5 * 2 ** 30, 'end'],
      ] as const) {
        fs.writeSync(fd, text, offset);
      }
      fs.closeSync(fd);
      const options: OpenRootfsOptions = { rootfs: tree, format, cacheDir: join(scratch, 'large-cache') };
      const sum = (path: string): string =>
        execFileSync('sh', ['-c', 'sha256sum < "$1"', 'sh', path], { encoding: 'utf8' });
      if (format === 'erofs') {
        await mounted(options, (folder) =>
          expect(sum(join(folder, 'large'))).to.equal(sum(join(tree, 'large'))),
        );
      } else {
        await withImage(options, (image) => {
          const read = execFileSync('sh', ['-c', 'bsdtar -xOf "$1" large | sha256sum', 'sh', image], {
            encoding: 'utf8',
          });
          expect(read).to.equal(sum(join(tree, 'large')));
        });
      }
      fs.rmSync(join(scratch, 'large-cache'), { recursive: true });
    });
  }

  it('are one copy in memory for ten containers', async () => {
    const bundle = join(scratch, 'bundle');
    fs.mkdirSync(bundle);
    execFileSync(runtime, ['spec', '--bundle', bundle]);
    const path = join(bundle, 'config.json');
    const spec = JSON.parse(fs.readFileSync(path, 'utf8')) as {
      root: object;
      process: { args: string[]; terminal: boolean };
      annotations?: object;
    };
    // With a root that lasts the first one makes its mount points in the tree, which is another tree then.
    spec.annotations = { 'io.runnc.rootfs': 'memory' };
    spec.root = { path: debian };
    spec.process.args = ['/usr/bin/perl', '-e', '$| = 1; print "up\\n"; sleep 600'];
    spec.process.terminal = false;
    fs.writeFileSync(path, JSON.stringify(spec));
    const root = join(scratch, 'containers');
    const ids = Array.from({ length: 10 }, (_, i) => `shared-${process.pid}-${i}`);
    try {
      const pids = ids.map((id) => {
        const pidFile = join(scratch, `${id}.pid`);
        execFileSync(
          runtime,
          ['--root', root, 'run', '--detach', '--bundle', bundle, '--pid-file', pidFile, id],
          { stdio: ['ignore', 'ignore', 'inherit'] },
        );
        return Number(fs.readFileSync(pidFile, 'utf8'));
      });
      const maps = pids.map((pid) => imageMappings(pid));
      const inodes = new Set(maps.flatMap((mappings) => mappings.map(({ inode }) => inode)));
      expect(inodes.size, 'one image').to.equal(1);
      const total = (field: 'rss' | 'pss' | 'dirty'): number =>
        maps.flat().reduce((sum, mapping) => sum + mapping[field], 0);
      figure('the image in ten containers, KiB: sum of RSS', String(total('rss')));
      figure('  of PSS (each page counted once)', String(total('pss')));
      figure('  private and dirty', String(total('dirty')));
      expect(total('pss')).to.be.lessThan(total('rss') / 5);
    } finally {
      for (const id of ids) spawnSync(runtime, ['--root', root, 'delete', '--force', id]);
    }
  });

  it('are never seen in part, whichever call of a builder is its last', async function () {
    const rootfs = join(scratch, 'small');
    fs.mkdirSync(rootfs);
    fs.copyFileSync('/bin/sh', join(rootfs, 'sh'));
    fs.writeFileSync(join(rootfs, 'data'), Buffer.alloc(5 * 2 ** 20, 'x'));
    let kills = 0;
    const calls = 'mkdir pwrite64 ftruncate fdatasync fsync rename unlink rmdir flock utimensat'.split(' ');
    for (const call of calls) {
      for (let time = 1; ; time++) {
        const cacheDir = join(scratch, `killed-${call}-${time}`);
        fs.mkdirSync(cacheDir, { mode: 0o700 });
        const inject = `inject=${call}:signal=SIGKILL:when=${time}`;
        const words = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
        const command = [process.execPath, '--import', 'tsx/esm', child, rootfs, 'erofs', cacheDir];
        const killed = spawnSync('strace', [...words, ...command], { input: 'go\n', encoding: 'utf8' });
        const cache = new Cache(cacheDir);
        for (const key of cache.keys())
          expect(await cache.verify(key), `${call} ${time}`).to.equal(undefined);
        closeImage(await openRootfsImage({ rootfs, format: 'erofs', cacheDir }));
        await cache.prune({ toBytes: 0 });
        expect(filesBelow(cacheDir), `${call} ${time}`).to.deep.equal([]);
        fs.rmSync(cacheDir, { recursive: true });
        if (killed.signal !== 'SIGKILL') break;
        kills++;
        if (time > 40) break;
      }
    }
    figure('kills', String(kills));
    expect(kills).to.be.greaterThan(15);
  });
});

interface Mapping {
  readonly inode: string;
  readonly rss: number;
  readonly pss: number;
  readonly dirty: number;
}

/** What a process has mapped of the cache's files, KiB. */
function imageMappings(pid: number): Mapping[] {
  const blocks = fs.readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  return blocks.flatMap((block) => {
    if (!/\/entries\/[0-9a-f]{64}\/image/.test(block)) return [];
    const number = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(block)?.[1]);
    const inode = block.split('\n')[0]?.split(/ +/)[4] ?? '';
    return [{ inode, rss: number('Rss'), pss: number('Pss'), dirty: number('Private_Dirty') }];
  });
}
