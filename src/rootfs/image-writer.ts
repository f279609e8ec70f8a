/**
 * Writes an image from its first byte to its last, and knows its content hash at the end. Runs of zeros that are
 * skipped take no room on disk.
 *
 * The content hash is the SHA-256 of the SHA-256s of all pieces of 1 MiB (the last one padded with zeros): so the
 * holes of sparse files cost no hashing, neither here nor in verify.
 */
import { createHash, webcrypto } from 'node:crypto';
import { fdatasync, fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { nextData } from '../native.ts';
import { NoSpaceError } from './no-space.ts';

const PIECE_BYTES = 2 ** 20;
/** Writing back starts while the rest is still being made, so that the last sync has little left to do. */
const SYNC_EVERY_BYTES = 64 * PIECE_BYTES;

const sync = promisify(fdatasync);

/** Pieces that may wait to be hashed by other threads. */
const MAX_UNHASHED = 32;

let zeroPiece: Buffer | undefined;

export class ImageWriter {
  readonly #fd: number;
  readonly #what: string;
  readonly #piece = Buffer.alloc(PIECE_BYTES);
  /** Of each piece, in order. */
  readonly #hashes: Buffer[] = [];
  readonly #unhashed = new Set<Promise<void>>();
  /** Bytes of the current piece that are filled, and whether any of them was written. */
  #filled = 0;
  #touched = false;
  #flushed = 0;
  #sync: Promise<void> | undefined;
  #nextSync = SYNC_EVERY_BYTES;

  /** `fd` is a new, empty file; `what` names it in errors. */
  constructor(fd: number, what: string) {
    this.#fd = fd;
    this.#what = what;
  }

  /** Bytes written and skipped so far. */
  get position(): number {
    return this.#flushed + this.#filled;
  }

  write(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      const count = Math.min(bytes.length - from, PIECE_BYTES - this.#filled);
      this.#piece.set(bytes.subarray(from, from + count), this.#filled);
      this.#advance(count, true);
      from += count;
    }
  }

  /** Copies exactly `length` bytes of a file from `offset`; false if it ends before. */
  copy(fd: number, offset: number, length: number): boolean {
    let done = 0;
    while (done < length) {
      const count = readSync(
        fd,
        this.#piece,
        this.#filled,
        Math.min(length - done, PIECE_BYTES - this.#filled),
        offset + done,
      );
      if (count === 0) return false;
      this.#advance(count, true);
      done += count;
    }
    return true;
  }

  /** Lets `read` put bytes into the current piece behind the `filled` ones; it says how many are filled then. */
  fill<T>(read: (piece: Buffer, filled: number) => { readonly filled: number; readonly outcome: T }): T {
    const { filled, outcome } = read(this.#piece, this.#filled);
    if (filled > this.#filled) this.#advance(filled - this.#filled, true);
    return outcome;
  }

  /** Zeros. */
  skip(length: number): void {
    let left = length;
    while (left > 0) {
      const count = Math.min(left, PIECE_BYTES - this.#filled);
      // A whole piece of zeros is never looked at.
      if (count < PIECE_BYTES) this.#piece.fill(0, this.#filled, this.#filled + count);
      this.#advance(count, false);
      left -= count;
    }
  }

  /** Zeros up to the next multiple of `alignment`. */
  align(alignment: number): void {
    const over = this.position % alignment;
    if (over !== 0) this.skip(alignment - over);
  }

  /** Are other threads so far behind that drain() should be called before more is written? */
  get isAhead(): boolean {
    return this.#unhashed.size > MAX_UNHASHED;
  }

  /** Waits until other threads have caught up. */
  async drain(): Promise<void> {
    while (this.isAhead) await Promise.race(this.#unhashed);
  }

  /** Sets the file's size, waits until the disk has it all, and returns the content hash (hexadecimal). */
  async finish(): Promise<string> {
    const size = this.position;
    if (this.#filled > 0) {
      this.#piece.fill(0, this.#filled);
      this.#flush();
    }
    try {
      ftruncateSync(this.#fd, size);
      await this.#sync;
      await sync(this.#fd);
    } catch (error) {
      throw writeError(error, this.#what);
    }
    await Promise.all(this.#unhashed);
    return createHash('sha256').update(Buffer.concat(this.#hashes)).digest('hex');
  }

  #advance(count: number, touched: boolean): void {
    this.#filled += count;
    this.#touched ||= touched;
    if (this.#filled === PIECE_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#touched) {
      this.#hashPiece();
      writeAll(this.#fd, this.#piece.subarray(0, this.#filled), this.#flushed, this.#what);
    } else {
      this.#hashes.push(zeroPieceHash());
    }
    this.#flushed += this.#filled;
    this.#filled = 0;
    this.#touched = false;
    if (this.#flushed >= this.#nextSync) this.#startSync();
  }

  /** On another thread; the piece is copied before this returns. */
  #hashPiece(): void {
    const index = this.#hashes.push(zeroPieceHash()) - 1;
    const hashing = webcrypto.subtle.digest('SHA-256', this.#piece).then((hash) => {
      this.#hashes[index] = Buffer.from(hash);
      this.#unhashed.delete(hashing);
    });
    this.#unhashed.add(hashing);
  }

  #startSync(): void {
    this.#nextSync = this.#flushed + SYNC_EVERY_BYTES;
    const previous = this.#sync ?? Promise.resolve();
    this.#sync = previous.then(() => sync(this.#fd));
    // finish() reports it; until then a failure is not an unhandled one.
    this.#sync.catch(() => undefined);
  }
}

/** The content hash of a file, hexadecimal. Reads all of it but the holes. */
export function contentHash(fd: number): string {
  const { size } = fstatSync(fd);
  const hash = createHash('sha256');
  const piece = Buffer.alloc(PIECE_BYTES);
  let data = nextData(fd, 0);
  for (let offset = 0; offset < size; offset += PIECE_BYTES) {
    if (data !== undefined && data[1] <= offset) data = nextData(fd, offset);
    if (data === undefined || data[0] >= offset + PIECE_BYTES) {
      hash.update(zeroPieceHash());
      continue;
    }
    let filled = 0;
    while (filled < PIECE_BYTES) {
      const count = readSync(fd, piece, filled, PIECE_BYTES - filled, offset + filled);
      if (count === 0) break;
      filled += count;
    }
    piece.fill(0, filled);
    hash.update(sha256(piece));
  }
  return hash.digest('hex');
}

function sha256(piece: Uint8Array): Buffer {
  return createHash('sha256').update(piece).digest();
}

function zeroPieceHash(): Buffer {
  zeroPiece ??= sha256(Buffer.alloc(PIECE_BYTES));
  return zeroPiece;
}

function writeAll(fd: number, bytes: Uint8Array, position: number, what: string): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written, bytes.length - written, position + written);
    } catch (error) {
      throw writeError(error, what);
    }
  }
}

function writeError(error: unknown, what: string): RunncError {
  const code = errnoOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new NoSpaceError(what, error);
  return new RunncError('HOST', `${what} cannot be written: ${errorMessage(error)}`, { cause: error });
}
