/**
 * Puts the contents of scanned files where they belong in an image. The addon does it for all of a tree's many files in
 * few calls; files with holes, which are rare, are read here.
 */
import { closeSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { nextData, PART_CHANGED, PART_SPARSE, readParts } from '../native.ts';
import type { ImageWriter } from './image-writer.ts';
import { changedError, displayPath, openScanned, type TreeEntry } from './tree.ts';

/** Bytes of a scanned file, and where they go in the image. */
export interface FilePart {
  readonly position: number;
  readonly entry: TreeEntry;
  /** Within the file; together not beyond its end. */
  readonly offset: number;
  readonly length: number;
}

/** Called between pieces of work: throws to stop, gives a promise now and then to let others run. */
export type OnStep = (doneBytes: number) => Promise<void> | undefined;

/** The addon gets so many at once. */
const BATCH = 512;
/** Longer gaps are skipped, which takes no room on disk where it can be; others are written. */
const MAX_WRITTEN_GAP = 2 ** 20;
/** Of a file with holes, copied between two steps. */
const SLICE_BYTES = 2 ** 21;
/** struct Part of tender/addon/content.cc, without the path. */
const PART_BYTES = 64;

export class ContentCopier {
  readonly #writer: ImageWriter;
  readonly #onStep: OnStep;
  #batch: FilePart[] = [];
  /** Where the last part ends. */
  #end = 0;

  constructor(writer: ImageWriter, onStep: OnStep) {
    this.#writer = writer;
    this.#onStep = onStep;
  }

  /** Parts come in the order of their positions, with zeros between them. */
  add(part: FilePart): Promise<void> | undefined {
    const gap = part.position - (this.#batch.length === 0 ? this.#writer.position : this.#end);
    this.#end = part.position + part.length;
    if (gap <= MAX_WRITTEN_GAP && this.#batch.length < BATCH) {
      this.#batch.push(part);
      return undefined;
    }
    return this.flush().then(() => {
      this.#writer.skip(part.position - this.#writer.position);
      this.#batch.push(part);
    });
  }

  /** Everything that was added is in the writer then. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length === 0) return;
    const reader = new PartReader(batch, this.#writer.position);
    while (!reader.isDone) {
      const sparse = this.#writer.fill((piece, filled) => reader.read(piece, filled));
      if (sparse !== undefined) {
        await this.#copySparse(sparse);
        reader.skip();
      }
      await this.#writer.drain();
      const turn = this.#onStep(this.#writer.writtenBytes);
      if (turn !== undefined) await turn;
    }
  }

  /** The zeros in front of it are written already, and what a first look has seen of it. */
  async #copySparse({ entry, position, offset, length }: FilePart): Promise<void> {
    const { fd } = openScanned(entry);
    try {
      const end = offset + length;
      for (let at = offset + this.#writer.position - position; at < end;) {
        const [start, stop] = nextData(fd, at) ?? [end, Infinity];
        const from = Math.min(start, end);
        const to = Math.min(stop, end, from + SLICE_BYTES);
        this.#writer.skip(from - at);
        if (!this.#writer.copy(fd, from, to - from)) throw changedError(entry);
        at = to;
        await this.#writer.drain();
        await this.#onStep(this.#writer.writtenBytes);
      }
    } finally {
      closeSync(fd);
    }
  }
}

/** Reads parts one behind the other, with the zeros between them, into as many buffers as it takes. */
export class PartReader {
  readonly #parts: readonly FilePart[];
  readonly #packed: Buffer;
  /** Where each begins in the packed ones. */
  readonly #offsets: readonly number[];
  /** As readParts() wants it. */
  readonly #state = new Float64Array(3);

  /** `position`: where the first zeros go. */
  constructor(parts: readonly FilePart[], position: number) {
    this.#parts = parts;
    [this.#packed, this.#offsets] = pack(parts, position);
  }

  get isDone(): boolean {
    return (this.#state[0] ?? 0) >= this.#packed.length;
  }

  /**
   * Fills `out` behind its `filled` bytes, and says how many are filled then. `outcome`: the part where it stopped, for it
   * may have holes. Throws for a file that is not what was scanned any more, or cannot be read.
   */
  read(out: Buffer, filled: number): { readonly filled: number; readonly outcome: FilePart | undefined } {
    this.#state[2] = filled;
    let outcome: number;
    try {
      outcome = readParts(this.#packed, out, this.#state);
    } catch (error) {
      throw readError(this.#part().entry, error);
    }
    if (outcome === PART_CHANGED) throw changedError(this.#part().entry);
    return { filled: this.#state[2] ?? 0, outcome: outcome === PART_SPARSE ? this.#part() : undefined };
  }

  /** Goes on behind the part where read() stopped. */
  skip(): void {
    this.#state[0] = this.#offsets[this.#index() + 1] ?? this.#packed.length;
    this.#state[1] = 0;
  }

  #part(): FilePart {
    const part = this.#parts[this.#index()];
    if (part === undefined) throw new RunncError('INTERNAL', 'the addon stopped at no part');
    return part;
  }

  #index(): number {
    return this.#offsets.indexOf(this.#state[0] ?? 0);
  }
}

function readError(entry: TreeEntry, error: unknown): RunncError {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return changedError(entry);
  return new RunncError('HOST', `${displayPath(entry)} cannot be read: ${errorMessage(error)}`, {
    cause: error,
  });
}

/** As the addon reads them: struct Part of tender/addon/content.cc. Also where each begins. */
function pack(parts: readonly FilePart[], position: number): [Buffer, number[]] {
  const bytes = Buffer.alloc(parts.reduce((sum, { entry }) => sum + recordBytes(entry), 0));
  const offsets: number[] = [];
  let [at, end] = [0, position];
  for (const { entry, offset, length, position: to } of parts) {
    if (to < end) throw new RunncError('INTERNAL', 'parts of files that overlap');
    offsets.push(at);
    bytes.writeBigUInt64LE(entry.dev, at);
    bytes.writeBigUInt64LE(entry.ino, at + 8);
    writeUInt(bytes, entry.sizeBytes, at + 16);
    bytes.writeBigInt64LE(entry.ctimeNs, at + 24);
    writeUInt(bytes, offset, at + 32);
    writeUInt(bytes, length, at + 40);
    writeUInt(bytes, to - end, at + 48);
    bytes.writeUInt32LE(entry.rootFd, at + 56);
    bytes.writeUInt32LE(recordBytes(entry), at + 60);
    // One byte for each character; relative to the folder.
    bytes.write(entry.path.slice(1), at + PART_BYTES, 'latin1');
    at += recordBytes(entry);
    end = to + length;
  }
  return [bytes, offsets];
}

function recordBytes({ path }: TreeEntry): number {
  return (PART_BYTES + path.length + 7) & ~7;
}

/** Up to 2^53, without a bigint. */
function writeUInt(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}
