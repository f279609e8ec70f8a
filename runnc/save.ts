/** `runnc save`: an archive to a file, which appears when it is whole, or to standard output. */
import { RunncError } from '../src/errors.ts';
import { writeArchiveFile } from '../src/image/archive-file.ts';
import { saveArchive } from '../src/image/archive-save.ts';
import type { ImageStore, StoredImage } from '../src/image/store.ts';
import { theImage, withStore } from './image-call.ts';
import { normalizeReference } from '../src/image/reference.ts';
import type { Call } from './verb.ts';

export function run(call: Call): Promise<number> {
  const { options, operands } = call;
  const format = options.text('format') === 'oci-archive' ? 'oci-archive' : 'docker-archive';
  const file = options.text('output');
  if (file === undefined && process.stdout.isTTY) {
    throw new RunncError(
      'INVALID',
      'save: an archive is nothing for a terminal: give --output FILE or a pipe',
    );
  }
  return withStore(call, async (store) => {
    const images: StoredImage[] = [];
    for (const name of operands) images.push(await named(store, name));
    const archive = saveArchive(store, images, format);
    await writeArchiveFile(file ?? '-', archive);
    return 0;
  });
}

async function named(store: ImageStore, name: string): Promise<StoredImage> {
  const image = await theImage(store, name);
  return image.reference === undefined ? image : { ...image, reference: normalizeReference(image.reference) };
}
