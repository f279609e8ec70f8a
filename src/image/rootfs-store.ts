/**
 * Images unpacked to folders, each once, for `runnc run IMAGE`. Used by many processes at once, without a daemon.
 *
 *     entries/HEX/{rootfs/,entry.json,lock}   complete and on disk: made in tmp/, then renamed
 *     tmp/HEX                                 being made by whoever holds building/HEX.lock
 *     tmp/removed-…                           being removed
 *
 * HEX is that of the chain id (image-spec config.md): the layers, whatever the image's other settings. Who uses an entry
 * holds a shared lock on its `lock`; who removes one takes that exclusively. A container needs its entry while it is
 * created: later it runs from the image in the cache of src/rootfs. The least recently used entries go when all take
 * more than the limit.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { errnoOf, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { DEFAULT_CACHE_LIMIT_BYTES } from '../host-config.ts';
import { lockFile, syncFileSystem, tryLockFile } from '../native.ts';
import { removeTree } from '../remove-tree.ts';
import { decompress } from './decompress.ts';
import { digestOf, finishDigest, hexOf, startDigest } from './digest.ts';
import type { Image } from './platform.ts';
import type { ImageStore } from './store.ts';
import { isThere, makePrivateFolders, namesIn, storeError, syncFolder } from './store-folder.ts';
import { Unpacker, type UnpackOptions } from './unpack.ts';

export interface UnpackedImage {
  /** Absolute path of the folder. Not to be changed. */
  readonly rootfs: string;
  /** What its content is known by: see OpenRootfsOptions. */
  readonly contentId: string;
  /** It may be removed from now on. */
  close(): void;
}

export interface RootfsStoreOptions extends UnpackOptions {
  readonly limitBytes?: number;
  /** Bytes of layers that were unpacked, of all. */
  readonly onProgress?: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void;
}

interface Entry {
  readonly version: 1;
  readonly bytes: number;
}

const HEX = /^[0-9a-f]{64}$/;

/** The identity of all layers together (image-spec config.md). */
export function chainId(diffIds: readonly string[]): string {
  const [first = digestOf(''), ...others] = diffIds;
  return others.reduce((chain, diffId) => digestOf(`${chain} ${diffId}`), first);
}

/** Only root's has the owners and devices of the layers. */
function contentId(hex: string): string {
  return `sha256:${hex} unpacked by ${process.geteuid?.() === 0 ? 'root' : 'a user'}`;
}

export class RootfsStore {
  readonly folder: string;
  readonly #options: RootfsStoreOptions;

  constructor(folder: string, options: RootfsStoreOptions = {}) {
    this.folder = folder;
    this.#options = options;
  }

  /**
   * The image's files, unpacked now if they are not there. Throws INVALID for layers that are not what the configuration
   * says or that are hostile, HOST; nothing is left then.
   */
  async open(store: ImageStore, image: Image): Promise<UnpackedImage> {
    makePrivateFolders(this.folder, ['entries', 'tmp', 'building']);
    const hex = hexOf(chainId(image.config.rootfs.diff_ids));
    const found = await this.#tryOpen(hex);
    if (found !== undefined) return found;
    const lock = await this.#lockBuild(hex);
    try {
      const others = await this.#tryOpen(hex);
      if (others !== undefined) return others;
      await this.#unpack(hex, store, image);
      const opened = await this.#tryOpen(hex);
      if (opened === undefined) throw new RunncError('HOST', `${this.folder}: ${hex} was removed at once`);
      this.prune(this.#options.limitBytes ?? DEFAULT_CACHE_LIMIT_BYTES);
      return opened;
    } catch (error) {
      throw storeError(this.folder, error);
    } finally {
      rmSync(this.#lockPath(hex), { force: true });
      closeSync(lock);
    }
  }

  /**
   * Sweeps away what crashes left; then removes entries that nobody uses: those that `isNeeded` does not want, and the
   * least recently used ones until the rest takes at most `toBytes`. Returns the bytes that are free.
   */
  prune(toBytes: number, isNeeded: (chainId: string) => boolean = () => true): number {
    this.#sweep();
    const entries = namesIn(`${this.folder}/entries`).flatMap((hex) => {
      const stat = statSync(`${this.#path(hex)}/entry.json`, { throwIfNoEntry: false });
      return HEX.test(hex) ? [{ hex, usedMs: stat?.mtimeMs ?? 0, bytes: this.#read(hex)?.bytes ?? 0 }] : [];
    });
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    let freed = 0;
    for (const { hex, bytes } of entries.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= toBytes && isNeeded(`sha256:${hex}`)) continue;
      if (!this.#remove(hex)) continue;
      total -= bytes;
      freed += bytes;
    }
    return freed;
  }

  async #tryOpen(hex: string): Promise<UnpackedImage | undefined> {
    const path = this.#path(hex);
    let lock: number;
    try {
      lock = openSync(`${path}/lock`, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw storeError(this.folder, error);
    }
    if (!tryLockFile(lock, 'shared')) await lockFile(lock, 'shared');
    if (!isThere(`${path}/lock`, lock) || this.#read(hex) === undefined) {
      closeSync(lock);
      return undefined;
    }
    const fd = openSync(`${path}/entry.json`, constants.O_RDONLY);
    futimesSync(fd, new Date(), new Date());
    closeSync(fd);
    return { rootfs: `${path}/rootfs`, contentId: contentId(hex), close: () => closeSync(lock) };
  }

  async #unpack(hex: string, store: ImageStore, image: Image): Promise<void> {
    const folder = `${this.folder}/tmp/${hex}`;
    // An unpacking of the same that was killed may have left it; so may an entry without its entry.json.
    removeTree(folder);
    this.#remove(hex);
    try {
      mkdirSync(`${folder}/rootfs`, { recursive: true, mode: 0o700 });
      const bytes = await this.#unpackLayers(`${folder}/rootfs`, store, image);
      const entry: Entry = { version: 1, bytes };
      writeFileSync(`${folder}/lock`, '', { mode: 0o600 });
      writeFileSync(`${folder}/entry.json`, JSON.stringify(entry), { mode: 0o600 });
      // One call for all those files.
      const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        syncFileSystem(fd);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      reached('image-unpacked');
      renameSync(folder, this.#path(hex));
      syncFolder(`${this.folder}/entries`);
      reached('rootfs-placed');
    } catch (error) {
      removeTree(folder);
      throw error;
    }
  }

  async #unpackLayers(folder: string, store: ImageStore, { manifest, config }: Image): Promise<number> {
    const { onProgress } = this.#options;
    const totalBytes = manifest.layers.reduce((sum, { size }) => sum + size, 0);
    let doneBytes = 0;
    async function* counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        yield chunk;
        doneBytes += chunk.length;
        onProgress?.({ doneBytes, totalBytes });
      }
    }
    chmodSync(folder, 0o755);
    const unpacker = new Unpacker(folder, this.#options);
    try {
      for (const [i, layer] of manifest.layers.entries()) {
        const where = `layer ${layer.digest}`;
        const hash = startDigest();
        const plain = decompress(counted(store.readBlob(layer.digest)), where);
        await unpacker.layer(hashed(plain, hash), where);
        const found = finishDigest(hash);
        if (found !== config.rootfs.diff_ids[i]) {
          throw new RunncError(
            'INVALID',
            `${where}: unpacks to ${found}, not to what the image's configuration names`,
          );
        }
        reached('layer-unpacked');
      }
      unpacker.finish();
      return unpacker.bytes;
    } finally {
      unpacker.close();
    }
  }

  /** undefined if it is damaged. */
  #read(hex: string): Entry | undefined {
    try {
      const entry = JSON.parse(readFileSync(`${this.#path(hex)}/entry.json`, 'utf8')) as Partial<Entry>;
      return entry.version === 1 && typeof entry.bytes === 'number'
        ? { version: 1, bytes: entry.bytes }
        : undefined;
    } catch {
      return undefined;
    }
  }

  /** False if it is in use. */
  #remove(hex: string): boolean {
    let lock: number | undefined;
    try {
      lock = openSync(`${this.#path(hex)}/lock`, constants.O_RDONLY | constants.O_NOFOLLOW);
      if (!tryLockFile(lock, 'exclusive')) return false;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    try {
      const grave = `${this.folder}/tmp/removed-${crypto.randomUUID()}`;
      renameSync(this.#path(hex), grave);
      removeTree(grave);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storeError(this.folder, error);
    } finally {
      if (lock !== undefined) closeSync(lock);
    }
    return true;
  }

  async #lockBuild(hex: string): Promise<number> {
    for (;;) {
      const path = this.#lockPath(hex);
      const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
      if (!tryLockFile(fd, 'exclusive')) await lockFile(fd, 'exclusive');
      if (isThere(path, fd)) return fd;
      closeSync(fd);
    }
  }

  #sweep(): void {
    const begun = namesIn(`${this.folder}/building`).map((name) => name.replace(/\.lock$/, ''));
    for (const name of namesIn(`${this.folder}/tmp`)) {
      if (name.startsWith('removed-')) removeTree(`${this.folder}/tmp/${name}`);
      else begun.push(name);
    }
    for (const hex of new Set(begun)) if (HEX.test(hex)) this.#sweepBuild(hex);
  }

  #sweepBuild(hex: string): void {
    const fd = openSync(
      this.#lockPath(hex),
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      if (!tryLockFile(fd, 'exclusive') || !isThere(this.#lockPath(hex), fd)) return;
      removeTree(`${this.folder}/tmp/${hex}`);
      rmSync(this.#lockPath(hex), { force: true });
    } finally {
      closeSync(fd);
    }
  }

  #path(hex: string): string {
    return `${this.folder}/entries/${hex}`;
  }

  #lockPath(hex: string): string {
    return `${this.folder}/building/${hex}.lock`;
  }
}

async function* hashed(
  source: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof startDigest>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}
