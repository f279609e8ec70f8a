/**
 * Writes images as an archive: an OCI image layout in a tar, with the manifest.json of Docker's older form beside it, so that
 * docker (1.10 up), podman, containerd and skopeo all read it. Blobs are as they are in the store: digests stay. Equal
 * images give equal bytes.
 */
import { pack } from 'tar-stream';
import { RunncError } from '../errors.ts';
import { CONTAINERD_NAME, type Descriptor, isIndex, isManifest, mediaTypes, REF_NAME } from './descriptor.ts';
import { openImage } from './platform.ts';
import { parseReference, shortReference } from './reference.ts';
import type { ImageStore, StoredImage } from './store.ts';

export type ArchiveFormat = 'docker-archive' | 'oci-archive';

interface File {
  readonly name: string;
  readonly size: number;
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
}

/** The archive, piece by piece. Throws NOT_FOUND if a part of an image is not in the store. */
export function saveArchive(
  store: ImageStore,
  images: readonly StoredImage[],
  format: ArchiveFormat,
): AsyncIterable<Uint8Array> {
  const blobs = new Map<string, Descriptor>();
  for (const { descriptor } of images) collect(store, descriptor, blobs);
  const documents: (readonly [string, unknown])[] = [
    ['oci-layout', { imageLayoutVersion: '1.0.0' }],
    ['index.json', { schemaVersion: 2, mediaType: mediaTypes.index, manifests: images.map(indexEntry) }],
    ...(format === 'docker-archive' ? [['manifest.json', dockerManifest(store, images)] as const] : []),
  ];
  const files: File[] = [
    ...documents.map(([name, value]) => {
      const content = Buffer.from(JSON.stringify(value));
      return { name, size: content.length, content };
    }),
    ...[...blobs.values()]
      .sort((a, b) => (a.digest < b.digest ? -1 : 1))
      .map(({ digest, size }) => ({ name: blobName(digest), size, content: store.readBlob(digest) })),
  ];
  return archive(files);
}

function collect(store: ImageStore, descriptor: Descriptor, blobs: Map<string, Descriptor>): void {
  const missing = store.missingPart(descriptor);
  if (missing !== undefined) {
    throw new RunncError(
      'NOT_FOUND',
      `${missing} does not exist in the store: pull or build its image again`,
    );
  }
  blobs.set(descriptor.digest, descriptor);
  if (isIndex(descriptor.mediaType)) {
    for (const manifest of store.readIndex(descriptor).manifests) collect(store, manifest, blobs);
  } else if (isManifest(descriptor.mediaType)) {
    const { config, layers } = store.readManifest(descriptor);
    for (const part of [config, ...layers]) blobs.set(part.digest, part);
  }
}

function indexEntry({ reference, descriptor }: StoredImage): Descriptor {
  const { mediaType, digest, size, platform } = descriptor;
  const tag = reference === undefined ? undefined : parseReference(reference).tag;
  return {
    mediaType,
    digest,
    size,
    ...(platform === undefined ? {} : { platform }),
    ...(reference === undefined
      ? {}
      : { annotations: { [CONTAINERD_NAME]: reference, ...(tag === undefined ? {} : { [REF_NAME]: tag }) } }),
  };
}

/** Docker wants names as its users write them, and none with a digest. */
function dockerManifest(store: ImageStore, images: readonly StoredImage[]): unknown {
  const byDigest = new Map<string, string[]>();
  for (const { reference, descriptor } of images) {
    const names = byDigest.get(descriptor.digest) ?? [];
    byDigest.set(descriptor.digest, names);
    if (reference === undefined) continue;
    const parsed = parseReference(reference);
    if (parsed.digest === undefined) names.push(shortReference(parsed));
  }
  return [...byDigest].map(([digest, names]) => {
    const image = images.find(({ descriptor }) => descriptor.digest === digest);
    if (image === undefined) throw new RunncError('INTERNAL', `no image ${digest}`);
    const { manifest } = openImage(store, image.descriptor);
    return {
      Config: blobName(manifest.config.digest),
      RepoTags: names.length === 0 ? null : names,
      Layers: manifest.layers.map((layer) => blobName(layer.digest)),
    };
  });
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function* archive(files: readonly File[]): AsyncGenerator<Uint8Array> {
  const tar = pack();
  let failure: unknown;
  const writing = write(tar, files).catch((error: unknown) => {
    failure = error;
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of tar) yield chunk as Uint8Array;
    await writing;
  } catch (error) {
    throw failure ?? error;
  } finally {
    tar.destroy();
  }
}

async function write(tar: ReturnType<typeof pack>, files: readonly File[]): Promise<void> {
  for (const { name, size, content } of files) {
    // No times and owners of this machine.
    const header = { name, size, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => {
        if (error === undefined || error === null) resolve();
        else reject(error);
      };
      if (content instanceof Uint8Array) {
        tar.entry(header, content, done);
        return;
      }
      const entry = tar.entry(header, done);
      fill(entry, content).catch((error: unknown) => {
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }
  tar.finalize();
}

async function fill(
  entry: ReturnType<ReturnType<typeof pack>['entry']>,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => entry.once('close', resolve));
  for await (const chunk of content) {
    if (entry.destroying) return;
    if (entry.write(chunk)) continue;
    await Promise.race([new Promise<void>((resolve) => entry.once('drain', resolve)), closed]);
  }
  entry.end(undefined);
}
