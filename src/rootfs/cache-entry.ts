/** An image of the cache that is there already: all that a start needs of it, and no more (see cache.ts). */
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, touch } from '../files.ts';
import { isHostRoot } from '../host-user.ts';
import { lockFile, tryLockFile } from '../native.ts';
import { join } from '../path.ts';
import { NoSpaceError } from './no-space.ts';
import type { RootfsFormat } from './rootfs-image.ts';
import type { SegmentsArea } from './segments.ts';

/** entry.json */
export interface CacheEntry {
  readonly version: 1;
  /** 64 hexadecimal digits. */
  readonly key: string;
  readonly format: RootfsFormat;
  /** The rootfs it was made of. */
  readonly source: string;
  /** ISO 8601. */
  readonly created: string;
  readonly image: CachedFile;
  /** The part of the image that holds programs as they lie in memory. */
  readonly segmentsArea?: SegmentsArea;
}

export interface CachedFile {
  readonly sizeBytes: number;
  /** See image-writer.ts; hexadecimal. */
  readonly contentHash: string;
}

/** Open files of an entry, the image locked shared. */
export interface OpenedEntry {
  readonly entry: CacheEntry;
  readonly imageFd: number;
}

/** What keeps an entry from being used. */
export interface DamagedEntry {
  readonly damage: unknown;
}

/** /var/lib/runnc/cache for root; $XDG_CACHE_HOME/runnc or ~/.cache/runnc for others, in a user namespace too. */
export function defaultCacheDir(): string {
  if (isHostRoot()) return '/var/lib/runnc/cache';
  const base = process.env['XDG_CACHE_HOME'];
  // The XDG base directory specification: a relative path is to be ignored.
  if (base?.startsWith('/') === true) return join(base, 'runnc');
  return join(process.getBuiltinModule('node:os').homedir(), '.cache/runnc');
}

export function entryPath(dir: string, key: string): string {
  return join(dir, 'entries', key);
}

/**
 * The entry of that key of the cache in `dir`, if it is there and whole as far as its sizes tell; the image locked shared.
 * The caller closes the descriptor. Throws HOST.
 */
export async function openEntry(dir: string, key: string): Promise<OpenedEntry | DamagedEntry | undefined> {
  try {
    for (;;) {
      const found = await tryOpen(entryPath(dir, key), key);
      if (found !== 'gone') return found;
    }
  } catch (error) {
    throw cacheError(dir, error);
  }
}

/** System errors by the cache's name; anything else, such as the reason of a cancelled build, as it is. */
export function cacheError(dir: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof RunncError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new NoSpaceError(`the cache ${dir}`, error);
  return new RunncError('HOST', `the cache ${dir} cannot be used: ${errorMessage(error)}`, { cause: error });
}

async function tryOpen(path: string, key: string): Promise<OpenedEntry | DamagedEntry | undefined | 'gone'> {
  let folder: number;
  try {
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  // By the folder's descriptor: all files are of one entry, even if another takes its place just now.
  const at = (name: string): string => `/proc/self/fd/${String(folder)}/${name}`;
  const opened: number[] = [];
  const open = (name: string): number => {
    const fd = openSync(at(name), constants.O_RDONLY | constants.O_NOFOLLOW);
    opened.push(fd);
    return fd;
  };
  let keep = false;
  try {
    const imageFd = open('image');
    if (!tryLockFile(imageFd, 'shared')) await lockFile(imageFd, 'shared');
    const entryFd = open('entry.json');
    if (fstatSync(imageFd).nlink === 0 || fstatSync(folder).nlink === 0) return 'gone';
    const entry = parseEntry(readFileSync(entryFd, 'utf8'), key);
    checkSize(imageFd, 'image', entry.image);
    touch(entryFd);
    opened.splice(opened.indexOf(entryFd), 1);
    closeSync(entryFd);
    keep = true;
    return { entry, imageFd };
  } catch (error) {
    if (fstatSync(folder).nlink === 0 || !isThere(path, folder)) return 'gone';
    return { damage: error };
  } finally {
    if (!keep) opened.forEach((fd) => closeSync(fd));
    closeSync(folder);
  }
}

export function checkSize(fd: number, name: string, expected: CachedFile): void {
  const { size } = fstatSync(fd);
  if (size === expected.sizeBytes) return;
  throw new RunncError('HOST', `${name} has ${String(size)} bytes instead of ${String(expected.sizeBytes)}`);
}

/** Throws if runnc has not written that. */
export function parseEntry(text: string, key: string): CacheEntry {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    entry = undefined;
  }
  if (!isCacheEntry(entry) || entry.key !== key)
    throw new RunncError('HOST', 'entry.json is not what runnc wrote');
  return entry;
}

function isCacheEntry(value: unknown): value is CacheEntry {
  if (!isRecord(value)) return false;
  return (
    value['version'] === 1 &&
    typeof value['key'] === 'string' &&
    (value['format'] === 'iso9660' || value['format'] === 'erofs') &&
    typeof value['source'] === 'string' &&
    typeof value['created'] === 'string' &&
    isCachedFile(value['image']) &&
    (value['segmentsArea'] === undefined || isSegmentsArea(value['segmentsArea']))
  );
}

function isCachedFile(value: unknown): value is CachedFile {
  return (
    isRecord(value) && typeof value['sizeBytes'] === 'number' && typeof value['contentHash'] === 'string'
  );
}

function isSegmentsArea(value: unknown): value is SegmentsArea {
  return isRecord(value) && typeof value['offset'] === 'number' && typeof value['sizeBytes'] === 'number';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Does this path lead to this very file? */
export function isThere(path: string, fd: number): boolean {
  try {
    return statSync(path).inode === fstatSync(fd).inode;
  } catch {
    return false;
  }
}
