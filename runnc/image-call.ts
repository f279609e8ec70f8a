/** What the verbs that work on the image store share. */
import { RunncError, shorten } from '../src/errors.ts';
import { type Image, openImage, findImage } from '../src/image/platform.ts';
import { chainId, RootfsStore } from '../src/image/rootfs-store.ts';
import { ImageStore, type StoredImage } from '../src/image/store.ts';
import type { Call } from './verb.ts';

/** What was only half done is removed when the work has ended, well or not. */
export async function withStore<T>(call: Call, work: (store: ImageStore) => Promise<T>): Promise<T> {
  const store = await openStore(call);
  try {
    return await work(store);
  } finally {
    store.release();
    await store.prune();
  }
}

export function openStore({ options }: Call): Promise<ImageStore> {
  return ImageStore.open(options.text('store'));
}

/** Throws NOT_FOUND. It stays as long as the store is not released. */
export async function theImage(store: ImageStore, name: string): Promise<StoredImage> {
  const found = await findImage(store, name);
  if (found === undefined) {
    throw new RunncError(
      'NOT_FOUND',
      `image ${shorten(name)} does not exist in the store: see "runnc images"`,
    );
  }
  await store.hasBlob(found.descriptor.digest);
  return found;
}

/** undefined for one of other platforms only. */
export function hostImage(store: ImageStore, { descriptor }: StoredImage): Image | undefined {
  try {
    return openImage(store, descriptor);
  } catch (error) {
    if (error instanceof RunncError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** Where a store's images are unpacked. */
export function unpackedFolder(store: ImageStore): string {
  return `${store.folder}/unpacked`;
}

/** The unpacked files of images that are no more. */
export function pruneUnpacked(store: ImageStore, onWarning: (message: string) => void): void {
  const needed = new Set<string>();
  for (const stored of store.list()) {
    const image = hostImage(store, stored);
    if (image !== undefined) needed.add(chainId(image.config.rootfs.diff_ids));
  }
  new RootfsStore(unpackedFolder(store), { onWarning }).prune(Infinity, (id) => needed.has(id));
}

export function registryOptions({ options }: Call): { readonly insecure: boolean } {
  return { insecure: options.flag('insecure') };
}

/** "3 days ago" */
export function ago(time: string | undefined, nowMs = Date.now()): string {
  const then = Date.parse(time ?? '');
  if (Number.isNaN(then)) return 'N/A';
  const seconds = Math.max(0, Math.round((nowMs - then) / 1000));
  const units: readonly (readonly [number, string])[] = [
    [365 * 86_400, 'year'],
    [30 * 86_400, 'month'],
    [7 * 86_400, 'week'],
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const [size, name] = units.find(([size]) => seconds >= 2 * size || (seconds >= size && size < 86_400)) ?? [
    1,
    'second',
  ];
  const count = Math.floor(seconds / size);
  return `${String(count)} ${name}${count === 1 ? '' : 's'} ago`;
}
