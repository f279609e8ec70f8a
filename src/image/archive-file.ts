/** An archive goes to a file, which appears when it is whole, or to what takes bytes as they come: a pipe, a device. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';

const STDOUT = 1;

/** `dest`: "-" for standard output. Throws HOST, and what `archive` throws; no part of a file is left then. */
export async function writeArchiveFile(dest: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  if (dest === '-') {
    await writeTo(STDOUT, archive, 'standard output');
    return;
  }
  // To put a file in the place of /dev/null would be a surprise for all.
  const isSpecial = statSync(dest, { throwIfNoEntry: false })?.isFile() === false;
  const path = isSpecial ? dest : `${dest}.${crypto.randomUUID().slice(0, 8)}.partial`;
  try {
    const fd = openSync(path, isSpecial ? 'w' : 'wx', 0o666);
    try {
      await writeTo(fd, archive, dest);
      if (!isSpecial) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    reached('archive-written');
    if (!isSpecial) renameSync(path, dest);
  } catch (error) {
    if (!isSpecial) rmSync(path, { force: true });
    if (error instanceof RunncError) throw error;
    throw new RunncError('HOST', `${dest} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
}

async function writeTo(fd: number, archive: AsyncIterable<Uint8Array>, where: string): Promise<void> {
  for await (const chunk of archive) {
    for (let done = 0; done < chunk.length;) {
      try {
        done += writeSync(fd, chunk, done);
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') {
          throw new RunncError('HOST', `${where} cannot be written: ${errorMessage(error)}`, {
            cause: error,
          });
        }
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      }
    }
  }
}
