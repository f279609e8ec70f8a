/** Where a built image goes beside the store: --output type=…,dest=… */
import { mkdirSync, readdirSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError, shorten } from '../../errors.ts';
import { writeArchiveFile } from '../archive-file.ts';
import { decompress } from '../decompress.ts';
import { openImage } from '../platform.ts';
import type { ImageStore, StoredImage } from '../store.ts';

export const OUTPUT_TYPES = ['oci', 'oci-archive', 'docker', 'dir'] as const;

export interface Output {
  /**
   * oci: an OCI image layout in a folder; oci-archive, docker: an archive, the latter with what old versions of docker need;
   * dir: the files of the image, unpacked.
   */
  readonly type: (typeof OUTPUT_TYPES)[number];
  /** A file, or a folder; "-": standard output, for archives. */
  readonly dest: string;
}

/** "type=oci,dest=DIR"; "DIR" alone is a dir, "-" an archive on standard output. Throws INVALID. */
export function parseOutput(text: string): Output {
  const fail = (why: string): RunncError => new RunncError('INVALID', `--output ${text}: ${why}`);
  if (!text.includes('=')) {
    if (text === '') throw fail('expected type=TYPE,dest=PATH');
    return text === '-' ? { type: 'docker', dest: '-' } : { type: 'dir', dest: text };
  }
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    fields.set(part.slice(0, Math.max(equals, 0)), part.slice(equals + 1));
  }
  for (const name of fields.keys()) {
    if (name !== 'type' && name !== 'dest')
      throw fail(`${shorten(name)} is not known, there are type and dest`);
  }
  const type = OUTPUT_TYPES.find((known) => known === fields.get('type'));
  if (type === undefined) throw fail(`type: expected ${OUTPUT_TYPES.join(', ')}`);
  const dest = fields.get('dest') ?? '';
  if (dest === '') throw fail('dest is missing');
  if (dest === '-' && (type === 'oci' || type === 'dir')) throw fail('standard output takes no folder');
  return { type, dest };
}

/** `images` are names of one image; one without a name if it has none. Throws HOST, INVALID. */
export async function writeOutput(
  store: ImageStore,
  images: readonly StoredImage[],
  { type, dest }: Output,
  onWarning: (message: string) => void,
): Promise<void> {
  switch (type) {
    case 'oci': {
      const { writeLayout } = await import('../layout-write.ts');
      writeLayout(store, images, dest);
      return;
    }
    case 'dir':
      return unpack(store, images, dest, onWarning);
    default: {
      const { saveArchive } = await import('../archive-save.ts');
      await writeArchiveFile(dest, saveArchive(store, images, type === 'docker' ? 'docker-archive' : type));
    }
  }
}

async function unpack(
  store: ImageStore,
  images: readonly StoredImage[],
  dest: string,
  onWarning: (message: string) => void,
): Promise<void> {
  const [image] = images;
  if (image === undefined) throw new RunncError('INTERNAL', 'no image to unpack');
  try {
    mkdirSync(dest, { recursive: true });
    if (readdirSync(dest).length > 0) throw new RunncError('INVALID', `${dest}: must be empty`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new RunncError('HOST', `${dest} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
  const { Unpacker } = await import('../unpack.ts');
  const unpacker = new Unpacker(dest, { onWarning });
  try {
    for (const { digest } of openImage(store, image.descriptor).manifest.layers) {
      await unpacker.layer(decompress(store.readBlob(digest), digest), digest);
    }
    unpacker.finish();
  } finally {
    unpacker.close();
  }
}
