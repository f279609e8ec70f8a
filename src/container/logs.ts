/** What a container of an image in the background has printed: its standard output and error, in their order, in one file. */
import { closeSync, constants, fstatSync, openSync, readSync, watch } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';

export interface LogOptions {
  /** The last lines only. */
  readonly tail?: number | undefined;
  /** Until the container's end. */
  readonly follow?: boolean;
}

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

/** A descriptor to write to, at the end whoever else does. Throws HOST. */
export function createLog(folder: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
  try {
    return openSync(logFile(folder), flags, 0o600);
  } catch (error) {
    throw new RunncError('HOST', `${logFile(folder)} cannot be made: ${errorMessage(error)}`);
  }
}

/** `folder`: see own-data.ts. `ended` resolves at the container's end. Throws HOST, NOT_FOUND for a container without a log. */
export async function* readLog(
  folder: string | undefined,
  id: string,
  ended: () => Promise<unknown>,
  { tail, follow = false }: LogOptions,
): AsyncGenerator<Uint8Array> {
  if (folder === undefined) throw noLog(id);
  const fd = openLog(folder, id);
  try {
    let position = tail === undefined ? 0 : tailPosition(fd, tail);
    if (follow) {
      const written = changes(logFile(folder), ended);
      while ((await written.next()).done !== true) position = yield* readFrom(fd, position);
    }
    yield* readFrom(fd, position);
  } finally {
    closeSync(fd);
  }
}

function logFile(folder: string): string {
  return `${folder}/log`;
}

function openLog(folder: string, id: string): number {
  try {
    return openSync(logFile(folder), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw noLog(id);
    throw new RunncError('HOST', `${logFile(folder)} cannot be read: ${errorMessage(error)}`);
  }
}

function noLog(id: string): RunncError {
  return new RunncError(
    'NOT_FOUND',
    `container ${id} has no log: only those have one that "runnc run --detach IMAGE" started`,
  );
}

/** To the end of the file; the position there. */
function* readFrom(fd: number, position: number): Generator<Uint8Array, number> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (;;) {
    const length = readSync(fd, buffer, 0, CHUNK_BYTES, position);
    if (length === 0) return position;
    position += length;
    yield Buffer.from(buffer.subarray(0, length));
  }
}

/** Where the last lines begin; one without its newline counts. */
function tailPosition(fd: number, lines: number): number {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let end = fstatSync(fd).size;
  if (lines === 0) return end;
  let wanted = lines;
  for (let isLast = true; end > 0;) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const length = readSync(fd, buffer, 0, end - start, start);
    for (let i = length - 1; i >= 0; i--) {
      // The newline of the last line does not end one before it.
      if (buffer[i] === NEWLINE && !isLast && --wanted === 0) return start + i + 1;
      isLast = false;
    }
    end = start;
  }
  return 0;
}

/** Once now, and whenever something was written, until the end. */
async function* changes(file: string, ended: () => Promise<unknown>): AsyncGenerator<void> {
  let wake = (): void => undefined;
  let isDirty = true;
  let isOver = false;
  const watcher = watch(file, () => {
    isDirty = true;
    wake();
  });
  const stop = (): void => {
    isOver = true;
    wake();
  };
  ended().then(stop, stop);
  try {
    while (!isOver) {
      if (!isDirty) await new Promise<void>((resolve) => (wake = resolve));
      isDirty = false;
      yield;
    }
  } finally {
    watcher.close();
  }
}
