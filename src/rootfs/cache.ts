/**
 * The cache of rootfs images: a folder that any number of processes use at once, without a daemon.
 *
 *     entries/KEY/{image,entry.json}            complete and on disk: made in tmp/, then renamed
 *     tmp/KEY                                   being made by whoever holds building/KEY.lock
 *     tmp/removed-…                             being removed
 *     building/KEY.lock                         so that one builds and others wait
 *
 * An entry appears and disappears by one rename, so it is never seen in part; a crash leaves only what the next
 * build or prune sweeps away. Who uses an image holds a shared lock on its open file description: it goes with the
 * descriptor into the sandbox and ends with the last process that has it open or mapped. Who removes an image takes
 * the exclusive lock first.
 *
 * The folder belongs to its user alone, so nobody else can put an image there.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { DEFAULT_CACHE_LIMIT_BYTES } from '../host-config.ts';
import { lockFile, tryLockFile } from '../native.ts';
import {
  type CachedFile,
  cacheError,
  type CacheEntry,
  checkSize,
  defaultCacheDir,
  entryPath,
  isThere,
  openEntry,
  type OpenedEntry,
  parseEntry,
} from './cache-entry.ts';
import { NoSpaceError } from './no-space.ts';

/** One line of `runnc cache ls`. */
export interface ListedEntry {
  readonly entry: CacheEntry;
  readonly diskBytes: number;
  readonly lastUsed: Date;
  readonly inUse: boolean;
}

/** What a builder is given: a folder to put `image` in. Returns what entry.json says of them. */
export type Build = (
  folder: string,
) => Promise<Pick<CacheEntry, 'format' | 'source' | 'image' | 'segmentsArea'>>;

const KEY = /^[0-9a-f]{64}$/;

export class Cache {
  readonly dir: string;
  readonly #limitBytes: number;
  readonly #warn: (message: string) => void;

  constructor(
    dir = defaultCacheDir(),
    options: { limitBytes?: number | undefined; onWarning?: ((message: string) => void) | undefined } = {},
  ) {
    this.dir = dir;
    this.#limitBytes = options.limitBytes ?? DEFAULT_CACHE_LIMIT_BYTES;
    this.#warn = options.onWarning ?? (() => undefined);
  }

  /** The entry of that key, if it is there and whole as far as its sizes tell. The caller closes the descriptors. */
  async open(key: string): Promise<OpenedEntry | undefined> {
    const found = await openEntry(this.dir, key);
    if (found === undefined || 'imageFd' in found) return found;
    this.#warn(
      `cached image ${key.slice(0, 12)} is damaged and is built again: ${errorMessage(found.damage)}`,
    );
    this.#remove(key, { force: true });
    return undefined;
  }

  /**
   * The entry of that key, built if it is not there. Several processes that want the same key build it once. When
   * the disk is full, images that nobody uses make room, and it is tried once more.
   */
  async openOrBuild(key: string, build: Build): Promise<OpenedEntry> {
    const found = await this.open(key);
    if (found !== undefined) return found;
    this.#createFolders();
    const lock = await this.#lockKey(key);
    try {
      const others = await this.open(key);
      if (others !== undefined) return others;
      let built: OpenedEntry;
      try {
        built = await this.#build(key, build);
      } catch (error) {
        if (!(error instanceof NoSpaceError) || (await this.prune({ toBytes: 0 })).length === 0) throw error;
        built = await this.#build(key, build);
      }
      await this.prune({ toBytes: this.#limitBytes });
      return built;
    } finally {
      rmSync(this.#lockPath(key), { force: true });
      closeSync(lock);
    }
  }

  /** Every entry, the most recently used first. */
  list(): ListedEntry[] {
    return this.keys()
      .flatMap((key) => {
        const listed = this.#listed(key);
        return listed === undefined ? [] : [listed];
      })
      .sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
  }

  /**
   * Sweeps away what crashes left, then removes the least recently used entries that nobody uses until the rest
   * takes at most `toBytes` on disk. Returns what was removed.
   */
  async prune({ toBytes }: { toBytes: number }): Promise<ListedEntry[]> {
    this.#sweep();
    const entries = this.list();
    let total = entries.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
    const removed: ListedEntry[] = [];
    for (const listed of entries.reverse()) {
      if (total <= toBytes) break;
      if (!this.#remove(listed.entry.key, { force: false })) continue;
      total -= listed.diskBytes;
      removed.push(listed);
    }
    return removed;
  }

  /**
   * Removes an entry by its key or the beginning of it. Containers that run from it keep it: the disk is freed when
   * the last one ends. Without `force` an entry in use is an error.
   */
  remove(keyOrPrefix: string, { force }: { force: boolean }): string {
    const key = this.find(keyOrPrefix);
    if (!this.#remove(key, { force })) {
      throw new RunncError(
        'STATE',
        `image ${key.slice(0, 12)} is in use: stop its containers first, or use --force`,
      );
    }
    return key;
  }

  /** Reads every byte of an entry; says what is wrong with it, undefined if nothing is. */
  async verify(key: string): Promise<string | undefined> {
    const folder = this.#entryPath(key);
    try {
      const entry = readEntry(join(folder, 'entry.json'), key);
      return await checkFile(folder, 'image', entry.image);
    } catch (error) {
      return errorMessage(error);
    }
  }

  async #build(key: string, build: Build): Promise<OpenedEntry> {
    const folder = join(this.dir, 'tmp', key);
    try {
      // A build of the same key that was killed may have left it.
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { mode: 0o700 });
      const entry: CacheEntry = {
        version: 1,
        key,
        created: new Date().toISOString(),
        ...(await build(folder)),
      };
      writeSynced(join(folder, 'entry.json'), JSON.stringify(entry) + '\n');
      syncFolder(folder);
      return this.#publish(entry, folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw cacheError(this.dir, error);
    }
  }

  /** Opened and locked before anybody can see it: or a prune could take it away first. */
  #publish(entry: CacheEntry, folder: string): OpenedEntry {
    const imageFd = openSync(join(folder, 'image'), constants.O_RDONLY);
    try {
      if (!tryLockFile(imageFd, 'shared')) throw new RunncError('INTERNAL', 'a new image is locked');
      renameSync(folder, this.#entryPath(entry.key));
      syncFolder(join(this.dir, 'entries'));
      return { entry, imageFd };
    } catch (error) {
      closeSync(imageFd);
      throw error;
    }
  }

  /** False if it is in use and not to be forced. */
  #remove(key: string, { force }: { force: boolean }): boolean {
    const lock = this.#lockForRemoval(key);
    if (lock === 'in use' && !force) return false;
    try {
      const grave = join(this.dir, 'tmp', `removed-${crypto.randomUUID()}`);
      renameSync(this.#entryPath(key), grave);
      rmSync(grave, { recursive: true, force: true });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return true; // somebody else was faster
      throw cacheError(this.dir, error);
    } finally {
      if (typeof lock === 'number') closeSync(lock);
    }
  }

  #lockForRemoval(key: string): number | 'in use' | 'damaged' {
    let fd: number;
    try {
      fd = openSync(join(this.#entryPath(key), 'image'), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch {
      return 'damaged';
    }
    if (tryLockFile(fd, 'exclusive')) return fd;
    closeSync(fd);
    return 'in use';
  }

  /** The lock file is removed when the build is over: whoever waited for it makes sure that he holds the current one. */
  async #lockKey(key: string): Promise<number> {
    const path = this.#lockPath(key);
    for (;;) {
      const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
      if (!tryLockFile(fd, 'exclusive')) await lockFile(fd, 'exclusive');
      if (isThere(path, fd)) return fd;
      closeSync(fd);
    }
  }

  /** What crashes left: folders that were being removed, builds whose lock nobody holds any more. */
  #sweep(): void {
    const keys = new Set(listFolder(join(this.dir, 'building')).map((name) => name.replace(/\.lock$/, '')));
    for (const name of listFolder(join(this.dir, 'tmp'))) {
      if (name.startsWith('removed-')) rmSync(join(this.dir, 'tmp', name), { recursive: true, force: true });
      else keys.add(name);
    }
    for (const key of keys) if (KEY.test(key)) this.#sweepBuild(key);
  }

  #sweepBuild(key: string): void {
    const lockPath = this.#lockPath(key);
    const fd = openSync(lockPath, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      if (!tryLockFile(fd, 'exclusive') || !isThere(lockPath, fd)) return;
      rmSync(join(this.dir, 'tmp', key), { recursive: true, force: true });
      unlinkSync(lockPath);
    } finally {
      closeSync(fd);
    }
  }

  #listed(key: string): ListedEntry | undefined {
    const folder = this.#entryPath(key);
    try {
      const names = readdirSync(folder);
      const diskBytes = names.reduce((sum, name) => sum + lstatSync(join(folder, name)).blocks * 512, 0);
      const entry = readEntry(join(folder, 'entry.json'), key);
      const { mtime } = statSync(join(folder, 'entry.json'));
      return { entry, diskBytes, lastUsed: mtime, inUse: this.#isInUse(key) };
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') this.#warn(`cached image ${key.slice(0, 12)}: ${errorMessage(error)}`);
      return undefined;
    }
  }

  #isInUse(key: string): boolean {
    const lock = this.#lockForRemoval(key);
    if (typeof lock === 'number') closeSync(lock);
    return lock === 'in use';
  }

  /** The key that begins so, with 4 digits at least. Throws NOT_FOUND or INVALID. */
  find(prefix: string): string {
    const keys = /^[0-9a-f]{4,64}$/.test(prefix) ? this.keys().filter((key) => key.startsWith(prefix)) : [];
    const [key] = keys;
    if (key === undefined) throw new RunncError('NOT_FOUND', `image ${prefix} does not exist in ${this.dir}`);
    if (keys.length > 1)
      throw new RunncError('INVALID', `image ${prefix}: several begin so, give more digits`);
    return key;
  }

  /** All keys, of damaged entries too. */
  keys(): string[] {
    return listFolder(join(this.dir, 'entries')).filter((name) => KEY.test(name));
  }

  #entryPath(key: string): string {
    return entryPath(this.dir, key);
  }

  #lockPath(key: string): string {
    return join(this.dir, 'building', `${key}.lock`);
  }

  #createFolders(): void {
    try {
      for (const name of ['entries', 'tmp', 'building'])
        mkdirSync(join(this.dir, name), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw cacheError(this.dir, error);
    }
    const { uid, mode } = statSync(this.dir);
    if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) {
      throw new RunncError(
        'HOST',
        `the cache ${this.dir} must belong to the user of runnc and be writable by nobody else`,
      );
    }
  }
}

async function checkFile(folder: string, name: string, expected: CachedFile): Promise<string | undefined> {
  const { contentHash } = await import('./image-writer.ts');
  const fd = openSync(join(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    checkSize(fd, name, expected);
    return contentHash(fd) === expected.contentHash ? undefined : `${name}: its content was altered`;
  } finally {
    closeSync(fd);
  }
}

function readEntry(path: string, key: string): CacheEntry {
  return parseEntry(readFileSync(path, 'utf8'), key);
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw new RunncError('HOST', `the cache ${path} cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function writeSynced(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
