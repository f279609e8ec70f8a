/**
 * The segments area of an EROFS image (tender/common/abi/runnc_segments.h): programs and shared libraries laid out as
 * they will lie in memory. Where a whole page of a file lies in memory as it does in the file, the two share one block of
 * the image (erofs.ts); what is left is copied. An ELF file is its author's and may hold anything, so what Linux would
 * refuse is left out.
 */

const PAGE_BYTES = 4096;
const MAGIC = 0x474553434e4e5552n;
const VERSION = 2;
const HEADER_BYTES = 32;
const OBJECT_BYTES = 40;
const MAX_SPAN_BYTES = 0x40000000;
const MAX_ALIGN_BYTES = 2 ** 21;
/**
 * The whole area lies below 2 GiB in the guest, where patched system calls reach the kernel, together with what is mapped
 * there otherwise; objects beyond this are copied when they run.
 */
const MAX_TOTAL_BYTES = 960 * 2 ** 20;

export const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** Linux: a page of program headers at most (load_elf_phdrs()). */
const MAX_PHDRS = Math.floor(PAGE_BYTES / PHDR_BYTES);
const PT_LOAD = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;

/** Where the segments lie in an image; whole pages. */
export interface SegmentsArea {
  readonly offset: number;
  readonly sizeBytes: number;
}

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

/** An object, and where its span begins in the area. */
export interface PlacedObject<File> extends ElfObject {
  readonly file: File;
  readonly offset: number;
}

/** The index comes first, then the spans; `sizeBytes` of all. Objects that find no room are left out. */
export function placeObjects<File>(objects: readonly (ElfObject & { readonly file: File })[]): {
  readonly placed: readonly PlacedObject<File>[];
  readonly sizeBytes: number;
} {
  const placed: PlacedObject<File>[] = [];
  // Room for an entry of each, even of those that are left out.
  let end = roundUp(HEADER_BYTES + objects.length * OBJECT_BYTES, PAGE_BYTES);
  for (const object of objects) {
    const offset = roundUp(end, object.alignBytes);
    if (offset + object.spanBytes > MAX_TOTAL_BYTES) continue;
    placed.push({ ...object, offset });
    end = offset + object.spanBytes;
  }
  return { placed, sizeBytes: placed.length === 0 ? 0 : end };
}

export function segmentsIndex(
  objects: readonly PlacedObject<{ readonly nid: number; readonly sizeBytes: number }>[],
  totalBytes: number,
): Buffer {
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

/**
 * Where each page of a file lies in its object's span, counted in pages; -1 for those that no segment has in whole. The
 * gaps between segments are zeros, where the file has something else.
 */
export function pagesInSpan({ segments }: ElfObject, fileBytes: number): Int32Array {
  const pages = new Int32Array(Math.ceil(fileBytes / PAGE_BYTES)).fill(-1);
  for (const { fileOffset, spanOffset, bytes } of segments) {
    const end = Math.floor((fileOffset + bytes) / PAGE_BYTES);
    const shift = Math.floor((spanOffset - fileOffset) / PAGE_BYTES);
    for (let page = Math.ceil(fileOffset / PAGE_BYTES); page < end; page++) {
      if (pages[page] === -1) pages[page] = page + shift;
    }
  }
  return pages;
}

/**
 * The object in a file of `fileBytes`, if it is one that can be laid out. `read` gives as many bytes of it as there are
 * from an offset within it.
 */
export function readElf(
  fileBytes: number,
  read: (offset: number, length: number) => Buffer,
): ElfObject | undefined {
  if (fileBytes < EHDR_BYTES) return undefined;
  const header = read(0, EHDR_BYTES);
  if (header.length < EHDR_BYTES || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const isElf64LittleEndian = header[4] === 2 && header[5] === 1;
  const type = header.readUInt16LE(16);
  if (!isElf64LittleEndian || header.readUInt16LE(18) !== EM_X86_64) return undefined;
  if (type !== ET_DYN && type !== ET_EXEC) return undefined;
  const phdrOffset = header.readBigUInt64LE(32);
  const count = header.readUInt16LE(56);
  if (header.readUInt16LE(54) !== PHDR_BYTES || count === 0 || count > MAX_PHDRS) return undefined;
  const phdrBytes = count * PHDR_BYTES;
  if (phdrOffset + BigInt(phdrBytes) > BigInt(fileBytes)) return undefined;
  const phdrs = read(Number(phdrOffset), phdrBytes);
  const object = phdrs.length === phdrBytes ? layOut(phdrs, fileBytes) : undefined;
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
