/** An OCI image layout in a folder of the user's, as a source: "oci:DIR[:NAME]". What is in it is nobody's word. */
import { closeSync, constants, createReadStream, fstatSync, openSync, readFileSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import type { BlobSource } from './copy.ts';
import { CONTAINERD_NAME, type Descriptor, MAX_MANIFEST_BYTES, parseIndex, REF_NAME } from './descriptor.ts';
import { hexOf } from './digest.ts';

/** The entry of that name (a tag, a whole name or a digest); without one, the only entry. Throws NOT_FOUND, INVALID. */
export function findInLayout(folder: string, name: string | undefined): Descriptor {
  const file = `${folder}/index.json`;
  const { manifests } = parseIndex(readSmall(file), file);
  if (name === undefined) {
    const [only, ...others] = manifests;
    if (only !== undefined && others.length === 0) return only;
    throw new RunncError(
      'INVALID',
      `${folder}: has ${String(manifests.length)} images: name one of them (oci:${folder}:NAME)${listOf(manifests)}`,
    );
  }
  const found = manifests.find(
    ({ digest, annotations = {} }) =>
      digest === name || annotations[REF_NAME] === name || annotations[CONTAINERD_NAME] === name,
  );
  if (found !== undefined) return found;
  throw new RunncError(
    'NOT_FOUND',
    `${folder}: an image ${shorten(name)} does not exist${listOf(manifests)}`,
  );
}

export function layoutSource(folder: string): BlobSource {
  const read = (descriptor: Descriptor, offset: number): AsyncIterable<Uint8Array> =>
    readRegular(`${folder}/blobs/sha256/${hexOf(descriptor.digest)}`, offset);
  return { name: folder, manifest: (descriptor) => read(descriptor, 0), blob: read };
}

function listOf(manifests: readonly Descriptor[]): string {
  const names = manifests.flatMap(({ annotations }) => annotations?.[REF_NAME] ?? []);
  return names.length === 0 ? '' : `; there are ${names.slice(0, 10).map(shorten).join(', ')}`;
}

function readSmall(file: string): Buffer {
  const fd = openRegular(file);
  try {
    if (fstatSync(fd).size > MAX_MANIFEST_BYTES) throw new RunncError('INVALID', `${file}: is too large`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

async function* readRegular(file: string, offset: number): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(file, { fd: openRegular(file), start: offset, highWaterMark: 256 * 1024 });
  for await (const chunk of stream) yield chunk as Uint8Array;
}

/** A FIFO would be waited for, a device might do anything. */
function openRegular(file: string): number {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') {
      throw new RunncError('NOT_FOUND', `${file} does not exist: is that an OCI image layout?`);
    }
    throw new RunncError('HOST', `${file} cannot be read: ${errorMessage(error)}`);
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new RunncError('INVALID', `${file} is no regular file`);
}
