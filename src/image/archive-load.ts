/**
 * Reads archives of images: what `docker save`, `runnc save`, buildx, podman and containerd write (OCI layouts in a tar, and
 * Docker's older form with manifest.json). Blobs go into the store as they come by; nothing gets a name here.
 */
import { RunncError, shorten } from '../errors.ts';
import { array, nonEmptyString, object, string, validate } from '../oci/schema.ts';
import { type Compression, compressionOf, decompress } from './decompress.ts';
import {
  CONTAINERD_NAME,
  type Descriptor,
  isIndex,
  isManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  mediaTypes,
  parseConfig,
  parseIndex,
  REF_NAME,
} from './descriptor.ts';
import { choosePlatform, HOST_PLATFORM, openImage } from './platform.ts';
import { normalizeReference } from './reference.ts';
import type { ImageStore } from './store.ts';
import { readTar, type TarEntry, type TarLimits } from './tar.ts';

export interface LoadedImage {
  /** Whole names; none for an image that has none in the archive. */
  readonly references: readonly string[];
  readonly descriptor: Descriptor;
}

export interface LoadOptions {
  readonly limits?: TarLimits;
  /** Bytes of the archive that went by. */
  readonly onProgress?: (doneBytes: number) => void;
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

interface Contents {
  /** By the name in the archive. */
  readonly blobs: ReadonlyMap<string, Blob>;
  readonly documents: ReadonlyMap<string, Buffer>;
}

/** An archive of images has a few files for each layer. */
const LIMITS: TarLimits = { maxEntries: 100_000, maxBytes: 256 * 2 ** 30 };

/** Those that say what the others are. */
const DOCUMENTS = new Set(['index.json', 'manifest.json', 'oci-layout']);
/** Of versions before 1.10; nobody reads them any more. */
const OBSOLETE = /^(?:repositories|(?:[0-9a-f]{64}\/)?(?:VERSION|json))$/;
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/;

/**
 * Everything that belongs to the images is in the store then, held by it until it is released. `where` names the
 * archive in errors. Throws INVALID, HOST, and what the source throws.
 */
export async function loadArchive(
  store: ImageStore,
  source: AsyncIterable<Uint8Array>,
  where: string,
  { limits = LIMITS, onProgress }: LoadOptions = {},
): Promise<readonly LoadedImage[]> {
  const counted = onProgress === undefined ? source : count(source, onProgress);
  const contents = await readContents(store, decompress(counted, where), where, limits);
  const { documents } = contents;
  const index = documents.get('index.json');
  if (index !== undefined && documents.has('oci-layout')) {
    const images = parseIndex(index, `${where}: index.json`).manifests.map((entry) =>
      fromIndex(store, entry, where),
    );
    return merged(images, where);
  }
  const manifest = documents.get('manifest.json');
  if (manifest !== undefined) return fromDocker(store, manifest, contents, where);
  throw new RunncError(
    'INVALID',
    `${where}: is no archive of images: it has neither manifest.json nor oci-layout with index.json (a file system is imported by "FROM scratch" and "ADD")`,
  );
}

async function* count(
  source: AsyncIterable<Uint8Array>,
  onProgress: (doneBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of source) {
    done += chunk.length;
    onProgress(done);
    yield chunk;
  }
}

async function readContents(
  store: ImageStore,
  source: AsyncIterable<Uint8Array>,
  where: string,
  limits: TarLimits,
): Promise<Contents> {
  const blobs = new Map<string, Blob>();
  const documents = new Map<string, Buffer>();
  const links = new Map<string, string>();
  for await (const entry of readTar(source, where, limits)) {
    const name = entry.path.toString('utf8');
    switch (entry.type) {
      case 'folder':
        break;
      case 'file':
        if (DOCUMENTS.has(name)) documents.set(name, await readDocument(entry, name, where));
        else if (!OBSOLETE.test(name)) blobs.set(name, await takeBlob(store, entry, name, where));
        break;
      case 'symlink':
        links.set(name, linkTarget(entry, name, where));
        break;
      case 'hardlink':
        links.set(name, entry.to.toString('utf8'));
        break;
      default:
        throw new RunncError('INVALID', `${where}: ${shorten(name)} is a special file`);
    }
  }
  // Docker links a layer that two images share.
  for (const [name, target] of links) {
    const blob = blobs.get(target);
    if (blob !== undefined) blobs.set(name, blob);
  }
  return { blobs, documents };
}

/** Looked up among the archive's own names; nothing is followed. */
function linkTarget(
  { path, target }: Extract<TarEntry, { readonly type: 'symlink' }>,
  name: string,
  where: string,
): string {
  const parts = path.toString('utf8').split('/').slice(0, -1);
  const text = target.toString('utf8');
  for (const part of text.split('/')) {
    if (part === '..' && parts.length > 0) parts.pop();
    else if (part === '..' || text.startsWith('/')) {
      throw new RunncError('INVALID', `${where}: ${shorten(name)} is a link that leads out of the archive`);
    } else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

type FileEntry = Extract<TarEntry, { readonly type: 'file' }>;

async function readDocument({ size, body }: FileEntry, name: string, where: string): Promise<Buffer> {
  if (size > MAX_MANIFEST_BYTES) {
    throw new RunncError('INVALID', `${where}: ${name} has ${String(size)} bytes, which is too much`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function takeBlob(
  store: ImageStore,
  { size, body }: FileEntry,
  name: string,
  where: string,
): Promise<Blob> {
  const hex = BLOB.exec(name)?.[1];
  const expected = { size, ...(hex === undefined ? {} : { digest: `sha256:${hex}` }) };
  if (expected.digest !== undefined && (await store.hasBlob(expected.digest, size))) {
    return { digest: expected.digest, size };
  }
  try {
    return await store.putBlob(body, expected);
  } catch (error) {
    if (!(error instanceof RunncError) || error.code !== 'INVALID' || error.message.startsWith(where))
      throw error;
    throw new RunncError('INVALID', `${where}: ${error.message}`, { cause: error });
  }
}

function fromIndex(store: ImageStore, entry: Descriptor, where: string): LoadedImage {
  const name = entry.annotations?.[CONTAINERD_NAME] ?? entry.annotations?.[REF_NAME];
  return { references: namesOf(name, where), descriptor: wholeImage(store, withoutNames(entry), where) };
}

function withoutNames({ mediaType, digest, size, platform }: Descriptor): Descriptor {
  return { mediaType, digest, size, ...(platform === undefined ? {} : { platform }) };
}

/** A bare tag, which is all that an OCI layout need say, names no image. */
function namesOf(name: string | undefined, where: string): readonly string[] {
  return name === undefined || !/[/:]/.test(name) ? [] : [imageName(name, where)];
}

function imageName(name: string, where: string): string {
  try {
    return normalizeReference(name);
  } catch (error) {
    throw new RunncError('INVALID', `${where}: ${error instanceof Error ? error.message : name}`);
  }
}

/** An index of which only this host's image is there (containerd exports such) stands for that image. */
function wholeImage(store: ImageStore, descriptor: Descriptor, where: string): Descriptor {
  const { digest, mediaType } = descriptor;
  if (!isIndex(mediaType) && !isManifest(mediaType)) {
    throw new RunncError(
      'INVALID',
      `${where}: index.json: ${digest} is of the type ${shorten(mediaType)}, which is no image`,
    );
  }
  const missing = store.missingPart(descriptor);
  if (missing === undefined) {
    checkImage(store, descriptor);
    return descriptor;
  }
  if (isIndex(mediaType) && missing !== digest) {
    const chosen = choosePlatform(store.readIndex(descriptor), HOST_PLATFORM, `${where}: index.json`);
    return wholeImage(store, chosen, where);
  }
  throw new RunncError('INVALID', `${where}: is not complete: ${missing} is missing`);
}

/** Of an index the first one shows whether they are images. */
function checkImage(store: ImageStore, descriptor: Descriptor): void {
  if (!isIndex(descriptor.mediaType)) openImage(store, descriptor);
  else for (const first of store.readIndex(descriptor).manifests.slice(0, 1)) checkImage(store, first);
}

/** One image with several names is one. */
function merged(images: readonly LoadedImage[], where: string): readonly LoadedImage[] {
  const byDigest = new Map<string, LoadedImage>();
  for (const { references, descriptor } of images) {
    const before = byDigest.get(descriptor.digest)?.references ?? [];
    byDigest.set(descriptor.digest, { descriptor, references: [...new Set([...before, ...references])] });
  }
  if (byDigest.size === 0) throw new RunncError('INVALID', `${where}: has no images in it`);
  return [...byDigest.values()];
}

interface DockerImage {
  readonly Config: string;
  readonly RepoTags?: readonly string[];
  readonly Layers?: readonly string[];
}

const dockerImages = array(
  object<DockerImage>({ Config: nonEmptyString }, { RepoTags: array(string), Layers: array(string) }),
);

async function fromDocker(
  store: ImageStore,
  document: Buffer,
  contents: Contents,
  where: string,
): Promise<readonly LoadedImage[]> {
  let images: readonly DockerImage[];
  try {
    images = validate(dockerImages, JSON.parse(document.toString('utf8')));
  } catch (error) {
    throw new RunncError(
      'INVALID',
      `${where}: manifest.json: ${error instanceof Error ? error.message : ''}`,
    );
  }
  const loaded: LoadedImage[] = [];
  for (const image of images) {
    const descriptor = await putDockerImage(store, image, contents, where);
    openImage(store, descriptor);
    loaded.push({ descriptor, references: (image.RepoTags ?? []).map((tag) => imageName(tag, where)) });
  }
  return merged(loaded, where);
}

/** Such an archive has no manifest of the image. The configuration stays byte for byte: its digest is Docker's image id. */
async function putDockerImage(
  store: ImageStore,
  image: DockerImage,
  { blobs }: Contents,
  where: string,
): Promise<Descriptor> {
  const find = (name: string): Blob => {
    const blob = blobs.get(name.replace(/^\.\//, ''));
    if (blob !== undefined) return blob;
    throw new RunncError('INVALID', `${where}: is not complete: ${shorten(name)} is missing`);
  };
  const config = { mediaType: mediaTypes.config, ...find(image.Config) };
  if (config.size > MAX_CONFIG_BYTES) {
    throw new RunncError('INVALID', `${where}: ${shorten(image.Config)} is too large for a configuration`);
  }
  const { rootfs } = parseConfig(store.readBytes(config, MAX_CONFIG_BYTES), `${where}: ${image.Config}`);
  const layers: Descriptor[] = [];
  for (const [i, name] of (image.Layers ?? []).entries()) {
    const blob = find(name);
    const compression = compressionOf(await firstBytes(store.readBlob(blob.digest)));
    if (compression === 'none' && blob.digest !== rootfs.diff_ids[i]) {
      throw new RunncError(
        'INVALID',
        `${where}: ${shorten(name)}: is not the layer that ${shorten(image.Config)} names`,
      );
    }
    layers.push({ mediaType: layerTypes[compression] ?? mediaTypes.layer, ...blob });
  }
  return store.putJson(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers,
  });
}

const layerTypes: Readonly<Partial<Record<Compression, string>>> = {
  gzip: mediaTypes.layerGzip,
  zstd: mediaTypes.layerZstd,
};

async function firstBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  for await (const chunk of source) return chunk;
  return new Uint8Array();
}
