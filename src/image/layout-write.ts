/** Puts an image into an OCI image layout of the user's: a folder, beside what is in it already. */
import {
  closeSync,
  copyFileSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import {
  CONTAINERD_NAME,
  type Descriptor,
  type ImageIndex,
  isIndex,
  mediaTypes,
  parseIndex,
  REF_NAME,
} from './descriptor.ts';
import { hexOf } from './digest.ts';
import { parseReference } from './reference.ts';
import { fileSize } from './store-folder.ts';
import type { ImageStore, StoredImage } from './store.ts';

/**
 * Each image under its name, which another one there loses. The index is replaced last: whatever happens before, what was
 * in the layout stays as it was. Throws INVALID if the folder holds something else, HOST.
 */
export function writeLayout(store: ImageStore, images: readonly StoredImage[], folder: string): void {
  try {
    checkFolder(folder);
    mkdirSync(`${folder}/blobs/sha256`, { recursive: true });
    for (const { descriptor } of images) writeBlobs(store, descriptor, folder);
    if (fileSize(`${folder}/oci-layout`) === undefined) {
      replaceFile(`${folder}/oci-layout`, JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    }
    replaceFile(`${folder}/index.json`, JSON.stringify(addImages(readIndex(folder), images)));
  } catch (error) {
    if (error instanceof RunncError) throw error;
    throw new RunncError('HOST', `${folder} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
}

function checkFolder(folder: string): void {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  if (names.length === 0 || names.includes('oci-layout') || names.includes('blobs')) return;
  throw new RunncError('INVALID', `${folder}: is not empty and no OCI image layout`);
}

function writeBlobs(store: ImageStore, descriptor: Descriptor, folder: string): void {
  if (isIndex(descriptor.mediaType)) {
    for (const part of store.readIndex(descriptor).manifests) writeBlobs(store, part, folder);
  } else {
    const { config, layers } = store.readManifest(descriptor);
    for (const part of [config, ...layers]) writeBlob(store, part, folder);
  }
  writeBlob(store, descriptor, folder);
}

function writeBlob(store: ImageStore, { digest, size }: Descriptor, folder: string): void {
  const path = `${folder}/blobs/sha256/${hexOf(digest)}`;
  if (fileSize(path) === size) return;
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    copyFileSync(store.blobPath(digest), temporary, constants.COPYFILE_FICLONE);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function readIndex(folder: string): ImageIndex {
  const path = `${folder}/index.json`;
  if (fileSize(path) === undefined) return { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] };
  return parseIndex(readFileSync(path), path);
}

function addImages(index: ImageIndex, images: readonly StoredImage[]): ImageIndex {
  const added = images.map(({ reference, descriptor }): Descriptor => {
    const { mediaType, digest, size } = descriptor;
    if (reference === undefined) return { mediaType, digest, size };
    const { tag } = parseReference(reference);
    const annotations = { [CONTAINERD_NAME]: reference, ...(tag === undefined ? {} : { [REF_NAME]: tag }) };
    return { mediaType, digest, size, annotations };
  });
  const names = new Set(added.map((entry) => nameOf(entry)));
  return { ...index, manifests: [...index.manifests.filter((entry) => !names.has(nameOf(entry))), ...added] };
}

/** What has no name is known by its digest. */
function nameOf({ annotations, digest }: Descriptor): string {
  return annotations?.[CONTAINERD_NAME] ?? annotations?.[REF_NAME] ?? digest;
}

function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    const fd = openSync(temporary, 'wx', 0o644);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
