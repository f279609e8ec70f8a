import { writeSync } from '../src/files.ts';
import { errnoOf } from '../src/errors.ts';

/** Writes to standard output. A reader that has gone is no error. */
export function print(text: string): void {
  printBytes(Buffer.from(text));
}

/**
 * At once: the process ends right after its verb. A pipe that somebody made non-blocking is waited for. False if nobody
 * reads any more.
 */
export function printBytes(bytes: Uint8Array): boolean {
  let rest = bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (errnoOf(error) === 'EPIPE') return false;
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  return true;
}

/** Indented, with a newline at the end. */
export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}

/** Columns as wide as their widest cell, as runc's tables. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const MIN_WIDTH = 12;
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? MIN_WIDTH, cell.length + 1);
    });
  }
  for (const row of rows) {
    print(`${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('')}\n`);
  }
}
