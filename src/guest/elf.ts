/**
 * Reads what an ELF64 file says of itself (System V ABI, chapters 4 and 5): header, program headers, notes. The
 * file may be hostile: everything is bounded, nothing is trusted, and no more than 1 MiB is read of it whatever it says.
 */
import { fstatSync, readSync } from '../files.ts';
import { RunncError } from '../errors.ts';

/** e_type. */
export const ET_EXEC = 2;
export const ET_DYN = 3;

/** p_type. */
export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_INTERP = 3;
export const PT_NOTE = 4;

/** p_flags. */
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

/** e_machine. */
export const EM_X86_64 = 62;

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  readonly address: bigint;
  readonly fileBytes: bigint;
  readonly memoryBytes: bigint;
  readonly align: bigint;
}

export type Elf =
  /** No ELF file. The first bytes of it, at most 64, tell what else it may be. */
  | { readonly format: 'none'; readonly start: Buffer }
  /** 32-bit or big-endian: nothing that can run here. */
  | { readonly format: 'foreign'; readonly what: string }
  | {
      readonly format: 'elf64';
      readonly type: number;
      readonly machine: number;
      readonly entry: bigint;
      readonly programHeaders: readonly ProgramHeader[];
    };

export interface Note {
  /** Without the terminating NUL. */
  readonly owner: string;
  readonly type: number;
  readonly content: Buffer;
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
/** Linux's own limit on the table (fs/binfmt_elf.c, load_elf_phdrs). */
const MAX_TABLE_BYTES = 65536;
/** Notes beyond this are somebody's payload (Node.js keeps whole programs in one), not ours: passed over. */
const MAX_NOTE_SEGMENT_BYTES = 65536;
/** Of that size and below; 8 such segments are more than any real file has. */
const MAX_NOTE_SEGMENTS = 8;
/** PATH_MAX of Linux. */
const MAX_INTERPRETER_BYTES = 4096;

/**
 * @param fd open for reading; its file offset is neither used nor moved
 * @param source names the file in messages
 * @throws RunncError INVALID if it is an ELF64 file that contradicts itself, HOST if it cannot be read
 */
export function readElf(fd: number, source: string): Elf {
  const bad = malformed(source);
  if (!fstatSync(fd).isFile()) throw new RunncError('INVALID', `${source}: not a regular file`);
  const header = readAt(fd, 0, HEADER_BYTES, source);
  if (header.length < 4 || header.readUInt32BE(0) !== 0x7f454c46) return { format: 'none', start: header };
  if (header.length < HEADER_BYTES) throw bad('the header is truncated');
  const fileClass = header[4];
  const byteOrder = header[5];
  if (fileClass === 1) return { format: 'foreign', what: 'a 32-bit ELF file' };
  if (fileClass !== 2) throw bad(`class ${fileClass} is unknown`);
  if (byteOrder === 2) return { format: 'foreign', what: 'a big-endian ELF file' };
  if (byteOrder !== 1) throw bad(`byte order ${byteOrder} is unknown`);
  if (header[6] !== 1 || header.readUInt32LE(20) !== 1) throw bad('the version is not 1');
  const tableOffset = header.readBigUInt64LE(32);
  const entryBytes = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  if (count > 0 && entryBytes !== PROGRAM_HEADER_BYTES) {
    throw bad(`program headers of ${entryBytes} bytes, expected ${PROGRAM_HEADER_BYTES}`);
  }
  const tableBytes = count * PROGRAM_HEADER_BYTES;
  if (tableBytes > MAX_TABLE_BYTES) throw bad(`${count} program headers are too many`);
  const table = readAt(fd, position(tableOffset, bad), tableBytes, source);
  if (table.length < tableBytes) throw bad('the program headers lie beyond the end of the file');
  const programHeaders: ProgramHeader[] = [];
  for (let at = 0; at < tableBytes; at += PROGRAM_HEADER_BYTES) {
    programHeaders.push({
      type: table.readUInt32LE(at),
      flags: table.readUInt32LE(at + 4),
      offset: table.readBigUInt64LE(at + 8),
      address: table.readBigUInt64LE(at + 16),
      fileBytes: table.readBigUInt64LE(at + 32),
      memoryBytes: table.readBigUInt64LE(at + 40),
      align: table.readBigUInt64LE(at + 48),
    });
  }
  return {
    format: 'elf64',
    type: header.readUInt16LE(16),
    machine: header.readUInt16LE(18),
    entry: header.readBigUInt64LE(24),
    programHeaders,
  };
}

/** The notes of all PT_NOTE segments of up to 64 KiB, in order. Throws INVALID where a note overruns its segment. */
export function readNotes(fd: number, programHeaders: readonly ProgramHeader[], source: string): Note[] {
  const bad = malformed(source);
  const segments = programHeaders
    .filter(({ type, fileBytes }) => type === PT_NOTE && fileBytes <= MAX_NOTE_SEGMENT_BYTES)
    .slice(0, MAX_NOTE_SEGMENTS);
  const found: Note[] = [];
  for (const segment of segments) {
    const wanted = Number(segment.fileBytes);
    const data = readAt(fd, position(segment.offset, bad), wanted, source);
    if (data.length < wanted) throw bad('a note segment lies beyond the end of the file');
    // Of 8-byte alignment is only GNU's property note; the others align to 4 whatever the segment says.
    found.push(...notes(data, segment.align === 8n ? 8 : 4, bad));
  }
  return found;
}

function notes(data: Buffer, align: number, bad: (what: string) => RunncError): Note[] {
  const HEADER = 12;
  const found: Note[] = [];
  let at = 0;
  while (at + HEADER <= data.length) {
    const nameBytes = data.readUInt32LE(at);
    const contentBytes = data.readUInt32LE(at + 4);
    const type = data.readUInt32LE(at + 8);
    const content = at + HEADER + roundUp(nameBytes, 4);
    const end = content + contentBytes;
    if (end > data.length) throw bad('a note is longer than its segment');
    found.push({
      owner: data.toString('latin1', at + HEADER, at + HEADER + Math.max(0, nameBytes - 1)),
      type,
      content: data.subarray(content, end),
    });
    at = roundUp(end, align);
  }
  return found;
}

/** The path in PT_INTERP, if there is one. */
export function readInterpreter(
  fd: number,
  programHeaders: readonly ProgramHeader[],
  source: string,
): string | undefined {
  const bad = malformed(source);
  const segment = programHeaders.find(({ type }) => type === PT_INTERP);
  if (segment === undefined) return undefined;
  if (segment.fileBytes < 2n || segment.fileBytes > MAX_INTERPRETER_BYTES) {
    throw bad(
      `the interpreter's name has ${segment.fileBytes} bytes, expected 2 to ${MAX_INTERPRETER_BYTES}`,
    );
  }
  const data = readAt(fd, position(segment.offset, bad), Number(segment.fileBytes), source);
  const end = data.indexOf(0);
  if (end === -1) throw bad("the interpreter's name is not terminated");
  return data.toString('utf8', 0, end);
}

function malformed(source: string): (what: string) => RunncError {
  return (what) => new RunncError('INVALID', `${source}: malformed ELF file: ${what}`);
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

function position(offset: bigint, bad: (what: string) => RunncError): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw bad(`offset 0x${offset.toString(16)} is out of range`);
  return Number(offset);
}

/** Up to `length` bytes; fewer only at the end of the file. */
function readAt(fd: number, offset: number, length: number, source: string): Buffer {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    let count: number;
    try {
      count = readSync(fd, buffer, done, length - done, offset + done);
    } catch (error) {
      throw new RunncError('HOST', `${source}: cannot be read`, { cause: error });
    }
    if (count === 0) break;
    done += count;
  }
  return buffer.subarray(0, done);
}
