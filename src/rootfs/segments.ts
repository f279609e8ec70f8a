/**
 * The segments companion of an EROFS image (tender/common/abi/runnc_segments.h): programs and shared libraries laid out as
 * they will lie in memory. Everything is read from the finished image, so the two
 * cannot differ; an ELF file is its author's and may hold anything, so what Linux would refuse is left out.
 */
import { readSync } from 'node:fs';
import type { ErofsFile } from './erofs.ts';
import type { ImageWriter } from './image-writer.ts';

const PAGE_BYTES = 4096;
const MAGIC = 0x474553434e4e5552n;
const VERSION = 2;
const HEADER_BYTES = 32;
const OBJECT_BYTES = 40;
const MAX_SPAN_BYTES = 0x40000000;
const MAX_ALIGN_BYTES = 2 ** 21;
/**
 * The whole companion lies below 2 GiB, where patched system calls reach the kernel, together with what is mapped there
 * otherwise; objects beyond this are copied when they run.
 */
const MAX_TOTAL_BYTES = 960 * 2 ** 20;

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** Linux: a page of program headers at most (load_elf_phdrs()). */
const MAX_PHDRS = Math.floor(PAGE_BYTES / PHDR_BYTES);
const PT_LOAD = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;

export interface ElfObject {
  readonly minVaddr: number;
  readonly spanBytes: number;
  /** Largest p_align, at least a page, at most 2 MiB. */
  readonly alignBytes: number;
  /** It can run at its own address alone. */
  readonly isFixed: boolean;
  /** In the order of addresses, without overlaps; what the file gives to each. */
  readonly segments: readonly {
    readonly fileOffset: number;
    readonly spanOffset: number;
    readonly bytes: number;
  }[];
}

interface PlacedObject extends ElfObject {
  readonly file: ErofsFile;
  readonly offset: number;
}

/** Writes the companion of the image that is open as `imageFd`. */
export async function writeSegments(
  files: readonly ErofsFile[],
  imageFd: number,
  writer: ImageWriter,
  onStep: (doneBytes: number, totalBytes: number) => Promise<void> | undefined,
): Promise<void> {
  const objects = place(
    files.flatMap((file) => {
      const object = file.mayBeElf ? readElf(imageFd, file) : undefined;
      return object === undefined ? [] : [{ ...object, file }];
    }),
  );
  const last = objects.at(-1);
  const indexBytes = roundUp(HEADER_BYTES + objects.length * OBJECT_BYTES, PAGE_BYTES);
  const totalBytes = last === undefined ? indexBytes : last.offset + last.spanBytes;
  writer.write(index(objects, totalBytes));
  for (const { file, offset, segments, spanBytes } of objects) {
    for (const segment of segments) {
      writer.skip(offset + segment.spanOffset - writer.position);
      writer.copy(imageFd, file.offset + segment.fileOffset, segment.bytes);
    }
    writer.skip(offset + spanBytes - writer.position);
    await onStep(writer.position, totalBytes);
  }
  writer.skip(totalBytes - writer.position);
}

function place(objects: readonly (ElfObject & { file: ErofsFile })[]): PlacedObject[] {
  const placed: PlacedObject[] = [];
  // Room for an entry of each, even of those that the limit leaves out.
  const start = HEADER_BYTES + objects.length * OBJECT_BYTES;
  let end = roundUp(start, PAGE_BYTES);
  for (const object of objects) {
    const offset = roundUp(end, object.alignBytes);
    if (offset + object.spanBytes > MAX_TOTAL_BYTES) continue;
    placed.push({ ...object, offset });
    end = offset + object.spanBytes;
  }
  return placed;
}

function index(objects: readonly PlacedObject[], totalBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + objects.length * OBJECT_BYTES);
  bytes.writeBigUInt64LE(MAGIC, 0);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(objects.length, 12);
  bytes.writeBigUInt64LE(BigInt(totalBytes), 16);
  const sorted = [...objects].sort((a, b) => a.file.nid - b.file.nid);
  sorted.forEach(({ file, offset, spanBytes, minVaddr, isFixed }, position) => {
    const at = HEADER_BYTES + position * OBJECT_BYTES;
    bytes.writeBigUInt64LE(BigInt(file.nid), at);
    bytes.writeBigUInt64LE(BigInt(offset), at + 8);
    bytes.writeBigUInt64LE(BigInt(spanBytes), at + 16);
    bytes.writeBigUInt64LE(BigInt(minVaddr), at + 24);
    bytes.writeBigUInt64LE(BigInt(isFixed ? file.sizeBytes : 0), at + 32);
  });
  return bytes;
}

/** The object in a file, if it is one that can be laid out. */
export function readElf(
  imageFd: number,
  file: Pick<ErofsFile, 'offset' | 'sizeBytes'>,
): ElfObject | undefined {
  if (file.sizeBytes < EHDR_BYTES) return undefined;
  const header = Buffer.alloc(PAGE_BYTES);
  const length = readSync(imageFd, header, 0, Math.min(PAGE_BYTES, file.sizeBytes), file.offset);
  if (length < EHDR_BYTES || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const isElf64LittleEndian = header[4] === 2 && header[5] === 1;
  const type = header.readUInt16LE(16);
  if (!isElf64LittleEndian || header.readUInt16LE(18) !== EM_X86_64) return undefined;
  if (type !== ET_DYN && type !== ET_EXEC) return undefined;
  const phdrOffset = header.readBigUInt64LE(32);
  const count = header.readUInt16LE(56);
  if (header.readUInt16LE(54) !== PHDR_BYTES || count === 0 || count > MAX_PHDRS) return undefined;
  const phdrs = Buffer.alloc(count * PHDR_BYTES);
  if (phdrOffset + BigInt(phdrs.length) > BigInt(file.sizeBytes)) return undefined;
  readSync(imageFd, phdrs, 0, phdrs.length, file.offset + Number(phdrOffset));
  const object = layOut(phdrs, file.sizeBytes);
  return object === undefined ? undefined : { ...object, isFixed: type === ET_EXEC };
}

function layOut(phdrs: Buffer, fileBytes: number): Omit<ElfObject, 'isFixed'> | undefined {
  const loads: { vaddr: number; memBytes: number; fileOffset: number; bytes: number }[] = [];
  let alignBytes = PAGE_BYTES;
  for (let at = 0; at < phdrs.length; at += PHDR_BYTES) {
    if (phdrs.readUInt32LE(at) !== PT_LOAD) continue;
    // Anything above 2^53 is beyond every limit below, rounded or not.
    const [fileOffset, vaddr, bytes, memBytes, align] = [8, 16, 32, 40, 48].map((field) =>
      Number(phdrs.readBigUInt64LE(at + field)),
    ) as [number, number, number, number, number];
    if (memBytes === 0) continue;
    const previous = loads.at(-1);
    const isSound =
      bytes <= memBytes &&
      fileOffset + bytes <= fileBytes &&
      vaddr + memBytes <= Number.MAX_SAFE_INTEGER &&
      fileOffset % PAGE_BYTES === vaddr % PAGE_BYTES &&
      (previous === undefined || vaddr >= previous.vaddr + previous.memBytes);
    if (!isSound) return undefined;
    if (align > alignBytes)
      alignBytes = align <= MAX_ALIGN_BYTES && Number.isInteger(Math.log2(align)) ? align : alignBytes;
    loads.push({ vaddr, memBytes, fileOffset, bytes });
  }
  const [first] = loads;
  const last = loads.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const minVaddr = first.vaddr - (first.vaddr % PAGE_BYTES);
  const spanBytes = roundUp(last.vaddr + last.memBytes - minVaddr, PAGE_BYTES);
  if (spanBytes > MAX_SPAN_BYTES) return undefined;
  return {
    minVaddr,
    spanBytes,
    alignBytes,
    segments: loads.map(({ vaddr, fileOffset, bytes }) => ({
      fileOffset,
      spanOffset: vaddr - minVaddr,
      bytes,
    })),
  };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
