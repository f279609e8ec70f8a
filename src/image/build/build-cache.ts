/**
 * What earlier builds found out, beside the store whose blobs it speaks of:
 *
 *     steps/KEY         the layer that an instruction made, by all that it depends on
 *     layers/HEX        the entries of a layer, by its diff id
 *     contexts/HEX      contents of the files of a build context, by device, inode and ctime
 *     work/UUID         files unpacked for a while: work-folder.ts
 *
 * Nothing here is needed: what is missing or damaged is made again. Each file appears as a whole, by a rename.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import type { Descriptor } from '../descriptor.ts';
import { hexOf, isDigest } from '../digest.ts';
import { makePrivateFolders } from '../store-folder.ts';
import type { ImageStore } from '../store.ts';
import type { LayerEntry } from './file-tree.ts';
import type { Layer } from './layer-writer.ts';

/** Part of every key: raise it when the same instruction makes another layer than before. */
const CACHE_VERSION = 1;
/** Unused for so long, a file goes. */
const MAX_AGE_MS = 60 * 24 * 3600 * 1000;
/** Of layers that steps remember, compressed: beyond it those that were not used for the longest time go. */
const MAX_LAYER_BYTES = 10 * 2 ** 30;

/** undefined: the instruction changed no file. */
export type Step = { readonly layer?: Layer };

export class BuildCache {
  readonly #store: ImageStore;
  readonly folder: string;
  #hasNews = false;

  constructor(store: ImageStore) {
    this.#store = store;
    this.folder = `${store.folder}/build`;
    makePrivateFolders(this.folder, ['steps', 'layers', 'contexts', 'work']);
  }

  /** Of anything that JSON can hold. */
  static key(...parts: readonly unknown[]): string {
    return createHash('sha256')
      .update(JSON.stringify([CACHE_VERSION, ...parts]))
      .digest('hex');
  }

  /** Its layer is in the store then, and stays while the store is held. */
  async findStep(key: string): Promise<Step | undefined> {
    const value = this.#read(`steps/${key}`) as Partial<Step> | undefined;
    if (value === undefined) return undefined;
    if (value.layer === undefined) return {};
    const { descriptor, diffId } = value.layer;
    if (!isDigest(diffId) || !isDigest(descriptor?.digest)) return undefined;
    if (!(await this.#store.hasBlob(descriptor.digest, descriptor.size))) return undefined;
    return { layer: { descriptor: descriptor satisfies Descriptor, diffId } };
  }

  writeStep(key: string, { layer }: Step): void {
    const value =
      layer === undefined ? {} : { layer: { descriptor: layer.descriptor, diffId: layer.diffId } };
    this.#write(`steps/${key}`, value);
    this.#hasNews = true;
  }

  /** A step was written. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  readEntries(diffId: string): readonly LayerEntry[] | undefined {
    const value = this.#read(`layers/${hexOf(diffId)}`);
    return Array.isArray(value) ? (value as LayerEntry[]) : undefined;
  }

  writeEntries(diffId: string, entries: readonly LayerEntry[]): void {
    this.#write(`layers/${hexOf(diffId)}`, entries);
  }

  /** `folder` is the context's, without links. */
  readContents(folder: string): Readonly<Record<string, string>> {
    const value = this.#read(`contexts/${BuildCache.key(folder)}`);
    return typeof value === 'object' && value !== null ? (value as Record<string, string>) : {};
  }

  writeContents(folder: string, contents: Readonly<Record<string, string>>): void {
    this.#write(`contexts/${BuildCache.key(folder)}`, contents);
  }

  /**
   * Removes what nobody has used for two months, and steps whose layers are too much together; the layers of the others
   * are spared when the store is pruned.
   */
  async sweep(maxBytes = MAX_LAYER_BYTES): Promise<void> {
    for (const kind of ['layers', 'contexts']) {
      for (const { path, mtimeMs } of this.#files(kind)) {
        if (Date.now() - mtimeMs > MAX_AGE_MS) rmSync(path, { force: true });
      }
    }
    await this.#store.keepForCache('build', () => this.#sweepSteps(maxBytes));
  }

  /** The layers of the steps that stay. */
  #sweepSteps(maxBytes: number): ReadonlySet<string> {
    const digests = new Set<string>();
    let bytes = 0;
    for (const { path, name, mtimeMs } of this.#files('steps').sort((a, b) => b.mtimeMs - a.mtimeMs)) {
      const { digest, size = 0 } = this.#parse(`steps/${name}`)?.layer?.descriptor ?? {};
      if (digest !== undefined && !digests.has(digest)) bytes += size;
      if (bytes > maxBytes || Date.now() - mtimeMs > MAX_AGE_MS) rmSync(path, { force: true });
      else if (digest !== undefined) digests.add(digest);
    }
    return digests;
  }

  #files(kind: string): { readonly path: string; readonly name: string; readonly mtimeMs: number }[] {
    return readdirSync(`${this.folder}/${kind}`).flatMap((name) => {
      const path = `${this.folder}/${kind}/${name}`;
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ path, name, mtimeMs: stat.mtimeMs }];
    });
  }

  /** undefined: there is none, or a damaged one. It counts as used. */
  #read(name: string): unknown {
    const value: unknown = this.#parse(name);
    try {
      const now = new Date();
      if (value !== undefined) utimesSync(`${this.folder}/${name}`, now, now);
    } catch {
      // Somebody swept it away.
    }
    return value;
  }

  #parse(name: string): { readonly layer?: Partial<Layer> } | undefined {
    try {
      const value: unknown = JSON.parse(readFileSync(`${this.folder}/${name}`, 'utf8'));
      return typeof value === 'object' && value !== null ? value : undefined;
    } catch {
      return undefined;
    }
  }

  #write(name: string, value: unknown): void {
    const path = `${this.folder}/${name}`;
    const temporary = `${path}.${crypto.randomUUID()}`;
    try {
      writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
      renameSync(temporary, path);
    } catch {
      // A full disk: the next build does it again.
      rmSync(temporary, { force: true });
    }
  }
}
