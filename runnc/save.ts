/** `runnc save`: an archive to a file, which appears when it is whole, or to standard output. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../src/errors.ts';
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
    if (file === undefined || file === '-') await writeTo(1, archive, 'standard output');
    else await writeFile(file, archive);
    return 0;
  });
}

async function named(store: ImageStore, name: string): Promise<StoredImage> {
  const image = await theImage(store, name);
  return image.reference === undefined ? image : { ...image, reference: normalizeReference(image.reference) };
}

async function writeFile(file: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}.partial`;
  try {
    const fd = openSync(temporary, 'wx', 0o666);
    try {
      await writeTo(fd, archive, file);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (error instanceof RunncError) throw error;
    throw new RunncError('HOST', `save: ${file} cannot be written: ${errorMessage(error)}`);
  }
}

async function writeTo(fd: number, archive: AsyncIterable<Uint8Array>, where: string): Promise<void> {
  for await (const chunk of archive) {
    for (let done = 0; done < chunk.length;) {
      try {
        done += writeSync(fd, chunk, done);
      } catch (error) {
        if (errnoOf(error) === 'EAGAIN') {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
          continue;
        }
        throw new RunncError('HOST', `save: ${where} cannot be written: ${errorMessage(error)}`);
      }
    }
  }
}
