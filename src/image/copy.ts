/** Brings an image from wherever it is into the store: manifests, then what they name, several at a time. */
import { RunncError } from '../errors.ts';
import {
  type Descriptor,
  type ImageIndex,
  isIndex,
  isManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  type Platform,
} from './descriptor.ts';
import { choosePlatform, HOST_PLATFORM, openImage } from './platform.ts';
import type { ImageStore } from './store.ts';

/** A place that images come from. */
export interface BlobSource {
  /** For errors: "registry.example/app:1". */
  readonly name: string;
  /** Manifests and indexes. Throws NOT_FOUND. */
  manifest(descriptor: Descriptor): AsyncIterable<Uint8Array>;
  /** From an offset on, which is 0 or what came before. */
  blob(descriptor: Descriptor, offset: number): AsyncIterable<Uint8Array>;
}

/** What becomes of each part; the same digest is told of several times. */
export type CopyEvent =
  | { readonly type: 'there' | 'started' | 'done'; readonly descriptor: Descriptor }
  /** Bytes of this part that are here. */
  | { readonly type: 'progress'; readonly descriptor: Descriptor; readonly doneBytes: number };

export interface CopyOptions {
  /** The image wanted of an index; "all" keeps the index with everything in it. Default: this host's. */
  readonly platform?: Platform | 'all';
  readonly onEvent?: (event: CopyEvent) => void;
  readonly signal?: AbortSignal;
}

/** As Docker does. */
const PARALLEL = 3;
const MAX_DEPTH = 4;

/**
 * Returns the image's manifest (or its index, for all platforms); all of it is in the store then, held until that is
 * released. Throws NOT_FOUND, INVALID, HOST and what the source throws.
 */
export async function copyImage(
  store: ImageStore,
  source: BlobSource,
  descriptor: Descriptor,
  options: CopyOptions = {},
  depth = 0,
): Promise<Descriptor> {
  if (depth > MAX_DEPTH) throw new RunncError('INVALID', `${source.name}: index is nested too deep`);
  await fetchManifest(store, source, descriptor);
  if (isIndex(descriptor.mediaType)) {
    const index = store.readIndex(descriptor);
    if (options.platform === 'all') {
      await copyAll(store, source, index, options, depth);
      return descriptor;
    }
    const chosen = choosePlatform(index, options.platform ?? HOST_PLATFORM, source.name);
    return copyImage(store, source, chosen, options, depth + 1);
  }
  if (!isManifest(descriptor.mediaType)) {
    throw new RunncError(
      'INVALID',
      `${source.name}: ${descriptor.mediaType} is no image that can be used here`,
    );
  }
  const { config, layers } = store.readManifest(descriptor);
  if (config.size > MAX_CONFIG_BYTES) {
    throw new RunncError('INVALID', `${source.name}: config: ${String(config.size)} bytes are too much`);
  }
  await inParallel(unique([config, ...layers]), (part) => copyBlob(store, source, part, options));
  // Says whether it is an image at all; of other platforms too.
  if (depth === 0 || options.platform !== 'all') openImage(store, descriptor);
  return descriptor;
}

async function copyAll(
  store: ImageStore,
  source: BlobSource,
  { manifests }: ImageIndex,
  options: CopyOptions,
  depth: number,
): Promise<void> {
  for (const manifest of manifests) await copyImage(store, source, manifest, options, depth + 1);
}

async function fetchManifest(store: ImageStore, source: BlobSource, descriptor: Descriptor): Promise<void> {
  const { digest, size } = descriptor;
  if (size > MAX_MANIFEST_BYTES) {
    throw new RunncError(
      'INVALID',
      `${source.name}: manifest ${digest} has ${String(size)} bytes, more than the allowed 4 MiB`,
    );
  }
  if (await store.hasBlob(digest, size)) return;
  await store.putBlob(source.manifest(descriptor), { digest, size });
}

async function copyBlob(
  store: ImageStore,
  source: BlobSource,
  descriptor: Descriptor,
  { onEvent, signal }: CopyOptions,
): Promise<void> {
  signal?.throwIfAborted();
  if (await store.hasBlob(descriptor.digest, descriptor.size)) {
    onEvent?.({ type: 'there', descriptor });
    return;
  }
  onEvent?.({ type: 'started', descriptor });
  await store.resumeBlob(descriptor, (offset) => counted(source.blob(descriptor, offset), offset));
  onEvent?.({ type: 'done', descriptor });

  async function* counted(chunks: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
    let doneBytes = offset;
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      yield chunk;
      doneBytes += chunk.length;
      onEvent?.({ type: 'progress', descriptor, doneBytes });
    }
  }
}

function unique(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor])).values()];
}

/** The first failure is thrown when all that was begun has ended. */
export async function inParallel<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  width = PARALLEL,
): Promise<void> {
  const waiting = [...items];
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined && failure === undefined; item = waiting.shift()) {
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  if (failure !== undefined) throw failure.error;
}
