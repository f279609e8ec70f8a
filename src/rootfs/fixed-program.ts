/**
 * Finds a program that is not position-independent in the segments companion of its image, so that the tender can map
 * it where alone it can run (tender/common/abi/runnc_segments.h).
 *
 * The size of the file is all that it is known by here. That is enough: the guest kernel looks again, by inode, and a
 * program that was mapped in vain is copied as if it had not been.
 */
import { readSync } from 'node:fs';

const MAGIC = 0x474553434e4e5552n;
const VERSION = 2;
const HEADER_BYTES = 32;
const OBJECT_BYTES = 40;
const PAGE_BYTES = 4096;
/** Above the guest kernel's image. */
const LOWEST_ADDRESS = 0x400000;
/** Where the tender lets the companion end, and to what border it puts its beginning. */
const COMPANION_END = 0x7fe00000;
const COMPANION_ALIGN = 2 ** 21;
/** More objects than any image has; the companion may be an image author's own. */
const MAX_OBJECTS = 2 ** 20;

/** The tender's --program; bytes, in whole pages. */
export interface FixedProgram {
  readonly offset: number;
  readonly size: number;
  readonly address: number;
}

/** @param companion open for reading @param fileBytes of the program */
export function findFixedProgram(
  companion: { readonly fd: number; readonly sizeBytes: number },
  fileBytes: number,
): FixedProgram | undefined {
  const header = readAt(companion.fd, 0, HEADER_BYTES);
  if (header.length < HEADER_BYTES || header.readBigUInt64LE(0) !== MAGIC) return undefined;
  if (header.readUInt32LE(8) !== VERSION) return undefined;
  const objects = readAt(
    companion.fd,
    HEADER_BYTES,
    Math.min(header.readUInt32LE(12), MAX_OBJECTS) * OBJECT_BYTES,
  );
  for (let at = 0; at + OBJECT_BYTES <= objects.length; at += OBJECT_BYTES) {
    const [offset, size, address, fixedBytes] = [8, 16, 24, 32].map((field) =>
      Number(objects.readBigUInt64LE(at + field)),
    ) as [number, number, number, number];
    const program = { offset, size, address };
    if (fixedBytes === fileBytes && fits(program, companion.sizeBytes)) return program;
  }
  return undefined;
}

function fits({ offset, size, address }: FixedProgram, companionBytes: number): boolean {
  const companionStart = COMPANION_END - Math.ceil(companionBytes / COMPANION_ALIGN) * COMPANION_ALIGN;
  return (
    [offset, size, address].every((bytes) => bytes % PAGE_BYTES === 0) &&
    size > 0 &&
    offset + size <= companionBytes &&
    address >= LOWEST_ADDRESS &&
    address + size <= companionStart
  );
}

function readAt(fd: number, position: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  return buffer.subarray(0, readSync(fd, buffer, 0, bytes, position));
}
