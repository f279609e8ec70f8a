/**
 * The store of images: an OCI image layout that any number of processes use at once, without a daemon.
 *
 *     oci-layout, index.json        the names: replaced as a whole
 *     blobs/sha256/HEX              complete, checked and on disk: written in tmp/, then renamed
 *     tmp/UUID, tmp/HEX.part        being written by whoever holds the lock on it; a part is gone on with later
 *     leases/UUID                   the digests that a running process needs and no name holds yet
 *     kept/NAME                     the digests that a cache would like to find again
 *     lock                          held shared to put or find a blob, exclusively to change names and to prune
 *
 * A name appears only when all that its image consists of is there, and what a name or a living lease leads to is
 * never removed. A crash leaves blobs without a name, which the next prune sweeps away. The folder belongs to its user
 * alone, so blobs are trusted once they are in it.
 */
import {
  closeSync,
  constants,
  createReadStream,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { resolve } from 'node:path';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { lockFile, tryLockFile } from '../native.ts';
import { writeAll, type ExpectedBlob } from './blob-writer.ts';
import {
  CONTAINERD_NAME,
  type Descriptor,
  type ImageConfig,
  type ImageIndex,
  type ImageManifest,
  isIndex,
  isManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  mediaTypes,
  parseConfig,
  parseIndex,
  parseManifest,
  REF_NAME,
} from './descriptor.ts';
import { digestOf, hexOf, isDigest } from './digest.ts';
import { normalizeReference } from './reference.ts';
import {
  defaultStoreFolder,
  fileSize,
  isThere,
  makePrivateFolders,
  namesIn,
  storeError,
  syncFolder,
} from './store-folder.ts';

export interface StoredImage {
  /** The whole name; undefined for an image without one. */
  readonly reference?: string;
  /** Of its manifest, or of an index. */
  readonly descriptor: Descriptor;
}

export interface Pruned {
  readonly digests: readonly string[];
  readonly freedBytes: number;
}

/** An index in an index and so on: nobody nests deeper. */
const MAX_DEPTH = 4;

const LAYOUT = JSON.stringify({ imageLayoutVersion: '1.0.0' });

export class ImageStore {
  readonly folder: string;
  /** Held locked; made when there is something to hold. */
  #lease: { readonly fd: number; readonly path: string; readonly held: Set<string> } | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes the folder if it is missing. Default: defaultStoreFolder(). Throws HOST. */
  static async open(given: string = defaultStoreFolder()): Promise<ImageStore> {
    // Containers name what is in it from folders of their own.
    const folder = resolve(given);
    makePrivateFolders(folder, ['blobs', 'blobs/sha256', 'tmp', 'leases', 'kept']);
    const store = new ImageStore(folder);
    if (fileSize(`${folder}/oci-layout`) === undefined) {
      await store.#locked('exclusive', () => store.#replaceFile('oci-layout', LAYOUT));
    }
    return store;
  }

  /** Gives up what this process holds: what has no name may be pruned from now on. The store can still be used. */
  release(): void {
    if (this.#lease === undefined) return;
    rmSync(this.#lease.path, { force: true });
    closeSync(this.#lease.fd);
    this.#lease = undefined;
  }

  /**
   * Stores what `source` gives, in bounded memory. Throws INVALID if digest or size are not the expected ones, HOST, and
   * what `source` throws; nothing is left then.
   */
  async putBlob(
    source: AsyncIterable<Uint8Array>,
    expected: ExpectedBlob = {},
  ): Promise<{ digest: string; size: number }> {
    const path = `${this.folder}/tmp/${crypto.randomUUID()}`;
    const fd = await this.#locked('shared', () => openLocked(path));
    try {
      const written = await writeAll(fd, source, expected);
      await this.#place(path, fd, written);
      return written;
    } catch (error) {
      rmSync(path, { force: true });
      throw this.#error(error);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * The same for a blob whose transfer may break off: `read` gives it from an offset on. What was written before, by
   * whomever, is not asked for again. Two processes that want the same blob get it once.
   */
  async resumeBlob(
    expected: Required<ExpectedBlob>,
    read: (offset: number) => AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const path = `${this.folder}/tmp/${hexOf(expected.digest)}.part`;
    const fd = await this.#lockPart(path);
    try {
      if (await this.hasBlob(expected.digest, expected.size)) {
        rmSync(path, { force: true });
        return;
      }
      await this.#place(path, fd, await writeAll(fd, read, expected));
    } catch (error) {
      // What is wrong now stays wrong; what is only incomplete is gone on with.
      if (error instanceof RunncError && error.code === 'INVALID') rmSync(path, { force: true });
      throw this.#error(error);
    } finally {
      closeSync(fd);
    }
  }

  /** Stores a document as JSON. */
  async putJson(mediaType: string, value: unknown): Promise<Descriptor> {
    return this.putBytes(mediaType, Buffer.from(JSON.stringify(value)));
  }

  /** Stores a small document as it is. */
  async putBytes(mediaType: string, data: Uint8Array): Promise<Descriptor> {
    const { digest, size } = await this.putBlob(only(data));
    return { mediaType, digest, size };
  }

  /** True: it is there (and of that size), and stays as long as this store is not released. */
  async hasBlob(digest: string, size?: number): Promise<boolean> {
    const path = this.blobPath(digest);
    return this.#locked('shared', () => {
      const found = fileSize(path);
      if (found === undefined || (size !== undefined && found !== size)) return false;
      this.#hold(digest);
      return true;
    });
  }

  /** Where it is, or would be. Not to be written. Throws INVALID if that is no digest. */
  blobPath(digest: string): string {
    return `${this.folder}/blobs/sha256/${hexOf(digest)}`;
  }

  /** Throws NOT_FOUND, when it is read, if it is not there. */
  async *readBlob(digest: string, offset = 0): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of createReadStream(this.blobPath(digest), {
        start: offset,
        highWaterMark: READ_BYTES,
      })) {
        yield chunk as Uint8Array;
      }
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? missing(digest) : this.#error(error);
    }
  }

  /** A whole document, its digest and size checked. `maxBytes` is for documents that were chosen by others. */
  readBytes(descriptor: Descriptor, maxBytes = MAX_MANIFEST_BYTES): Buffer {
    const { digest, size } = descriptor;
    if (size > maxBytes) {
      throw new RunncError(
        'INVALID',
        `${digest}: ${String(size)} bytes are more than the ${String(maxBytes)} that such a document may have`,
      );
    }
    let data: Buffer;
    try {
      data = readFileSync(this.blobPath(digest));
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? missing(digest) : this.#error(error);
    }
    if (data.length !== size || digestOf(data) !== digest) {
      throw new RunncError(
        'INVALID',
        `${digest} in ${this.folder} is damaged: remove its image and get it again`,
      );
    }
    return data;
  }

  readJson(descriptor: Descriptor, maxBytes = MAX_MANIFEST_BYTES): unknown {
    try {
      return JSON.parse(this.readBytes(descriptor, maxBytes).toString('utf8'));
    } catch (error) {
      if (error instanceof RunncError) throw error;
      throw new RunncError('INVALID', `${descriptor.digest}: is not JSON: ${errorMessage(error)}`);
    }
  }

  readManifest(descriptor: Descriptor): ImageManifest {
    return parseManifest(this.readBytes(descriptor), `manifest ${descriptor.digest}`);
  }

  readIndex(descriptor: Descriptor): ImageIndex {
    return parseIndex(this.readBytes(descriptor), `index ${descriptor.digest}`);
  }

  readConfig({ config }: ImageManifest): ImageConfig {
    return parseConfig(this.readBytes(config, MAX_CONFIG_BYTES), `image configuration ${config.digest}`);
  }

  /**
   * Gives the image the name, which another one loses. Throws INVALID for no name, NOT_FOUND if a part of it is not in the
   * store (of an index: of any of its images).
   */
  async tag(reference: string, descriptor: Descriptor): Promise<void> {
    const name = normalizeReference(reference);
    await this.#change(
      (entries) => [
        ...entries.filter(
          (entry) => nameOf(entry) !== name && (nameOf(entry) !== undefined || !same(entry, descriptor)),
        ),
        { ...bare(descriptor), annotations: { [REF_NAME]: name, [CONTAINERD_NAME]: name } },
      ],
      descriptor,
    );
  }

  /** Keeps an image that has no name. */
  async keep(descriptor: Descriptor): Promise<void> {
    await this.#change(
      (entries) =>
        entries.some((entry) => same(entry, descriptor)) ? entries : [...entries, bare(descriptor)],
      descriptor,
    );
  }

  /** Takes the name away; undefined if there is none such. Without another name the image goes with the next prune. */
  async untag(reference: string): Promise<Descriptor | undefined> {
    const name = normalizeReference(reference);
    let found: Descriptor | undefined;
    await this.#change((entries) => {
      found = entries.find((entry) => nameOf(entry) === name);
      return entries.filter((entry) => entry !== found);
    });
    return found;
  }

  /** Takes all names of an image away, and its place if it has none. */
  async remove(descriptor: Descriptor): Promise<void> {
    await this.#change((entries) => entries.filter((entry) => !same(entry, descriptor)));
  }

  /** The image of that name, which stays as long as this store is not released. */
  async resolve(reference: string): Promise<Descriptor | undefined> {
    const name = normalizeReference(reference);
    return this.#locked('shared', () => {
      const found = this.#entries().find((entry) => nameOf(entry) === name);
      if (found !== undefined) this.#hold(found.digest);
      return found === undefined ? undefined : bare(found);
    });
  }

  /** In the order of their names. */
  list(): StoredImage[] {
    return this.#entries()
      .map((entry) => {
        const reference = nameOf(entry);
        return { ...(reference === undefined ? {} : { reference }), descriptor: bare(entry) };
      })
      .sort((a, b) => ((a.reference ?? '') < (b.reference ?? '') ? -1 : 1));
  }

  /** Removes what no name and no living lease leads to, and what crashes left. */
  async prune(): Promise<Pruned> {
    return this.#locked('exclusive', () => {
      const needed = new Set<string>();
      for (const entry of this.#entries()) this.#mark(entry.digest, needed);
      for (const digest of [...this.#leasedDigests(), ...this.#keptDigests()]) this.#mark(digest, needed);
      this.#sweepTemporary();
      const digests: string[] = [];
      let freedBytes = 0;
      for (const hex of namesIn(`${this.folder}/blobs/sha256`)) {
        const digest = `sha256:${hex}`;
        if (needed.has(digest)) continue;
        const path = `${this.folder}/blobs/sha256/${hex}`;
        freedBytes += fileSize(path) ?? 0;
        rmSync(path, { recursive: true, force: true });
        digests.push(digest);
        reached('blob-removed');
      }
      return { digests, freedBytes };
    });
  }

  /** The digest of something that the image (of an index: any of its images) consists of and that is not there. */
  missingPart(descriptor: Descriptor, depth = 0): string | undefined {
    const isMissing = ({ digest, size }: Descriptor): boolean => fileSize(this.blobPath(digest)) !== size;
    if (isMissing(descriptor)) return descriptor.digest;
    if (depth > MAX_DEPTH) throw new RunncError('INVALID', `index ${descriptor.digest}: is nested too deep`);
    if (isIndex(descriptor.mediaType)) {
      for (const manifest of this.readIndex(descriptor).manifests) {
        const missing = this.missingPart(manifest, depth + 1);
        if (missing !== undefined) return missing;
      }
    } else if (isManifest(descriptor.mediaType)) {
      const { config, layers } = this.readManifest(descriptor);
      return [config, ...layers].find(isMissing)?.digest;
    }
    return undefined;
  }

  /** Whatever the blob leads to, if it is a manifest or an index. What is damaged leads nowhere. */
  #mark(digest: string, needed: Set<string>, depth = 0): void {
    if (needed.has(digest) || depth > MAX_DEPTH + 1) return;
    needed.add(digest);
    for (const next of this.#references(digest)) this.#mark(next, needed, depth + 1);
  }

  #references(digest: string): readonly string[] {
    try {
      const size = fileSize(this.blobPath(digest));
      if (size === undefined || size > MAX_MANIFEST_BYTES) return [];
      const data = readFileSync(this.blobPath(digest));
      if (data[0] !== '{'.charCodeAt(0)) return [];
      const {
        config,
        layers = [],
        manifests = [],
      } = JSON.parse(data.toString('utf8')) as Partial<ImageManifest & ImageIndex>;
      return [config, ...layers, ...manifests].flatMap((part) =>
        isDigest(part?.digest) ? [part.digest] : [],
      );
    } catch {
      return [];
    }
  }

  /**
   * What a cache of that name ("build") would like to find again: a prune spares it. In the place of what it said before.
   * `digests` is called while nobody can prune or put.
   */
  async keepForCache(name: string, digests: () => Iterable<string>): Promise<void> {
    await this.#locked('exclusive', () => {
      this.#replaceFile(`kept/${name}`, [...digests()].map((digest) => `${digest}\n`).join(''));
    });
  }

  #keptDigests(): readonly string[] {
    return namesIn(`${this.folder}/kept`).flatMap((name) =>
      readFileSync(`${this.folder}/kept/${name}`, 'utf8').split('\n').filter(isDigest),
    );
  }

  /** Of living processes; the leases of others are removed. */
  #leasedDigests(): readonly string[] {
    return namesIn(`${this.folder}/leases`).flatMap((name) => {
      const path = `${this.folder}/leases/${name}`;
      return removeIfUnlocked(path) ? [] : readFileSync(path, 'utf8').split('\n').filter(isDigest);
    });
  }

  /** What a transfer that broke off has left is worth going on with for a day. */
  #sweepTemporary(): void {
    for (const name of namesIn(`${this.folder}/tmp`)) {
      const path = `${this.folder}/tmp/${name}`;
      const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
      if (!name.endsWith('.part') || age > PART_LIFE_MS) removeIfUnlocked(path);
    }
  }

  /** The lock must be held, shared at least: or a prune could be past the leases and not yet at the blob. */
  #hold(digest: string): void {
    if (this.#lease === undefined) {
      const path = `${this.folder}/leases/${crypto.randomUUID()}`;
      this.#lease = { path, fd: openLocked(path), held: new Set() };
    }
    if (this.#lease.held.has(digest)) return;
    writeSync(this.#lease.fd, `${digest}\n`);
    this.#lease.held.add(digest);
  }

  /** The file becomes the blob; it is complete and checked. */
  async #place(path: string, fd: number, { digest, size }: { digest: string; size: number }): Promise<void> {
    fsyncSync(fd);
    reached('blob-written');
    await this.#locked('shared', () => {
      this.#hold(digest);
      const target = this.blobPath(digest);
      if (fileSize(target) === size) {
        rmSync(path);
        return;
      }
      renameSync(path, target);
      syncFolder(`${this.folder}/blobs/sha256`);
    });
    reached('blob-placed');
  }

  /** Waits for whoever is writing it. */
  async #lockPart(path: string): Promise<number> {
    for (;;) {
      const fd = await this.#locked('shared', () =>
        openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600),
      );
      if (!tryLockFile(fd, 'exclusive')) await lockFile(fd, 'exclusive');
      if (isThere(path, fd)) return fd;
      closeSync(fd);
    }
  }

  #entries(): readonly Descriptor[] {
    let text: string;
    try {
      text = readFileSync(`${this.folder}/index.json`, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw this.#error(error);
    }
    return parseIndex(text, `${this.folder}/index.json`).manifests;
  }

  async #change(
    change: (entries: readonly Descriptor[]) => readonly Descriptor[],
    added?: Descriptor,
  ): Promise<void> {
    await this.#locked('exclusive', () => {
      const part = added === undefined ? undefined : this.missingPart(added);
      if (part !== undefined) throw missing(part);
      const index: ImageIndex = {
        schemaVersion: 2,
        mediaType: mediaTypes.index,
        manifests: change(this.#entries()),
      };
      this.#replaceFile('index.json', JSON.stringify(index));
    });
  }

  #replaceFile(name: string, text: string): void {
    const path = `${this.folder}/tmp/${crypto.randomUUID()}`;
    const fd = openLocked(path);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
      reached('index-written');
      renameSync(path, `${this.folder}/${name}`);
      syncFolder(this.folder);
      reached('index-replaced');
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  async #locked<T>(kind: 'shared' | 'exclusive', work: () => T): Promise<T> {
    let fd: number | undefined;
    try {
      fd = openSync(
        `${this.folder}/lock`,
        constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
        0o600,
      );
      if (!tryLockFile(fd, kind)) await lockFile(fd, kind);
      return work();
    } catch (error) {
      throw this.#error(error);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #error(error: unknown): unknown {
    return storeError(this.folder, error);
  }
}

const PART_LIFE_MS = 24 * 3600 * 1000;

const READ_BYTES = 256 * 1024;

function missing(digest: string): RunncError {
  return new RunncError('NOT_FOUND', `${digest} does not exist in the store: pull or build its image again`);
}

function nameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[REF_NAME];
}

function same(a: Descriptor, b: Descriptor): boolean {
  return a.digest === b.digest;
}

/** Without what an index said of it. */
function bare({ mediaType, digest, size, platform }: Descriptor): Descriptor {
  return { mediaType, digest, size, ...(platform === undefined ? {} : { platform }) };
}

function openLocked(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  if (tryLockFile(fd, 'exclusive')) return fd;
  closeSync(fd);
  throw new RunncError('INTERNAL', `${path}: a new file is locked`);
}

/** True if it is gone: whoever made it has ended. */
function removeIfUnlocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
  try {
    if (!tryLockFile(fd, 'exclusive')) return false;
    rmSync(path, { recursive: true, force: true });
    return true;
  } finally {
    closeSync(fd);
  }
}

async function* only(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
