/** What is in a file that a container is to run: a Solo5 unikernel, a Linux program, a script, or something else. */
import { closeSync, constants, openSync } from '../files.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import {
  type Elf,
  EM_X86_64,
  ET_DYN,
  ET_EXEC,
  type Note,
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  readElf,
  readInterpreter,
  readNotes,
} from './elf.ts';
import type { Extra } from './guest.ts';
import { decodeManifestNote, type Manifest } from './manifest.ts';

/** Solo5's targets; runnc runs "spt". Numbers that Solo5 has not given out are "unknown". */
export type AbiTarget = 'hvt' | 'spt' | 'virtio' | 'muen' | 'genode' | 'xen' | 'unknown';

/** A piece of the file that is loaded. */
export interface Segment {
  readonly address: bigint;
  readonly fileBytes: bigint;
  readonly memoryBytes: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** tender/common/abi/runnc_extras.h. */
export interface ExtrasRequest {
  /** The guest cannot run without these. */
  readonly needed: readonly Extra[];
  /** Used where they are granted. */
  readonly wanted: readonly Extra[];
}

export interface Solo5Inspection {
  readonly kind: 'solo5';
  readonly abi: { readonly target: AbiTarget; readonly version: number };
  /** Missing in files that no Solo5 tender runs. */
  readonly manifest?: Manifest;
  /** Missing in guests that ask for nothing beyond Solo5's ABI. */
  readonly extras?: ExtrasRequest;
  readonly entry: bigint;
  readonly segments: readonly Segment[];
}

export interface LinuxInspection {
  readonly kind: 'linux';
  /** "dynamic" names its interpreter; "static-pie" may also be a shared library, which nothing tells apart for sure. */
  readonly linkage: 'dynamic' | 'static' | 'static-pie';
  readonly interpreter?: string;
  readonly entry: bigint;
  readonly segments: readonly Segment[];
}

export type Inspection =
  | Solo5Inspection
  | LinuxInspection
  /** Begins with "#!". */
  | { readonly kind: 'script' }
  /** ELF, but nothing that runs here: another processor, an object file, … */
  | { readonly kind: 'foreign'; readonly what: string }
  | { readonly kind: 'not-elf' };

const SOLO5_OWNER = 'Solo5';
const NOTE_ABI = 0x31494241;
const NOTE_MANIFEST = 0x3154464d;
const RUNNC_OWNER = 'runnc';
const NOTE_EXTRAS = 0x58434e52;

/** enum abi_target of Solo5's elf_abi.h, from 1. */
const TARGETS: readonly AbiTarget[] = ['hvt', 'spt', 'virtio', 'muen', 'genode', 'xen'];
/** enum runnc_extra, from bit 0. */
const EXTRAS: readonly Extra[] = [
  'exec-heap',
  'boot-config',
  'sud',
  'rootfs-map',
  'vnet',
  'vtimer',
  'memctl',
  'stdio',
  'channel',
];
const EXTRAS_VERSION = 1;
const ABI_NOTE_BYTES = 16;
/* Padding of 4 bytes counts as content (tender/common/abi/solo5_notes.h). */
const EXTRAS_PADDING_BYTES = 4;
const EXTRAS_NOTE_BYTES = 64;

/**
 * @param file a path, or a descriptor open for reading, which stays open
 * @param source names the file in messages; by default the path
 * @throws RunncError NOT_FOUND, HOST, or INVALID for a file that contradicts itself
 */
export function inspect(file: string | number, source?: string): Inspection {
  if (typeof file === 'number') return inspectDescriptor(file, source ?? `descriptor ${file}`);
  const name = source ?? file;
  let fd: number;
  try {
    // Non-blocking: a fifo without a writer must not hold us up; readElf refuses it afterwards.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new RunncError('NOT_FOUND', `${name}: file does not exist`, { cause: error });
    }
    throw new RunncError('HOST', `${name}: cannot be opened: ${errorMessage(error)}`, { cause: error });
  }
  try {
    return inspectDescriptor(fd, name);
  } finally {
    closeSync(fd);
  }
}

function inspectDescriptor(fd: number, source: string): Inspection {
  const elf = readElf(fd, source);
  switch (elf.format) {
    case 'none':
      return elf.start.toString('latin1', 0, 2) === '#!' ? { kind: 'script' } : { kind: 'not-elf' };
    case 'foreign':
      return { kind: 'foreign', what: elf.what };
    case 'elf64':
      return inspectElf64(fd, elf, source);
  }
}

type Elf64 = Extract<Elf, { format: 'elf64' }>;

function inspectElf64(fd: number, elf: Elf64, source: string): Inspection {
  if (elf.machine !== EM_X86_64) {
    return { kind: 'foreign', what: `an ELF file for another processor (machine ${elf.machine})` };
  }
  if (elf.type !== ET_EXEC && elf.type !== ET_DYN) {
    return { kind: 'foreign', what: `an ELF file that is no program (type ${elf.type})` };
  }
  const notes = readNotes(fd, elf.programHeaders, source);
  const abi = onlyNote(notes, SOLO5_OWNER, NOTE_ABI, source);
  if (abi !== undefined) return solo5(elf, abi, notes, source);
  const interpreter = readInterpreter(fd, elf.programHeaders, source);
  return {
    kind: 'linux',
    linkage: interpreter !== undefined ? 'dynamic' : elf.type === ET_EXEC ? 'static' : 'static-pie',
    ...(interpreter === undefined ? {} : { interpreter }),
    entry: elf.entry,
    segments: segments(elf),
  };
}

function solo5(elf: Elf64, abi: Note, notes: readonly Note[], source: string): Solo5Inspection {
  if (abi.content.length !== ABI_NOTE_BYTES) {
    throw new RunncError(
      'INVALID',
      `${source}: Solo5 ABI note: ${abi.content.length} bytes, expected ${ABI_NOTE_BYTES}`,
    );
  }
  const manifest = onlyNote(notes, SOLO5_OWNER, NOTE_MANIFEST, source);
  const extras = onlyNote(notes, RUNNC_OWNER, NOTE_EXTRAS, source);
  return {
    kind: 'solo5',
    abi: {
      target: TARGETS[abi.content.readUInt32LE(0) - 1] ?? 'unknown',
      version: abi.content.readUInt32LE(4),
    },
    ...(manifest === undefined ? {} : { manifest: decodeManifestNote(manifest.content, source) }),
    ...(extras === undefined ? {} : { extras: decodeExtras(extras.content, source) }),
    entry: elf.entry,
    segments: segments(elf),
  };
}

/** A note that may be there once; two of a kind could mean one thing to us and another to the tender. */
function onlyNote(notes: readonly Note[], owner: string, type: number, source: string): Note | undefined {
  const [first, second] = notes.filter((note) => note.owner === owner && note.type === type);
  if (second !== undefined) {
    throw new RunncError('INVALID', `${source}: has two ${owner} notes of type 0x${type.toString(16)}`);
  }
  return first;
}

function decodeExtras(note: Buffer, source: string): ExtrasRequest {
  const bad = (what: string): RunncError =>
    new RunncError('INVALID', `${source}: runnc extras note: ${what}`);
  const content = note.subarray(EXTRAS_PADDING_BYTES);
  // The version comes first: what follows it may have another length in another version.
  if (content.length < 4) throw bad(`truncated (${note.length} bytes)`);
  const version = content.readUInt32LE(0);
  if (version !== EXTRAS_VERSION)
    throw bad(`version ${version} is not supported, expected ${EXTRAS_VERSION}`);
  if (content.length !== EXTRAS_NOTE_BYTES) {
    throw bad(`${note.length} bytes, expected ${EXTRAS_PADDING_BYTES + EXTRAS_NOTE_BYTES}`);
  }
  const names = (bits: number): Extra[] => {
    if (bits >>> EXTRAS.length !== 0) throw bad(`asks for unknown extras (bits 0x${bits.toString(16)})`);
    return EXTRAS.filter((_, bit) => bits & (1 << bit));
  };
  return { needed: names(content.readUInt32LE(4)), wanted: names(content.readUInt32LE(8)) };
}

function segments(elf: Elf64): Segment[] {
  return elf.programHeaders
    .filter(({ type }) => type === PT_LOAD)
    .map(({ address, fileBytes, memoryBytes, flags }) => ({
      address,
      fileBytes,
      memoryBytes,
      readable: (flags & PF_R) !== 0,
      writable: (flags & PF_W) !== 0,
      executable: (flags & PF_X) !== 0,
    }));
}
