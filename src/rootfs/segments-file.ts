/**
 * Reads the segments area of an image (tender/common/abi/runnc_segments.h), which may be an image author's own: nothing in it
 * is believed.
 */
import { readSync } from '../files.ts';
import type { SegmentsArea } from './segments.ts';

/** RUNNC_SEGMENTS_OFFSET: where the area begins in an image. */
export const SEGMENTS_OFFSET = 4096;

const MAGIC = 0x474553434e4e5552n;
const VERSION = 2;
const HEADER_BYTES = 32;
const OBJECT_BYTES = 40;
const PAGE_BYTES = 4096;
/** Above the guest kernel's image. */
const LOWEST_ADDRESS = 0x400000;
/** Where the tender lets the area end in guest memory, and to what border it puts its beginning. */
const AREA_END = 0x7fe00000;
const AREA_ALIGN = 2 ** 21;
/** More objects than any image has. */
const MAX_OBJECTS = 2 ** 20;

/** The tender's --program; bytes, in whole pages. */
export interface FixedProgram {
  readonly offset: number;
  readonly size: number;
  readonly address: number;
}

/** The area of an image of `imageBytes` that is open as `fd`, if it has one. */
export function findSegments(fd: number, imageBytes: number): SegmentsArea | undefined {
  const header = readHeader(fd, SEGMENTS_OFFSET);
  if (header === undefined) return undefined;
  const sizeBytes = Number(header.readBigUInt64LE(16));
  const isWithin = sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0 && sizeBytes <= imageBytes - SEGMENTS_OFFSET;
  return isWithin ? { offset: SEGMENTS_OFFSET, sizeBytes } : undefined;
}

/**
 * A program that is not position-independent, so that the tender can map it where alone it can run. The size of the file is
 * all that it is known by here. That is enough: the guest kernel looks again, by inode, and a program that was mapped in
 * vain is copied as if it had not been.
 *
 * @param fd of the image @param fileBytes of the program
 */
export function findFixedProgram(
  fd: number,
  area: SegmentsArea,
  fileBytes: number,
): FixedProgram | undefined {
  const header = readHeader(fd, area.offset);
  if (header === undefined) return undefined;
  const count = Math.min(header.readUInt32LE(12), MAX_OBJECTS);
  const objects = readAt(fd, area.offset + HEADER_BYTES, count * OBJECT_BYTES);
  for (let at = 0; at + OBJECT_BYTES <= objects.length; at += OBJECT_BYTES) {
    const [offset, size, address, fixedBytes] = [8, 16, 24, 32].map((field) =>
      Number(objects.readBigUInt64LE(at + field)),
    ) as [number, number, number, number];
    const program = { offset, size, address };
    if (fixedBytes === fileBytes && fits(program, area.sizeBytes)) return program;
  }
  return undefined;
}

function fits({ offset, size, address }: FixedProgram, areaBytes: number): boolean {
  const areaStart = AREA_END - Math.ceil(areaBytes / AREA_ALIGN) * AREA_ALIGN;
  return (
    [offset, size, address].every((bytes) => bytes % PAGE_BYTES === 0) &&
    size > 0 &&
    offset + size <= areaBytes &&
    address >= LOWEST_ADDRESS &&
    address + size <= areaStart
  );
}

function readHeader(fd: number, position: number): Buffer | undefined {
  const header = readAt(fd, position, HEADER_BYTES);
  const isOne =
    header.length === HEADER_BYTES &&
    header.readBigUInt64LE(0) === MAGIC &&
    header.readUInt32LE(8) === VERSION;
  return isOne ? header : undefined;
}

function readAt(fd: number, position: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  return buffer.subarray(0, readSync(fd, buffer, 0, bytes, position));
}
