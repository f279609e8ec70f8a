/**
 * The Linux guest's boot config as bytes: tender/common/abi/runnc_boot_config.h says what each record is.
 * The guest checks all of it again; what is checked here is what can only be a mistake of ours or of config.json.
 */
import { RunncError } from '../errors.ts';
import type { LayerEntry } from '../rootfs/rootfs-image.ts';
import type { NetworkRecord } from './boot-config-network.ts';

const MAGIC = 0x464342434e4e5552n; // "RUNNCBCF"
const VERSION = 2;
const HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 8;
const U32_MAX = 0xffffffff;

export const RecordType = {
  ARG: 1,
  ENV: 2,
  CWD: 3,
  EXE: 4,
  CREDS: 5,
  HOSTNAME: 6,
  DOMAINNAME: 7,
  RLIMIT: 8,
  MEMORY: 9,
  FILE: 10,
  MOUNT: 11,
  TTY: 12,
  FLAGS: 13,
  SYSCTL: 14,
  LAYER: 15,
  OOM_SCORE_ADJ: 21,
} as const;

/** enum runnc_layer_type. */
const LAYER_TYPES: Readonly<Record<LayerEntry['type'], number>> = {
  file: 1,
  folder: 2,
  symlink: 3,
  char: 4,
  block: 5,
  fifo: 6,
  socket: 7,
  hardlink: 8,
  whiteout: 9,
  served: 10,
};

export const Flag = { STRACE: 1, ROOT_READONLY: 2, NO_NEW_PRIVS: 4, COUNT_CALLS: 8 } as const;

/** Capability sets as bit masks: bit n is capability n of linux/capability.h. */
export interface BootCredentials {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly groups: readonly number[];
  readonly capEffective: bigint;
  readonly capPermitted: bigint;
  readonly capInheritable: bigint;
  readonly capBounding: bigint;
  readonly capAmbient: bigint;
}

export interface BootRlimit {
  /** RLIMIT_* of Linux. */
  readonly resource: number;
  readonly soft: bigint;
  readonly hard: bigint;
}

/** A regular file that is bind-mounted into the container: its content travels in the boot config. */
export interface BootFile {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly readonly: boolean;
  /** Nanoseconds since the epoch. */
  readonly mtimeNs: bigint;
  readonly content: Uint8Array;
}

/** A mount that the guest provides by itself (proc, sysfs, tmpfs, devpts…), or one of an image or of the file server. */
export interface BootMount {
  readonly type: string;
  readonly target: string;
  readonly options: readonly string[];
  readonly readonly: boolean;
  /** Which of the tender's further images (--image), for the type "fileserver" of the server's mounts; counted from 0. */
  readonly image?: number;
}

export interface BootConfig {
  readonly args: readonly string[];
  /** NAME=value, in order. */
  readonly env: readonly string[];
  /** Absolute paths in the rootfs. */
  readonly cwd: string;
  readonly exe: string;
  readonly credentials: BootCredentials;
  readonly hostname: string;
  readonly domainname?: string | undefined;
  readonly rlimits: readonly BootRlimit[];
  /** What programs and kernel together may have resident. */
  readonly memoryBytes: bigint;
  /** -1000 to 1000; absent: 0. */
  readonly oomScoreAdj?: number | undefined;
  /** What the container's own layers change over the image, in order. */
  readonly layer?: readonly LayerEntry[];
  /** In the order of mounting. */
  readonly mounts: readonly (BootMount | BootFile)[];
  readonly sysctl: Readonly<Record<string, string>>;
  readonly tty?: { readonly rows: number; readonly columns: number } | undefined;
  readonly strace: boolean;
  /** Say at the end how many system calls there were, and how many of them trapped. */
  readonly countCalls?: boolean;
  readonly rootReadonly: boolean;
  readonly noNewPrivileges: boolean;
}

/** "a\0b\0" from ['a', 'b']. */
export function strings(what: string, ...texts: readonly string[]): Buffer {
  for (const text of texts) {
    if (text.includes('\0')) throw new RunncError('INVALID', `${what} contains a NUL character`);
  }
  return Buffer.from(texts.map((text) => `${text}\0`).join(''), 'utf8');
}

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32LE(value, i * 4));
  return bytes;
}

export function u64(...values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt.asUintN(64, value), i * 8));
  return bytes;
}

export function credentials(c: BootCredentials): Buffer {
  return Buffer.concat([
    u32(c.uid, c.gid, c.umask, c.groups.length),
    u64(c.capEffective, c.capPermitted, c.capInheritable, c.capBounding, c.capAmbient),
    u32(...c.groups),
  ]);
}

export function rlimit({ resource, soft, hard }: BootRlimit): Buffer {
  return Buffer.concat([u32(resource, 0), u64(soft, hard)]);
}

/** In characters, 0 to 65535. */
export function tty({ rows, columns }: { readonly rows: number; readonly columns: number }): Buffer {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  return size;
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function file(f: BootFile): Buffer {
  const path = strings(`the path of file ${f.path}`, f.path);
  if (f.content.length > U32_MAX)
    throw new RunncError('INVALID', `${f.path}: too big to be mounted as a file`);
  return Buffer.concat([
    u32(f.mode, f.uid, f.gid, f.readonly ? 1 : 0),
    u64(f.mtimeNs),
    u32(path.length, f.content.length),
    path,
    f.content,
  ]);
}

function mount(m: BootMount): Buffer {
  return Buffer.concat([
    u32(m.readonly ? 1 : 0, m.image === undefined ? 0 : m.image + 1),
    strings(`mount ${m.target}`, m.type, m.target, m.options.join(',')),
  ]);
}

/** What an entry has beside its attributes: content, or a path. */
function layerContent(entry: LayerEntry): Uint8Array {
  switch (entry.type) {
    case 'served':
      return u64(BigInt(entry.sizeBytes));
    case 'file':
      return entry.content;
    case 'symlink':
      return Buffer.concat([entry.target, Buffer.of(0)]);
    case 'hardlink':
      return Buffer.concat([entry.to, Buffer.of(0)]);
    default:
      return Buffer.alloc(0);
  }
}

function layerEntry(entry: LayerEntry): Buffer {
  const content = layerContent(entry);
  const path = Buffer.concat([entry.path, Buffer.of(0)]);
  const device = entry.type === 'char' || entry.type === 'block' ? entry : { major: 0, minor: 0 };
  const opaque = entry.type === 'folder' && entry.opaque;
  return Buffer.concat([
    u32(LAYER_TYPES[entry.type], entry.mode, entry.uid, entry.gid),
    u64(entry.mtimeNs),
    u32(device.major, device.minor, opaque ? 1 : 0, path.length, content.length, 0),
    path,
    content,
  ]);
}

function flags(config: BootConfig): number {
  return (
    (config.strace ? Flag.STRACE : 0) |
    (config.countCalls === true ? Flag.COUNT_CALLS : 0) |
    (config.rootReadonly ? Flag.ROOT_READONLY : 0) |
    (config.noNewPrivileges ? Flag.NO_NEW_PRIVS : 0)
  );
}

function records(config: BootConfig): (readonly [type: number, data: Buffer])[] {
  const list: (readonly [number, Buffer])[] = [
    ...config.args.map((arg) => [RecordType.ARG, strings('an argument', arg)] as const),
    ...config.env.map((entry) => [RecordType.ENV, strings('an environment variable', entry)] as const),
    [RecordType.CWD, strings('the working directory', config.cwd)],
    [RecordType.EXE, strings('the path of the program', config.exe)],
    [RecordType.CREDS, credentials(config.credentials)],
    [RecordType.HOSTNAME, strings('the host name', config.hostname)],
    ...config.rlimits.map((r) => [RecordType.RLIMIT, rlimit(r)] as const),
    [RecordType.MEMORY, u64(config.memoryBytes, 0n)],
    ...(config.layer ?? []).map((entry) => [RecordType.LAYER, layerEntry(entry)] as const),
    ...config.mounts.map((m) =>
      'content' in m ? ([RecordType.FILE, file(m)] as const) : ([RecordType.MOUNT, mount(m)] as const),
    ),
    [RecordType.FLAGS, u32(flags(config))],
    ...Object.entries(config.sysctl).map(
      ([name, value]) => [RecordType.SYSCTL, strings(`sysctl ${name}`, name, value)] as const,
    ),
  ];
  if (config.domainname !== undefined) {
    list.push([RecordType.DOMAINNAME, strings('the domain name', config.domainname)]);
  }
  if (config.oomScoreAdj !== undefined) list.push([RecordType.OOM_SCORE_ADJ, i32(config.oomScoreAdj)]);
  if (config.tty !== undefined) list.push([RecordType.TTY, tty(config.tty)]);
  return list;
}

export function encodeRecord(type: number, data: Buffer): Buffer {
  const padding = Buffer.alloc((8 - (data.length % 8)) % 8);
  return Buffer.concat([u32(type, data.length), data, padding]);
}

/** Throws INVALID if a string contains a NUL. */
export function encodeBootConfig(config: BootConfig): Uint8Array {
  const list = records(config);
  const body = list.map(([type, data]) => encodeRecord(type, data));
  const size = body.reduce((sum, bytes) => sum + bytes.length, HEADER_BYTES);
  return Buffer.concat([u64(MAGIC), u32(VERSION, list.length), u64(BigInt(size)), ...body]);
}

/**
 * An encoded boot config with records added: the network is known only once the container's process and its namespaces
 * exist (networkRecords).
 */
export function addRecords(encoded: Uint8Array, added: readonly NetworkRecord[]): Uint8Array {
  const bytes = Buffer.concat([encoded, ...added.map(([type, data]) => encodeRecord(type, data))]);
  bytes.writeUInt32LE(bytes.readUInt32LE(12) + added.length, 12);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 16);
  return bytes;
}

/** One record of an encoded boot config, for `runnc inspect` and tests. */
export interface DecodedRecord {
  readonly type: number;
  readonly data: Uint8Array;
}

/** The records of an encoded boot config. Throws INVALID if it is none or cut off. */
export function decodeBootConfig(bytes: Uint8Array): DecodedRecord[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEADER_BYTES || view.readBigUInt64LE(0) !== MAGIC) {
    throw new RunncError('INVALID', 'not a boot config');
  }
  const found: DecodedRecord[] = [];
  let at = HEADER_BYTES;
  while (at < view.length) {
    if (view.length - at < RECORD_HEADER_BYTES) throw new RunncError('INVALID', 'boot config: cut off');
    const length = view.readUInt32LE(at + 4);
    const start = at + RECORD_HEADER_BYTES;
    if (length > view.length - start) throw new RunncError('INVALID', 'boot config: cut off');
    found.push({ type: view.readUInt32LE(at), data: view.subarray(start, start + length) });
    at = start + Math.ceil(length / 8) * 8;
  }
  return found;
}
