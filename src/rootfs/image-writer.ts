/**
 * Writes an image from its first byte to its last, and knows its content hash at the end. Runs of zeros that are
 * skipped take no room on disk.
 *
 * The content hash is a checksum of the checksums of all pieces of 1 MiB (the last one padded with zeros): so the holes of
 * sparse files cost nothing, neither here nor in verify. It finds damage. Nothing could find malice: who may write to the
 * cache may write the hash there, too.
 */
import { fdatasync, fstatSync, ftruncateSync, readSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { checksum, nextData } from '../native.ts';
import { NoSpaceError } from './no-space.ts';

const PIECE_BYTES = 2 ** 20;
/** Writing back starts while the rest is still being made, so that the last sync has little left to do. */
const SYNC_EVERY_BYTES = 64 * PIECE_BYTES;

const sync = promisify(fdatasync);

/** Pieces that may wait to be written by other threads. */
const MAX_UNWRITTEN = 6;

let zeroPiece: Buffer | undefined;

export class ImageWriter {
  readonly #fd: number;
  readonly #what: string;
  #piece: Buffer = Buffer.allocUnsafe(PIECE_BYTES);
  /** Pieces that have been written, to be filled again. */
  readonly #spare: Buffer[] = [];
  /** Of each piece, in order. */
  readonly #hashes: Buffer[] = [];
  readonly #unwritten = new Set<Promise<void>>();
  #failure: RunncError | undefined;
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

  /** Waits until other threads have caught up, if they are far behind. Throws what could not be written. */
  async drain(): Promise<void> {
    while (this.#unwritten.size > MAX_UNWRITTEN) await Promise.race(this.#unwritten);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Of the bytes up to the position, those that have been handed to the kernel. */
  get writtenBytes(): number {
    return Math.max(0, this.#flushed - this.#unwritten.size * PIECE_BYTES);
  }

  /**
   * Sets the file's size, waits until the disk has it all, and returns the content hash (hexadecimal). `onStep` is called
   * whenever something was written.
   */
  async finish(onStep: () => Promise<void> | undefined = () => undefined): Promise<string> {
    const size = this.position;
    if (this.#filled > 0) {
      this.#piece.fill(0, this.#filled);
      this.#flush();
    }
    while (this.#unwritten.size > 0) {
      await Promise.race(this.#unwritten);
      await onStep();
    }
    await this.#sync;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      ftruncateSync(this.#fd, size);
      await sync(this.#fd);
    } catch (error) {
      throw writeError(error, this.#what);
    }
    return checksum(Buffer.concat(this.#hashes)).toString('hex');
  }

  /** When this resolves no other thread uses the file any more: it may be closed. */
  async settle(): Promise<void> {
    await Promise.all(this.#unwritten);
    await this.#sync;
  }

  #advance(count: number, touched: boolean): void {
    this.#filled += count;
    this.#touched ||= touched;
    if (this.#filled === PIECE_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#touched) {
      this.#hashes.push(checksum(this.#piece));
      this.#writePiece();
    } else {
      this.#hashes.push(zeroPieceHash());
    }
    this.#flushed += this.#filled;
    this.#filled = 0;
    this.#touched = false;
    if (this.#flushed >= this.#nextSync) this.#startSync();
  }

  /** On another thread, which has the piece until it is written. */
  #writePiece(): void {
    const piece = this.#piece;
    const writing = writeAll(this.#fd, piece.subarray(0, this.#filled), this.#flushed)
      .catch((error: unknown) => {
        this.#failure ??= writeError(error, this.#what);
      })
      .then(() => {
        this.#unwritten.delete(writing);
        this.#spare.push(piece);
      });
    this.#unwritten.add(writing);
    this.#piece = this.#spare.pop() ?? Buffer.allocUnsafe(PIECE_BYTES);
  }

  #startSync(): void {
    this.#nextSync = this.#flushed + SYNC_EVERY_BYTES;
    const previous = this.#sync ?? Promise.resolve();
    this.#sync = previous
      .then(() => sync(this.#fd))
      .catch((error: unknown) => {
        this.#failure ??= writeError(error, this.#what);
      });
  }
}

/** The content hash of a file, hexadecimal. Reads all of it but the holes. */
export function contentHash(fd: number): string {
  const { size } = fstatSync(fd);
  const hashes: Buffer[] = [];
  const piece = Buffer.alloc(PIECE_BYTES);
  let data = nextData(fd, 0);
  for (let offset = 0; offset < size; offset += PIECE_BYTES) {
    if (data !== undefined && data[1] <= offset) data = nextData(fd, offset);
    if (data === undefined || data[0] >= offset + PIECE_BYTES) {
      hashes.push(zeroPieceHash());
      continue;
    }
    let filled = 0;
    while (filled < PIECE_BYTES) {
      const count = readSync(fd, piece, filled, PIECE_BYTES - filled, offset + filled);
      if (count === 0) break;
      filled += count;
    }
    piece.fill(0, filled);
    hashes.push(checksum(piece));
  }
  return checksum(Buffer.concat(hashes)).toString('hex');
}

function zeroPieceHash(): Buffer {
  zeroPiece ??= checksum(Buffer.alloc(PIECE_BYTES));
  return zeroPiece;
}

async function writeAll(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += await writeOnce(fd, bytes.subarray(written), position + written);
  }
}

function writeOnce(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

function writeError(error: unknown, what: string): RunncError {
  const code = errnoOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new NoSpaceError(what, error);
  return new RunncError('HOST', `${what} cannot be written: ${errorMessage(error)}`, { cause: error });
}
