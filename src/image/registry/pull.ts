/** An image from a registry into the store. */
import { type BlobSource, copyImage, type CopyOptions } from '../copy.ts';
import type { Descriptor } from '../descriptor.ts';
import { formatReference, parseReference } from '../reference.ts';
import type { ImageStore } from '../store.ts';
import { manifestName, type RegistryOptions, Repository } from './registry.ts';

export interface PullOptions extends CopyOptions, Omit<RegistryOptions, 'signal'> {}

/** It has its name in the store then. Throws NOT_FOUND, INVALID, HOST; nothing has changed but blobs without a name. */
export async function pullImage(
  store: ImageStore,
  name: string,
  options: PullOptions = {},
): Promise<Descriptor> {
  const reference = parseReference(name);
  const repository = await Repository.connect(reference, 'pull', options);
  const { descriptor, data } = await repository.getManifest(manifestName(reference));
  const source: BlobSource = {
    name: formatReference(reference),
    manifest: (wanted) => (wanted.digest === descriptor.digest ? only(data) : repository.manifest(wanted)),
    blob: (wanted, offset) => repository.blob(wanted, offset),
  };
  const image = await copyImage(store, source, descriptor, options);
  await store.tag(name, image);
  return image;
}

async function* only(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
