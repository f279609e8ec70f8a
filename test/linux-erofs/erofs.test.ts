/**
 * The Linux guest kernel's EROFS reader, compiled for the host with the sanitizers and run on images that
 * mkfs.erofs makes. The same tree seen through node:fs is the oracle.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openRootfsImage } from '../../src/rootfs/open.ts';

const here = dirname(fileURLToPath(import.meta.url));
const kernel = join(here, '../../unikernels/linux');

function fnv(data: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of data) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(16).padStart(16, '0');
}

/** Linux's 32-bit device number, as EROFS stores it. */
function encodeDevice(rdev: number): number {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

/** What walk.c prints, told by the host's own file system. Folders' link counts are mkfs's affair. */
function describeTree(root: string, path = '/', lines: string[] = []): string[] {
  const full = join(root, path);
  const stat = fs.lstatSync(full, { bigint: true });
  const seconds = stat.mtimeNs / 1000000000n;
  const device = stat.isCharacterDevice() || stat.isBlockDevice() ? encodeDevice(Number(stat.rdev)) : 0;
  let line = `${path} ${stat.mode.toString(8)} ${stat.uid}:${stat.gid} links=${stat.nlink} mtime=${seconds}.${stat.mtimeNs % 1000000000n} rdev=${device}`;
  if (stat.isFile()) line += ` size=${stat.size} hash=${fnv(fs.readFileSync(full))}`;
  if (stat.isSymbolicLink()) line += ` -> ${fs.readlinkSync(full)}`;
  lines.push(line);
  if (stat.isDirectory()) {
    for (const name of fs.readdirSync(full)) describeTree(root, join(path, name), lines);
  }
  return lines.sort();
}

describe('the EROFS reader of the Linux guest kernel', function () {
  this.timeout(120_000);
  let scratch: string;
  let walk: string;
  let tree: string;

  before(() => {
    scratch = fs.mkdtempSync(join(tmpdir(), 'runnc-erofs-'));
    walk = join(scratch, 'walk');
    const flags = ['-std=c11', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE'];
    flags.push(
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      '-I',
      join(here, 'host'),
      '-I',
      kernel,
    );
    const reader = join(scratch, 'erofs.o');
    execFileSync('gcc', [...flags, '-ffreestanding', '-c', '-o', reader, join(kernel, 'fs/erofs.c')]);
    execFileSync('gcc', [...flags, '-o', walk, join(here, 'walk.c'), reader]);

    tree = join(scratch, 'tree');
    const big = Buffer.alloc(300_000);
    for (let i = 0; i < big.length; i++) big[i] = (i * 31) >> 5;
    for (const dir of ['', 'empty', 'many', 'd/e/e/p/folder'])
      fs.mkdirSync(join(tree, dir), { recursive: true });
    // Sizes round the block border: what lies behind the inode and what in blocks of its own.
    for (const size of [0, 1, 31, 4000, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 12_000, 300_000]) {
      fs.writeFileSync(join(tree, `f${size}`), big.subarray(0, size));
    }
    for (let i = 0; i < 700; i++)
      fs.writeFileSync(join(tree, 'many', `name-${i}-${'x'.repeat(i % 100)}`), `${i}`);
    fs.writeFileSync(join(tree, 'n'.repeat(254)), 'long');
    fs.linkSync(join(tree, 'f4097'), join(tree, 'd/hard'));
    fs.symlinkSync('../f1', join(tree, 'd/soft'));
    fs.symlinkSync('t'.repeat(4090), join(tree, 'd/long-target'));
    fs.writeFileSync(join(tree, 'suid'), 'x', { mode: 0o755 });
    fs.chownSync(join(tree, 'suid'), 70_000, 80_000);
    fs.chmodSync(join(tree, 'suid'), 0o4755);
    fs.utimesSync(join(tree, 'f31'), 1, 86_400);
    execFileSync('mkfifo', [join(tree, 'fifo')]);
    execFileSync('mknod', [join(tree, 'device'), 'c', '300', '70000']);
    const sparse = fs.openSync(join(tree, 'sparse'), 'w');
    fs.writeSync(sparse, 'end', 3_000_000);
    fs.closeSync(sparse);
  });

  after(() => fs.rmSync(scratch, { recursive: true, force: true }));

  function makeImage(name: string, ...options: readonly string[]): string {
    const image = join(scratch, name);
    execFileSync('mkfs.erofs', ['--quiet', ...options, image, tree], { stdio: 'ignore' });
    return image;
  }

  function walked(image: string): string[] {
    return execFileSync(walk, [image], { encoding: 'utf8', maxBuffer: 1 << 26 })
      .trimEnd()
      .split('\n')
      .sort();
  }

  it('tells names, owners, modes, times, links, devices and data as the tree has them', () => {
    expect(walked(makeImage('plain.erofs'))).to.deep.equal(describeTree(tree));
  });

  it('reads extended inodes and no inlined tails', () => {
    const image = makeImage('extended.erofs', '-Eforce-inode-extended,noinline_data');
    expect(walked(image)).to.deep.equal(describeTree(tree));
  });

  it('reads files stored in chunks, holes included', () => {
    expect(walked(makeImage('chunks.erofs', '--chunksize=4096'))).to.deep.equal(describeTree(tree));
    expect(walked(makeImage('chunks2.erofs', '--chunksize=65536'))).to.deep.equal(describeTree(tree));
  });

  it('reads the images that runnc makes, whose programs lie in pieces', async () => {
    const programs = join(scratch, 'programs');
    fs.mkdirSync(programs);
    for (const path of ['/bin/sh', '/usr/bin/busybox', '/lib/x86_64-linux-gnu/libc.so.6']) {
      fs.copyFileSync(path, join(programs, path.replaceAll('/', '-')));
    }
    const cacheDir = join(scratch, 'cache');
    const image = await openRootfsImage({ rootfs: programs, format: 'erofs', cacheDir });
    try {
      expect(image.segments).to.not.equal(undefined);
      expect(walked(`/proc/${process.pid}/fd/${image.fd}`)).to.deep.equal(describeTree(programs));
    } finally {
      fs.closeSync(image.fd);
    }
  });

  it('gives compact inodes the time of the image', () => {
    const image = makeImage('compact.erofs', '--all-root', '-Eforce-inode-compact', '-T1234567');
    const times = new Set(walked(image).map((line) => /mtime=(\S+)/.exec(line)?.[1]));
    expect([...times]).to.deep.equal(['1234567.0']);
  });

  it('refuses what is no EROFS image, a compressed one and a torn one with an error', () => {
    const refusal = (image: string): string => {
      try {
        return execFileSync(walk, [image], { stdio: ['ignore', 'ignore', 'pipe'] }).toString();
      } catch (error) {
        return String((error as { stderr: Buffer }).stderr);
      }
    };
    const junk = join(scratch, 'junk');
    fs.writeFileSync(junk, Buffer.alloc(5000));
    expect(refusal(junk)).to.match(/Invalid argument/);
    expect(refusal(makeImage('packed.erofs', '-zlz4hc'))).to.match(/Operation not supported/);
    const torn = join(scratch, 'torn');
    fs.copyFileSync(makeImage('whole.erofs'), torn);
    fs.truncateSync(torn, 1400);
    expect(refusal(torn)).to.match(/Structure needs cleaning|Invalid argument/);
  });

  it('walks 3000 damaged images without touching a byte outside of them', () => {
    for (const [seed, ...options] of [['1'], ['2', '--chunksize=4096'], ['3', '-Eforce-inode-extended']]) {
      const small = join(scratch, 'small');
      fs.mkdirSync(join(small, 'd/e'), { recursive: true });
      for (let i = 0; i < 60; i++) fs.writeFileSync(join(small, 'd', `n${i}`), 'x'.repeat(i * 97));
      fs.symlinkSync('n1', join(small, 'd', `l${seed}`));
      const image = join(scratch, 'small.erofs');
      execFileSync('mkfs.erofs', ['--quiet', ...options, image, small], { stdio: 'ignore' });
      const said = execFileSync(walk, [image, seed ?? '', '1000'], { encoding: 'utf8' });
      const refused = Number(/^(\d+) of 1000/.exec(said)?.[1]);
      expect(refused, said).to.be.greaterThan(50);
    }
  });
});
