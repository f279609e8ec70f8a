/** Writes a blob to an open file, counting and hashing what goes by. */
import { ftruncateSync, readSync, write } from 'node:fs';
import { RunncError } from '../errors.ts';
import { finishDigest, startDigest } from './digest.ts';

/** What a blob must turn out to be. */
export interface ExpectedBlob {
  readonly digest?: string;
  /** Bytes. */
  readonly size?: number;
}

/** A source, or one that can begin at any offset. */
export type BlobSource = AsyncIterable<Uint8Array> | ((offset: number) => AsyncIterable<Uint8Array>);

const COPY_BYTES = 1024 * 1024;

/**
 * What the file holds already counts as the beginning, if the source can begin behind it; else it must be empty. Not
 * more than expected is ever written. Throws INVALID if digest or size are not the expected ones, and what the source
 * throws.
 */
export async function writeAll(
  fd: number,
  source: BlobSource,
  expected: ExpectedBlob,
): Promise<{ digest: string; size: number }> {
  const hash = startDigest();
  let size = 0;
  if (typeof source === 'function') {
    size = hashFile(fd, (chunk) => hash.update(chunk));
    if (expected.size !== undefined && size > expected.size) {
      ftruncateSync(fd, 0);
      return writeAll(fd, source, expected);
    }
  }
  const rest = typeof source === 'function' ? source(size) : source;
  if (expected.size === undefined || size < expected.size || typeof source !== 'function') {
    for await (const chunk of rest) {
      if (expected.size !== undefined && size + chunk.length > expected.size) {
        throw new RunncError(
          'INVALID',
          `${name(expected)}: is longer than the ${String(expected.size)} bytes it should have`,
        );
      }
      hash.update(chunk);
      await writeChunk(fd, chunk, size);
      size += chunk.length;
    }
  }
  if (expected.size !== undefined && size !== expected.size) {
    throw new RunncError(
      typeof source === 'function' ? 'HOST' : 'INVALID',
      `${name(expected)}: ends after ${String(size)} of ${String(expected.size)} bytes`,
    );
  }
  const digest = finishDigest(hash);
  if (expected.digest !== undefined && digest !== expected.digest) {
    throw new RunncError('INVALID', `${expected.digest}: the content has another digest, ${digest}`);
  }
  return { digest, size };
}

function name({ digest }: ExpectedBlob): string {
  return digest ?? 'the blob';
}

function hashFile(fd: number, update: (chunk: Uint8Array) => void): number {
  const buffer = Buffer.allocUnsafe(COPY_BYTES);
  for (let size = 0; ;) {
    const count = readSync(fd, buffer, 0, buffer.length, size);
    if (count === 0) return size;
    update(buffer.subarray(0, count));
    size += count;
  }
}

async function writeChunk(fd: number, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    done += await new Promise<number>((resolve, reject) => {
      write(fd, chunk, done, chunk.length - done, position + done, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }
}
