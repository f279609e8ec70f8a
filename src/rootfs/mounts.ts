/**
 * config.json's mounts: how each can reach a guest that shares no file system with the host.
 */
import { closeSync, constants, fileSystemType, fstatSync, openSync, readSync, statSync } from '../files.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import type { IdMapping, Mount } from '../oci/spec.ts';
import { toContainerId } from './id-map.ts';
import type { LayerEntry } from './rootfs-image.ts';

/** How a guest gets what is mounted. */
export type GuestMount = MountFact | MountedFile | MountedFolder | ServedSource;

/** proc, tmpfs and the like: the guest provides its own (RUNNC_REC_MOUNT). */
export interface MountFact {
  readonly kind: 'fact';
  readonly type: string;
  /** Absolute in the container. */
  readonly target: string;
  readonly options: readonly string[];
  readonly readonly: boolean;
}

/**
 * A bind-mounted regular file, read now (RUNNC_REC_FILE). A private copy where it is not read-only: what the guest
 * writes to it stays in the guest. The engines' own files are such, and those of a unikernel.
 */
export interface MountedFile {
  readonly kind: 'file';
  /** On the host. */
  readonly source: string;
  /** The mount in config.json, for errors. */
  readonly where: string;
  readonly file: LayerEntry & { readonly type: 'file' };
  readonly readonly: boolean;
}

/** A bind-mounted folder, read-only: an image of its own (folder.ts). */
export interface MountedFolder {
  readonly kind: 'folder';
  readonly target: string;
  /** On the host. */
  readonly source: string;
  readonly options: readonly string[];
  /** With what is mounted inside the source ("rbind"). */
  readonly recursive: boolean;
  /** The mount in config.json, for errors. */
  readonly where: string;
}

/** A bind-mounted folder or file that a Linux guest reads and writes on the host, by the file server. */
export interface ServedSource {
  readonly kind: 'served';
  readonly target: string;
  /** On the host. */
  readonly source: string;
  readonly options: readonly string[];
  readonly readonly: boolean;
  /** With what is mounted inside the source ("rbind"). */
  readonly recursive: boolean;
  /** The mount in config.json, for errors. */
  readonly where: string;
}

/** The file systems a guest provides itself, by the type it knows. cgroup2 stands for both cgroup versions. */
const GUEST_FILE_SYSTEMS: ReadonlyMap<string, string> = new Map([
  ...['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2'].map((type) => [type, type] as const),
  ['ramfs', 'tmpfs'],
  ['devtmpfs', 'tmpfs'],
]);

/** Files given by mounts live in guest memory: resolv.conf, secrets, not data. */
export const MAX_MOUNTED_FILE_BYTES = 64 * 1024 * 1024;

/** statfs(2) magic numbers of file systems that a guest has its own of (linux/magic.h). */
const KERNEL_FILE_SYSTEMS = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x1cd1, 'devpts'],
  [0x19800202, 'mqueue'],
]);

export interface MountOptions {
  /** The bundle's folder: a relative source is relative to it. */
  readonly bundle: string;
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  /**
   * How bind mounts reach the guest: "served" by the file server; "images": folders that are read-only as images of
   * their own, the rest served; "packed": nothing can be served, for the guest is a unikernel.
   */
  readonly binds: 'served' | 'images' | 'packed';
}

/**
 * The mounts in their order, which is that of mounting. Reads the files among them. A source of a bind mount is the
 * caller's, so links in it are followed as mount(8) does.
 *
 * Throws INVALID or NOT_FOUND for a mount that cannot be, UNSUPPORTED for one that such a guest cannot have.
 */
export function resolveMounts(mounts: readonly Mount[], options: MountOptions): GuestMount[] {
  return mounts.map((mount, index) => resolveMount(mount, `config.json mounts[${index}]`, options));
}

/**
 * The same mounts with the files as they are now: engines write resolv.conf and hosts once the container's network is
 * known.
 */
export function readFilesAgain(
  mounts: readonly GuestMount[],
  options: Omit<MountOptions, 'binds'>,
): GuestMount[] {
  return mounts.map((mount) => {
    if (mount.kind !== 'file') return mount;
    const { source, where, file } = mount;
    return { ...mount, file: readMountedFile(source, file.path.toString(), where, options) };
  });
}

function resolveMount(mount: Mount, place: string, settings: MountOptions): GuestMount {
  const where = `${place} (${mount.destination})`;
  const target = normalTarget(mount.destination, where);
  const options = mount.options ?? [];
  const readonly = isReadOnly(options);
  const fact = (type: string): MountFact => ({ kind: 'fact', type, target, options, readonly });
  if (!isBind(mount)) {
    const type = mount.type ?? '';
    const known = GUEST_FILE_SYSTEMS.get(type);
    if (known === undefined) {
      throw new RunncError('UNSUPPORTED', `${where}: a guest cannot mount a file system of type "${type}"`);
    }
    return fact(known);
  }
  const source = bindSource(mount, settings.bundle, where);
  const kind = kindOf(source, where);
  if (kind !== 'file' && kind !== 'folder') {
    throw new RunncError(
      'UNSUPPORTED',
      `${where}: ${source} is ${kind}: only files and folders can be mounted`,
    );
  }
  if (kind === 'file' && (settings.binds === 'packed' || FROM_ENGINES.has(target))) {
    return { kind: 'file', source, where, file: readMountedFile(source, target, where, settings), readonly };
  }
  const own = kind === 'folder' ? guestFileSystem(source, target) : undefined;
  if (own !== undefined) return fact(own);
  if (target === '/') throw new RunncError('INVALID', `${where}: nothing can be mounted over the root`);
  const recursive = options.findLast((option) => option === 'bind' || option === 'rbind') === 'rbind';
  if (kind === 'folder' && readonly && settings.binds !== 'served') {
    return { kind: 'folder', target, source, options, recursive, where };
  }
  if (settings.binds === 'packed') {
    throw new RunncError(
      'UNSUPPORTED',
      `${where}: a unikernel cannot write to a folder of the host: add the option "ro" (docker: -v ${source}:${target}:ro)`,
    );
  }
  checkServed(mount, where);
  return { kind: 'served', target, source, options, readonly, recursive, where };
}

/** What a mount asks of the host's mounts that a guest, which has none of them, cannot do. */
function checkServed({ options = [], uidMappings = [], gidMappings = [] }: Mount, where: string): void {
  const shared = options.find((option) => option === 'shared' || option === 'rshared');
  if (shared !== undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      `${where}: the option "${shared}": what a guest mounts cannot appear on the host; use "rprivate" or "rslave"`,
    );
  }
  const mapped = options.some((option) => option === 'idmap' || option === 'ridmap');
  if (mapped || uidMappings.length > 0 || gidMappings.length > 0) {
    throw new RunncError('UNSUPPORTED', `${where}: ids of one mount alone cannot be mapped (idmap)`);
  }
}

/**
 * The file system a guest has of its own where the host's is bound: Podman and CRI bind the host's /sys with
 * a shared network namespace, and a tmpfs on /dev/shm; others the host's /dev, of which a guest has its own.
 */
function guestFileSystem(source: string, target: string): string | undefined {
  if (target === '/dev/shm' || (target === '/dev' && source === '/dev')) return 'tmpfs';
  return KERNEL_FILE_SYSTEMS.get(fileSystemType(source));
}

/**
 * What a Solo5 guest cannot take of them, one line each, for the log. `attached`: targets that it has as a block
 * device.
 */
export function unusedBySolo5(mounts: readonly GuestMount[], attached: readonly string[] = []): string[] {
  return mounts.flatMap((mount) => {
    if (mount.kind === 'fact' || mount.kind === 'served') return [];
    const target = mount.kind === 'file' ? mount.file.path.toString() : mount.target;
    if (FROM_ENGINES.has(target) || attached.includes(target)) return [];
    const advice = mount.kind === 'folder' ? `, but it can have the folder as a block device` : '';
    return [`mount on ${target} is left out: a Solo5 guest has no file system of the host's${advice}`];
  });
}

/** Docker and Podman mount these into every container: nobody asked for them, so nobody is to be told. */
const FROM_ENGINES = new Set([
  '/etc/hosts',
  '/etc/hostname',
  '/etc/resolv.conf',
  '/run/.containerenv',
  '/run/secrets',
]);

export function isBind(mount: Mount): boolean {
  return (
    mount.type === 'bind' || (mount.options ?? []).some((option) => option === 'bind' || option === 'rbind')
  );
}

/** The last of "ro" and "rw" counts, as in mount(8). */
function isReadOnly(options: readonly string[]): boolean {
  let readonly = false;
  for (const option of options) {
    if (option === 'ro' || option === 'rro') readonly = true;
    if (option === 'rw') readonly = false;
  }
  return readonly;
}

function normalTarget(destination: string, where: string): string {
  const parts = destination.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..'))
    throw new RunncError('INVALID', `${where}: the destination must not contain ".."`);
  if (destination.includes('\0'))
    throw new RunncError('INVALID', `${where}: the destination contains a NUL byte`);
  return '/' + parts.join('/');
}

function bindSource(mount: Mount, bundle: string, where: string): string {
  const source = mount.source ?? '';
  if (source === '') throw new RunncError('INVALID', `${where}: a bind mount needs a source`);
  return source.startsWith('/') ? source : `${bundle}/${source}`;
}

function kindOf(source: string, where: string): string {
  try {
    const stat = statSync(source);
    if (stat.isFile()) return 'file';
    if (stat.isDirectory()) return 'folder';
    if (stat.isSocket()) return 'a socket';
    if (stat.isFIFO()) return 'a fifo';
    return 'a device';
  } catch (error) {
    throw sourceError(error, source, where);
  }
}

function readMountedFile(
  source: string,
  target: string,
  where: string,
  { uidMappings, gidMappings }: Omit<MountOptions, 'binds'>,
): MountedFile['file'] {
  let fd: number;
  try {
    // O_NONBLOCK: it was a file a moment ago; were it a fifo now, open(2) would wait for a writer.
    fd = openSync(source, constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
  } catch (error) {
    throw sourceError(error, source, where);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new RunncError('INVALID', `${where}: ${source} is no longer a file`);
    if (stat.size > MAX_MOUNTED_FILE_BYTES) {
      throw new RunncError(
        'UNSUPPORTED',
        `${where}: ${source} has ${stat.size} bytes; a mounted file may have ${MAX_MOUNTED_FILE_BYTES}: mount its folder read-only instead`,
      );
    }
    return {
      type: 'file',
      path: Buffer.from(target),
      mode: stat.mode & 0o7777,
      uid: toContainerId(stat.uid, uidMappings),
      gid: toContainerId(stat.gid, gidMappings),
      mtimeNs: stat.mtimeNs,
      content: readWhole(fd, stat.size),
    };
  } catch (error) {
    throw sourceError(error, source, where);
  } finally {
    closeSync(fd);
  }
}

/** Up to the size seen by fstat: a file that grows gives what it had. */
function readWhole(fd: number, size: number): Buffer {
  const content = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const count = readSync(fd, content, length, size - length, length);
    if (count === 0) break;
    length += count;
  }
  return content.subarray(0, length);
}

function sourceError(error: unknown, source: string, where: string): RunncError {
  if (error instanceof RunncError) return error;
  if (errnoOf(error) === 'ENOENT') {
    return new RunncError('NOT_FOUND', `${where}: the source ${source} does not exist`, { cause: error });
  }
  return new RunncError('HOST', `${where}: ${source} cannot be read: ${errorMessage(error)}`, {
    cause: error,
  });
}
