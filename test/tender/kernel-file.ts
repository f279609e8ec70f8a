/**
 * Kernel files made by hand, so that a test can put anything into any field. The kernel that comes out of the defaults
 * is a good one: it ends with status 0.
 */
import { writeFileSync } from 'node:fs';

export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_INTERP = 3;
export const PT_NOTE = 4;

export const R = 4;
export const W = 2;
export const X = 1;

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  readonly vaddr: bigint;
  readonly filesz: bigint;
  readonly memsz: bigint;
  readonly align: bigint;
}

export interface KernelFile {
  /** Replaces bytes of the ELF header at an offset. */
  readonly header?: readonly { readonly at: number; readonly bytes: Buffer }[];
  readonly entry?: bigint;
  /** The default: one executable page of text at 0x100000. */
  readonly segments?: readonly Partial<ProgramHeader>[];
  readonly notes?: readonly Buffer[];
  /** Further program headers, as they are. */
  readonly more?: readonly Partial<ProgramHeader>[];
  /** Bytes at file offset DATA_OFFSET. */
  readonly data?: Buffer;
  /** Cuts the file. */
  readonly length?: number;
}

export const TEXT_OFFSET = 0x1000n;
export const DATA_OFFSET = 0x2000n;
const NOTES_OFFSET = 0x3000;
const EHDR_BYTES = 64;
const PHDR_BYTES = 56;

/* mov $231, %eax; xor %edi, %edi; syscall */
const EXIT_CODE = Buffer.from('b8e700000031ff0f05', 'hex');

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

/** A note; `descriptor` includes the padding in front, `descsz` may lie about its size. */
export function note(owner: string, type: number, descriptor: Buffer, descsz = descriptor.length): Buffer {
  const name = Buffer.alloc(8);
  name.write(owner);
  return Buffer.concat([u32(owner.length + 1), u32(descsz), u32(type), name, descriptor]);
}

export const ABI_TYPE = 0x31494241;
export const MANIFEST_TYPE = 0x3154464d;
export const EXTRAS_TYPE = 0x58434e52;

export function abiNote(target = 2, version = 2): Buffer {
  return note('Solo5', ABI_TYPE, Buffer.concat([u32(target), u32(version), u32(0), u32(0)]));
}

export interface Entry {
  readonly name: string | Buffer;
  readonly type: number;
  readonly attached?: number;
}

const BLOCK = 1;
const NET = 2;
const RESERVED_FIRST = 0x40000000;
const ENTRY_BYTES = 104;
const NAME_BYTES = 68;
export const RESERVED: Entry = { name: '', type: RESERVED_FIRST };

export function block(name: string | Buffer): Entry {
  return { name, type: BLOCK };
}

export function net(name: string): Entry {
  return { name, type: NET };
}

/** The manifest's bytes; `count` may lie about the number of entries. */
export function manifest(entries: readonly Entry[], version = 1, count = entries.length): Buffer {
  const encoded = entries.map(({ name, type, attached = 0 }) => {
    const bytes = Buffer.alloc(ENTRY_BYTES);
    Buffer.from(name).copy(bytes, 0, 0, NAME_BYTES);
    bytes.writeUInt32LE(type, NAME_BYTES);
    bytes.writeUInt8(attached, 96);
    return bytes;
  });
  return Buffer.concat([u32(version), u32(count), ...encoded]);
}

export function manifestNote(content = manifest([RESERVED])): Buffer {
  return note('Solo5', MANIFEST_TYPE, Buffer.concat([u32(0), content]));
}

export interface ExtrasNote {
  readonly version?: number;
  readonly needed?: number;
  readonly wanted?: number;
  readonly reserved?: number;
  /** gate_start, gate_len, selector, signal_entry, sigstack, sigstack_size */
  readonly addresses?: readonly bigint[];
}

export function extrasNote({
  version = 1,
  needed = 0,
  wanted = 0,
  reserved = 0,
  addresses = [0n, 0n, 0n, 0n, 0n, 0n],
}: ExtrasNote): Buffer {
  const words = [0, version, needed, wanted, reserved].map(u32);
  return note('runnc', EXTRAS_TYPE, Buffer.concat([...words, ...addresses.map(u64)]));
}

export const GOOD_TEXT: ProgramHeader = {
  type: PT_LOAD,
  flags: R | X,
  offset: TEXT_OFFSET,
  vaddr: 0x100000n,
  filesz: 0x1000n,
  memsz: 0x1000n,
  align: 0x1000n,
};

export const GOOD_DATA: ProgramHeader = {
  type: PT_LOAD,
  flags: R | W,
  offset: DATA_OFFSET,
  vaddr: 0x101000n,
  filesz: 0x1000n,
  memsz: 0x3000n,
  align: 0x1000n,
};

function programHeader(header: ProgramHeader): Buffer {
  const { type, flags, offset, vaddr, filesz, memsz, align } = header;
  const addresses = [offset, vaddr, vaddr, filesz, memsz, align].map(u64);
  return Buffer.concat([u32(type), u32(flags), ...addresses]);
}

export function kernelBytes({
  header = [],
  entry = 0x100000n,
  segments = [GOOD_TEXT],
  notes = [abiNote(), manifestNote()],
  more = [],
  data = Buffer.alloc(0),
  length,
}: KernelFile = {}): Buffer {
  const noteHeaders: ProgramHeader[] = [];
  let at = NOTES_OFFSET;
  for (const bytes of notes) {
    const size = BigInt(bytes.length);
    noteHeaders.push({
      type: PT_NOTE,
      flags: R,
      offset: BigInt(at),
      vaddr: 0n,
      filesz: size,
      memsz: size,
      align: 4n,
    });
    at += (bytes.length + 3) & ~3;
  }
  const headers = [
    ...segments.map((segment) => ({ ...GOOD_TEXT, ...segment })),
    ...noteHeaders,
    ...more.map((other) => ({ ...GOOD_TEXT, ...other })),
  ];
  const file = Buffer.alloc(at);
  Buffer.from('7f454c46020101', 'hex').copy(file); // ELF64, little-endian
  Buffer.concat([
    u16(2), // ET_EXEC
    u16(62), // x86-64
    u32(1),
    u64(entry),
    u64(BigInt(EHDR_BYTES)),
    u64(0n),
    u32(0),
    u16(EHDR_BYTES),
    u16(PHDR_BYTES),
    u16(headers.length),
  ]).copy(file, 16);
  headers.forEach((each, i) => programHeader(each).copy(file, EHDR_BYTES + i * PHDR_BYTES));
  EXIT_CODE.copy(file, Number(TEXT_OFFSET));
  data.copy(file, Number(DATA_OFFSET));
  let to = NOTES_OFFSET;
  for (const bytes of notes) {
    bytes.copy(file, to);
    to += (bytes.length + 3) & ~3;
  }
  for (const { at: offset, bytes } of header) bytes.copy(file, offset);
  return length === undefined ? file : file.subarray(0, length);
}

export function writeKernel(path: string, kernel: KernelFile = {}): string {
  writeFileSync(path, kernelBytes(kernel));
  return path;
}
