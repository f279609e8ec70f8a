/** Layers and archives as they come: plain, gzip or zstd, told by their first bytes as Docker does. */
import { pipeline, Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { errorMessage, errnoOf, RunncError } from '../errors.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

const LONGEST_MAGIC = 6;

export function compressionOf(start: Uint8Array): Compression {
  return MAGIC.find(([, magic]) => magic.every((byte, i) => start[i] === byte))?.[0] ?? 'none';
}

/** `where` names the source in errors. Throws INVALID for damaged data, UNSUPPORTED, and what the source throws. */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < LONGEST_MAGIC) {
    const next = await iterator.next();
    if (next.done === true) break;
    start = Buffer.concat([start, next.value]);
  }
  const whole = prepend(start, iterator);
  const compression = compressionOf(start);
  if (compression === 'none') {
    yield* whole;
    return;
  }
  let failure: unknown;
  const decoder = decoderFor(compression, where);
  // What the source throws is told apart from what the decoder does not like.
  pipeline(Readable.from(remember(whole, (error) => (failure = error))), decoder, () => undefined);
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
  } catch (error) {
    if (failure !== undefined) throw failure;
    if (errnoOf(error) === 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    throw new RunncError('INVALID', `${where}: damaged ${compression} data: ${errorMessage(error)}`, {
      cause: error,
    });
  } finally {
    decoder.destroy();
  }
}

/** zlib's own bound on memory, 128 MiB for a zstd window, holds for hostile data. */
function decoderFor(compression: Compression, where: string): NodeJS.ReadWriteStream & { destroy(): void } {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize: CHUNK_BYTES }) as unknown as Decoder;
  // Node has it since 22.15, the installed program always; the types are those of Node 20.
  const { createZstdDecompress } = zlib as unknown as ZstdZlib;
  if (compression === 'zstd' && createZstdDecompress !== undefined) {
    return createZstdDecompress({ chunkSize: CHUNK_BYTES });
  }
  const how = compression === 'zstd' ? ' by this version of Node.js (22.15 has it)' : '';
  throw new RunncError(
    'UNSUPPORTED',
    `${where}: ${compression} compression is not supported${how}: use gzip`,
  );
}

const CHUNK_BYTES = 64 * 1024;

type Decoder = NodeJS.ReadWriteStream & { destroy(): void };

interface ZstdZlib {
  readonly createZstdDecompress?: (options: { chunkSize: number }) => Decoder;
}

async function* prepend(start: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (start.length > 0) yield start;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function* remember(
  source: AsyncIterable<Uint8Array>,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    onFailure(error);
    throw error;
  }
}
