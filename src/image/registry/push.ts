/** An image of the store to a registry: what the registry has not, the blobs first. */
import { RunncError } from '../../errors.ts';
import { reached } from '../../fault.ts';
import { type CopyEvent, inParallel } from '../copy.ts';
import { type Descriptor, isIndex, isManifest } from '../descriptor.ts';
import { parseReference } from '../reference.ts';
import type { ImageStore } from '../store.ts';
import { type RegistryOptions, Repository } from './registry.ts';

export interface PushOptions extends RegistryOptions {
  readonly onEvent?: (event: CopyEvent) => void;
}

/** Throws INVALID for a name with a digest, NOT_FOUND for a part that is not in the store, HOST. */
export async function pushImage(
  store: ImageStore,
  name: string,
  descriptor: Descriptor,
  options: PushOptions = {},
): Promise<void> {
  const reference = parseReference(name);
  if (reference.tag === undefined || reference.digest !== undefined) {
    throw new RunncError('INVALID', `push ${name}: needs a name with a tag and without a digest`);
  }
  const missing = store.missingPart(descriptor);
  if (missing !== undefined) {
    throw new RunncError('NOT_FOUND', `push ${name}: ${missing} does not exist in the store`);
  }
  const repository = await Repository.connect(reference, 'pull,push', options);
  const neighbours = findNeighbours(store, reference.registry, reference.repository);
  await push(descriptor, reference.tag);

  async function push(image: Descriptor, tagOrDigest: string): Promise<void> {
    if (isIndex(image.mediaType)) {
      for (const part of store.readIndex(image).manifests) await push(part, part.digest);
    } else if (isManifest(image.mediaType)) {
      const { config, layers } = store.readManifest(image);
      const blobs = new Map([...layers, config].map((part) => [part.digest, part]));
      await inParallel([...blobs.values()], pushBlob);
    }
    await repository.putManifest(image, store.readBytes(image), tagOrDigest);
    reached('manifest-pushed');
  }

  async function pushBlob(blob: Descriptor): Promise<void> {
    const { onEvent } = options;
    if (await repository.hasBlob(blob)) {
      onEvent?.({ type: 'there', descriptor: blob });
      return;
    }
    onEvent?.({ type: 'started', descriptor: blob });
    await repository.putBlob(blob, (offset) => store.readBlob(blob.digest, offset), {
      from: neighbours.get(blob.digest),
      onProgress: (doneBytes) => onEvent?.({ type: 'progress', descriptor: blob, doneBytes }),
    });
    reached('blob-pushed');
    onEvent?.({ type: 'done', descriptor: blob });
  }
}

/** Blobs that other repositories of the registry may have, for we know images of that name with them. */
function findNeighbours(store: ImageStore, registry: string, own: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const { reference, descriptor } of store.list()) {
    if (reference === undefined || !isManifest(descriptor.mediaType)) continue;
    const { registry: other, repository } = parseReference(reference);
    if (other !== registry || repository === own) continue;
    const { config, layers } = store.readManifest(descriptor);
    for (const { digest } of [config, ...layers]) found.set(digest, repository);
  }
  return found;
}
