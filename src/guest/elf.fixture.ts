/** Makes ELF64 files for tests, right ones and wrong ones. */
import { EM_X86_64, ET_EXEC, PT_NOTE } from './elf.ts';

export interface FixtureSegment {
  readonly type: number;
  readonly flags?: number;
  readonly content?: Uint8Array;
  readonly align?: bigint;
  /** Instead of where the content really is. */
  readonly offset?: bigint;
  readonly fileBytes?: bigint;
  readonly memoryBytes?: bigint;
  readonly address?: bigint;
}

export interface FixtureElf {
  readonly type?: number;
  readonly machine?: number;
  readonly segments?: readonly FixtureSegment[];
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

export function makeElf({ type = ET_EXEC, machine = EM_X86_64, segments = [] }: FixtureElf): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(type, 16);
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(0x100000n, 24);
  header.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  header.writeUInt16LE(HEADER_BYTES, 52);
  header.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  header.writeUInt16LE(segments.length, 56);
  const table = Buffer.alloc(segments.length * PROGRAM_HEADER_BYTES);
  const contents: Uint8Array[] = [];
  let offset = HEADER_BYTES + table.length;
  segments.forEach((segment, i) => {
    const at = i * PROGRAM_HEADER_BYTES;
    const content = segment.content ?? new Uint8Array();
    const fileBytes = segment.fileBytes ?? BigInt(content.length);
    table.writeUInt32LE(segment.type, at);
    table.writeUInt32LE(segment.flags ?? 4, at + 4);
    table.writeBigUInt64LE(segment.offset ?? BigInt(offset), at + 8);
    table.writeBigUInt64LE(segment.address ?? 0x100000n, at + 16);
    table.writeBigUInt64LE(fileBytes, at + 32);
    table.writeBigUInt64LE(segment.memoryBytes ?? fileBytes, at + 40);
    table.writeBigUInt64LE(segment.align ?? 4n, at + 48);
    contents.push(content);
    offset += content.length;
  });
  return Buffer.concat([header, table, ...contents]);
}

export function makeNote(owner: string, type: number, content: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((owner.length + 1) / 4) * 4);
  padded.write(owner, 'latin1');
  const header = Buffer.alloc(12);
  header.writeUInt32LE(owner.length + 1, 0);
  header.writeUInt32LE(content.length, 4);
  header.writeUInt32LE(type, 8);
  return Buffer.concat([header, padded, content, Buffer.alloc(-content.length & 3)]);
}

export function noteSegment(...notes: readonly Buffer[]): FixtureSegment {
  return { type: PT_NOTE, content: Buffer.concat(notes) };
}

/** 32-bit little-endian words. */
export function words(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => buffer.writeUInt32LE(value, i * 4));
  return buffer;
}
