/**
 * The file calls of the verbs whose start-up time counts, with the names and the manners of node:fs: that module alone
 * takes the one-file program 0.8 ms to load, as long as all that a short verb does. Made by the addon, which every verb
 * loads anyway. Errors are system errors (errnoOf); every descriptor is close-on-exec.
 *
 * What only slow verbs need is not here: they use node:fs.
 */
import { addon } from './native.ts';

/** open(2) and access(2) on Linux, as node:fs has them in `constants`. */
export const constants = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
  W_OK: 2,
} as const;

/** open(2): only to name a file, for openat2(2) and /proc/self/fd. node:fs does not know it. */
export const O_PATH = 0o10000000;

/** stat(2) as the addon gives it. */
export interface RawStat {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  /** "DEVICE:INODE", exact. */
  readonly inode: string;
  /** Exact. */
  readonly ctimeNs: string;
}

/** The type in a mode (inode(7)). */
export const S_IFMT = 0o170000;

export class Stat {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blocks: number;
  readonly inode: string;
  readonly ctimeNs: string;
  readonly #raw: RawStat;

  constructor(raw: RawStat) {
    this.dev = raw.dev;
    this.ino = raw.ino;
    this.mode = raw.mode;
    this.nlink = raw.nlink;
    this.uid = raw.uid;
    this.gid = raw.gid;
    this.rdev = raw.rdev;
    this.size = raw.size;
    this.blocks = raw.blocks;
    this.inode = raw.inode;
    this.ctimeNs = raw.ctimeNs;
    this.#raw = raw;
  }

  get mtimeNs(): bigint {
    return BigInt(this.#raw.mtimeSeconds) * 1_000_000_000n + BigInt(this.#raw.mtimeNanoseconds);
  }

  isFile(): boolean {
    return this.#is(0o100000);
  }

  isDirectory(): boolean {
    return this.#is(0o040000);
  }

  isCharacterDevice(): boolean {
    return this.#is(0o020000);
  }

  isSocket(): boolean {
    return this.#is(0o140000);
  }

  isFIFO(): boolean {
    return this.#is(0o010000);
  }

  #is(type: number): boolean {
    return (this.mode & S_IFMT) === type;
  }
}

export function openSync(path: string, flags: number, mode = 0o666): number {
  return addon().open(path, flags, mode);
}

export function closeSync(fd: number): void {
  addon().close(fd);
}

/** `position`: where in the file; left out, from where the descriptor stands. */
export function readSync(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position?: number,
): number {
  return addon().read(fd, buffer, offset, length, position ?? -1);
}

/** One write(2); how many bytes it took. */
export function writeSync(fd: number, data: string | Uint8Array): number {
  return addon().write(fd, data);
}

/** Of an open file: from where its descriptor stands. */
export function readFileSync(file: string | number): Buffer;
export function readFileSync(file: string | number, encoding: 'utf8' | 'latin1'): string;
export function readFileSync(file: string | number, encoding?: 'utf8' | 'latin1'): Buffer | string {
  return addon().readFile(file, encoding ?? '', false) ?? '';
}

/** Undefined: there is no such file. Cheaper than to catch what readFileSync throws. */
export function readIfThere(path: string, encoding: 'utf8' | 'latin1'): string | undefined {
  return addon().readFile(path, encoding, true);
}

const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = constants;

export function writeFileSync(
  path: string,
  data: string | Uint8Array,
  { mode = 0o666 }: { readonly mode?: number } = {},
): void {
  addon().writeFile(path, data, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

export function appendFileSync(
  path: string,
  data: string | Uint8Array,
  { mode = 0o666 }: { readonly mode?: number } = {},
): void {
  addon().writeFile(path, data, O_WRONLY | O_CREAT | O_APPEND, mode);
}

/** `recursive`: with the folders above, and a folder that is there is no error. */
export function mkdirSync(
  path: string,
  { recursive = false, mode = 0o777 }: { readonly recursive?: boolean; readonly mode?: number } = {},
): void {
  addon().mkdir(path, mode, recursive);
}

export function rmdirSync(path: string): void {
  addon().rmdir(path);
}

export function unlinkSync(path: string): void {
  addon().unlink(path);
}

export function renameSync(from: string, to: string): void {
  addon().rename(from, to);
}

export function symlinkSync(target: string, path: string): void {
  addon().symlink(path, target);
}

export function readlinkSync(path: string): string {
  return addon().readlink(path, false) ?? '';
}

/** Undefined: there is no such file. */
export function readlinkIfThere(path: string): string | undefined {
  return addon().readlink(path, true);
}

/** The names in a folder, in no order. */
export function readdirSync(path: string): string[] {
  return addon().readdir(path, false);
}

/** Of the folders in it alone; links to folders are none. */
export function foldersIn(path: string): string[] {
  return addon().readdir(path, true);
}

export function existsSync(path: string): boolean {
  return addon().exists(path);
}

export function accessSync(path: string, mode: number): void {
  addon().access(path, mode);
}

export function realpathSync(path: string): string {
  return addon().realpath(path);
}

/** Links are followed. */
export function statSync(path: string): Stat {
  return new Stat(addon().stat(path, false) as RawStat);
}

/** Undefined: there is no such file. */
export function statIfThere(path: string): Stat | undefined {
  const raw = addon().stat(path, true);
  return raw === undefined ? undefined : new Stat(raw);
}

export function fstatSync(fd: number): Stat {
  return new Stat(addon().fstat(fd));
}

/** The times of an open file become now. */
export function touch(fd: number): void {
  addon().touch(fd);
}

/** The kind of file system: a number of linux/magic.h. */
export function fileSystemType(path: string): number {
  return addon().statfs(path);
}
