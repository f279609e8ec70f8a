/** Images in a store of the tests' own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Descriptor, mediaTypes } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';
import { ImageStore } from '../../src/image/store.ts';
import { inPieces, makeTar, type TestEntry } from './tar.ts';

export interface TestImage {
  readonly layers: readonly (readonly TestEntry[])[];
  readonly config?: object;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** Its layers are gzipped. */
export async function putImage(
  store: ImageStore,
  { layers, config, platform }: TestImage,
): Promise<Descriptor> {
  const descriptors: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const entries of layers) {
    const tar = await makeTar(entries);
    diffIds.push(digestOf(tar));
    descriptors.push({ mediaType: mediaTypes.layerGzip, ...(await store.putBlob(inPieces(gzipSync(tar)))) });
  }
  const stored = await store.putJson(mediaTypes.config, {
    architecture: 'amd64',
    os: 'linux',
    ...platform,
    ...(config === undefined ? {} : { config }),
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  return store.putJson(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: stored,
    layers: descriptors,
  });
}

/** A folder with stores. */
export class StoreFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'runnc-images-'));
  readonly #stores: ImageStore[] = [];

  async open(name = 'images'): Promise<ImageStore> {
    const store = await ImageStore.open(join(this.folder, name));
    this.#stores.push(store);
    return store;
  }

  close(): void {
    for (const store of this.#stores) store.release();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The message of what is thrown. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('did not fail');
}
