/** Trees to be packed, and what is to be found again. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRootfsImage } from '../../src/rootfs/open.ts';
import type { OpenRootfsOptions, RootfsImage } from '../../src/rootfs/rootfs-image.ts';

export const isRoot = process.geteuid?.() === 0;

/** A folder for one suite, gone after it. */
export function scratchFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'runnc-rootfs-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Everything that a file system can hold and a packer can get wrong. */
export function makeAwkwardTree(tree: string): void {
  fs.mkdirSync(tree, { mode: 0o755 });
  const at = (name: string): string => join(tree, name);
  const pattern = Buffer.alloc(300_000, 'abcdefghijklmnopqrstuvwxyz');
  for (const folder of ['empty', 'many', 'dev', 'sticky']) fs.mkdirSync(at(folder));
  // Sizes at the borders of blocks, of what stands beside an inode, and of pieces.
  for (const size of [0, 1, 2047, 2048, 2049, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 300_000]) {
    fs.writeFileSync(at(`size-${size}`), pattern.subarray(0, size));
  }
  for (let i = 0; i < 700; i++) fs.writeFileSync(at(`many/name-${i}-${'x'.repeat(i % 100)}`), `${i}`);
  const deep = Array.from({ length: 20 }, (_, i) => `level-${i}`).join('/');
  fs.mkdirSync(at(deep), { recursive: true });
  fs.writeFileSync(at(`${deep}/bottom`), 'deep');

  fs.writeFileSync(at('n'.repeat(255)), 'long');
  fs.writeFileSync(at(`${'n'.repeat(254)}m`), 'as long');
  for (const name of [
    'zażółć gęślą jaźń',
    '日本語',
    '🦊',
    '-rf',
    'a b',
    'new\nline',
    'q"uo\'te\\',
    'A',
    'a',
    '!',
    '.hidden',
    'x.tar.gz',
    'X.TAR.GZ',
    '*?[',
  ]) {
    fs.writeFileSync(at(name), name);
  }
  fs.linkSync(at('size-4097'), at('empty/hard'));
  fs.linkSync(at('size-4097'), at('hard too'));
  fs.symlinkSync('../size-1', at('empty/relative'));
  fs.symlinkSync('/etc/passwd', at('absolute'));
  fs.symlinkSync('nowhere', at('dangling'));
  fs.symlinkSync('loop', at('loop'));
  fs.symlinkSync(Array.from({ length: 90 }, () => 'component').join('/'), at('long-link'));

  const sparse = fs.openSync(at('sparse'), 'w');
  fs.writeSync(sparse, 'begin', 0);
  fs.writeSync(sparse, 'middle', 5_000_001);
  fs.ftruncateSync(sparse, 12_345_678);
  fs.closeSync(sparse);

  execFileSync('mkfifo', [at('fifo')]);
  makeSocket(at('socket'));
  if (isRoot) {
    execFileSync('mknod', [at('dev/null'), 'c', '1', '3']);
    execFileSync('mknod', [at('dev/large'), 'b', '300', '70000']);
    fs.chownSync(at('size-1'), 1234, 70_000);
    fs.lchownSync(at('dangling'), 4_000_000_000, 1);
  }
  fs.writeFileSync(at('setuid'), 'x');
  fs.chmodSync(at('setuid'), 0o6755);
  fs.writeFileSync(at('secret'), 'x', { mode: 0o000 });
  fs.chmodSync(at('sticky'), 0o1777);
  // Before the epoch too, and with nanoseconds: 1.5 s keeps them through a double.
  fs.utimesSync(at('a'), 1.5, 86_400.25);
  fs.utimesSync(at('empty'), 5, 7);
  fs.lutimesSync(at('absolute'), 5, 1_000_000_000);
}

/** The same tree again, made backwards: other inodes, another order of listing. */
export function copyTree(tree: string, copy: string): void {
  fs.mkdirSync(copy);
  const copying =
    'cd "$1" && find . -print0 | LC_ALL=C sort -zr | tar --format=posix --null --no-recursion -T - -cf - | ' +
    'tar -xpf - --numeric-owner -C "$2" && touch -r "$1" "$2"';
  execFileSync('sh', ['-c', copying, 'sh', tree, copy], { stdio: 'ignore' });
  // tar leaves sockets out.
  const [from, to] = [join(tree, 'socket'), join(copy, 'socket')];
  makeSocket(to);
  fs.chmodSync(to, fs.lstatSync(from).mode & 0o7777);
  execFileSync('touch', ['-r', from, to]);
  execFileSync('touch', ['-r', tree, copy]);
}

function makeSocket(path: string): void {
  execFileSync('python3', ['-c', 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])', path]);
}

export interface Described {
  readonly times: 'nanoseconds' | 'seconds' | 'none';
  /** Device numbers and link counts of files are not told by every reader. */
  readonly links?: boolean;
  readonly sockets?: boolean;
}

/** A line for each entry: all that must survive. */
export function describeTree(root: string, options: Described = { times: 'nanoseconds' }): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    const full = Buffer.from(root + path, 'latin1');
    const stat = fs.lstatSync(full, { bigint: true });
    if (stat.isSocket() && options.sockets === false) return;
    const parts = [path || '/', stat.mode.toString(8), `${stat.uid}:${stat.gid}`];
    if (options.times === 'nanoseconds') parts.push(String(stat.mtimeNs));
    if (options.times === 'seconds') parts.push(String(stat.mtimeNs / 1_000_000_000n));
    if (options.links !== false) parts.push(`links=${stat.nlink}`);
    if (stat.isCharacterDevice() || stat.isBlockDevice()) parts.push(`rdev=${stat.rdev}`);
    if (stat.isFile())
      parts.push(String(stat.size), createHash('sha256').update(fs.readFileSync(full)).digest('hex'));
    if (stat.isSymbolicLink()) parts.push(fs.readlinkSync(full, 'latin1'));
    lines.push(parts.join(' '));
    if (!stat.isDirectory()) return;
    for (const name of fs.readdirSync(full, 'latin1')) visit(`${path}/${name}`);
  };
  visit('');
  return lines.sort();
}

/** Opens an image, gives it to `use` as a path that other programs can open, and closes it. */
export async function withImage<T>(
  options: OpenRootfsOptions,
  use: (path: string, image: RootfsImage) => T | Promise<T>,
): Promise<T> {
  const image = await openRootfsImage(options);
  try {
    return await use(`/proc/${process.pid}/fd/${image.fd}`, image);
  } finally {
    closeImage(image);
  }
}

export function closeImage({ fd }: RootfsImage): void {
  fs.closeSync(fd);
}

export function sha256(path: string): string {
  return createHash('sha256').update(fs.readFileSync(path)).digest('hex');
}

/** What a promise is rejected with; fails if it is not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Every file below a folder, relative to it. */
export function filesBelow(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
