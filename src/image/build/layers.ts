/** What is in the layers of the store: their entries, and the contents of their files. */
import { createHash } from 'node:crypto';
import { RunncError } from '../../errors.ts';
import { finishDigest, startDigest } from '../digest.ts';
import type { ImageStore } from '../store.ts';
import { type ArchiveEntry, compressedArchive, readArchive } from './archive.ts';
import type { BuildCache } from './build-cache.ts';
import { type Archive, baseName, type LayerEntry, parentOf } from './file-tree.ts';
import type { Layer } from './layer-writer.ts';

export class Layers {
  readonly #store: ImageStore;
  readonly #cache: BuildCache;
  readonly #known = new Map<string, Layer>();
  readonly #entries = new Map<string, readonly LayerEntry[]>();
  readonly #archives = new Map<string, Archive>();

  constructor(store: ImageStore, cache: BuildCache) {
    this.#store = store;
    this.#cache = cache;
  }

  /** From now on it can be asked for by its diff id; with `entries` nobody has to read it for them. */
  add(layer: Layer, entries?: readonly LayerEntry[]): void {
    this.#known.set(layer.diffId, layer);
    if (entries === undefined) return;
    this.#entries.set(layer.diffId, entries);
    this.#cache.writeEntries(layer.diffId, entries);
  }

  /** Read from the layer once, then remembered, also by later builds. Throws INVALID for a damaged layer. */
  async entries(diffId: string): Promise<readonly LayerEntry[]> {
    const known = this.#entries.get(diffId) ?? this.#cache.readEntries(diffId);
    if (known !== undefined) {
      this.#entries.set(diffId, known);
      return known;
    }
    const hash = startDigest();
    const entries: LayerEntry[] = [];
    const { name, read } = this.archive(diffId);
    for await (const entry of readArchive({ name, read: () => hashing(read(), hash) })) {
      const read = await toLayerEntry(entry);
      if (read !== undefined) entries.push(read);
    }
    if (finishDigest(hash) !== diffId) {
      throw new RunncError('INVALID', `${nameOf(diffId)}: its content has another digest`);
    }
    this.add(this.#layer(diffId), entries);
    return entries;
  }

  /** The same object for the same layer. */
  archive(diffId: string): Archive {
    const { digest } = this.#layer(diffId).descriptor;
    const archive =
      this.#archives.get(diffId) ?? compressedArchive(nameOf(diffId), () => this.#store.readBlob(digest));
    this.#archives.set(diffId, archive);
    return archive;
  }

  #layer(diffId: string): Layer {
    const layer = this.#known.get(diffId);
    if (layer === undefined) throw new RunncError('INTERNAL', `${diffId} is no layer of this build`);
    return layer;
  }
}

function nameOf(diffId: string): string {
  return `layer ${diffId.slice(0, 'sha256:'.length + 12)}`;
}

async function* hashing(
  source: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof startDigest>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** undefined: what old tools left for themselves. */
async function toLayerEntry(entry: ArchiveEntry): Promise<LayerEntry | undefined> {
  const { path, kind, mode, uid, gid, mtime, size, target, major, minor, at, content } = entry;
  const name = baseName(path);
  if (name === '.wh..wh..opq') return { path: parentOf(path), kind: 'opaque' };
  if (name.startsWith('.wh..wh.')) return undefined;
  if (name.startsWith('.wh.')) {
    const parent = parentOf(path);
    return { path: `${parent === '' ? '' : `${parent}/`}${name.slice('.wh.'.length)}`, kind: 'whiteout' };
  }
  const attributes = { path, mode, uid, gid, mtime };
  switch (kind) {
    case 'file': {
      const hash = createHash('sha256');
      for await (const chunk of content) hash.update(chunk);
      return { ...attributes, kind, size, sha256: hash.digest('hex'), at };
    }
    case 'link':
      return { ...attributes, kind: 'file', link: target };
    case 'symlink':
      return { ...attributes, kind, target };
    case 'char':
    case 'block':
      return { ...attributes, kind, major, minor };
    default:
      return { ...attributes, kind };
  }
}
