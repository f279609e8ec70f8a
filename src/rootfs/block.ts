/**
 * Block devices for Solo5 guests, asked for by annotation:
 *
 *     io.runnc.block.NAME = PATH[,ro][,size=BYTES|…K|…M|…G|…T]
 *     io.runnc.block.NAME = rootfs
 *     io.runnc.block.NAME = mount:DESTINATION
 *
 * NAME is a device of the guest's manifest. PATH is a raw file or block device on the host, absolute or
 * relative to the bundle, trusted like the rest of config.json; with `size` a missing file is created, sparse.
 * "rootfs" attaches the container's root image, for manifests with several block devices; "mount:…" an ISO image of the
 * folder that config.json mounts there, read-only.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import type { Manifest } from '../guest/manifest.ts';
import type { GuestMount, MountedFolder } from './mounts.ts';

export const BLOCK_ANNOTATION_PREFIX = 'io.runnc.block.';

const MOUNT_PREFIX = 'mount:';

/** One annotation, read. */
export interface BlockRequest {
  /** The device's name in the manifest. */
  readonly name: string;
  /** The destination of a mount in config.json. With neither this nor `file`: the container's root image. */
  readonly mount?: string;
  readonly file?: {
    readonly path: string;
    readonly readonly: boolean;
    /** Create a file of this many bytes if there is none. */
    readonly createBytes?: number;
  };
}

/** An open descriptor for the tender's --block:NAME=@FD. The caller closes it. */
export interface BlockDevice {
  readonly name: string;
  readonly fd: number;
  readonly readonly: boolean;
}

/** What is attached to each block device of the manifest. */
export interface BlockPlan {
  /** The device that gets the container's root image, if any. */
  readonly rootfsDevice?: string;
  readonly files: readonly (BlockRequest & Required<Pick<BlockRequest, 'file'>>)[];
  readonly mounts: readonly (BlockRequest & Required<Pick<BlockRequest, 'mount'>>)[];
}

const UNITS = new Map([
  ['', 1],
  ['K', 2 ** 10],
  ['M', 2 ** 20],
  ['G', 2 ** 30],
  ['T', 2 ** 40],
]);

/** Throws INVALID naming the annotation. */
export function parseBlockAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  bundle: string,
): BlockRequest[] {
  return Object.entries(annotations ?? {})
    .filter(([key]) => key.startsWith(BLOCK_ANNOTATION_PREFIX))
    .map(([key, value]) => parseBlockAnnotation(key, value, bundle));
}

function parseBlockAnnotation(key: string, value: string, bundle: string): BlockRequest {
  const name = key.slice(BLOCK_ANNOTATION_PREFIX.length);
  const bad = (what: string): RunncError => new RunncError('INVALID', `annotation ${key}=${value}: ${what}`);
  if (!/^[A-Za-z0-9]{1,67}$/.test(name)) throw bad('the device name must be 1 to 67 letters and digits');
  if (value === 'rootfs') return { name };
  if (value.startsWith(MOUNT_PREFIX)) {
    const mount = resolve('/', value.slice(MOUNT_PREFIX.length));
    if (!value.startsWith(`${MOUNT_PREFIX}/`)) throw bad('mount: needs the absolute path of a mount');
    return { name, mount };
  }
  const [path = '', ...flags] = value.split(',');
  if (path === '') throw bad('a path is missing');
  if (path.includes('\0')) throw bad('the path contains a NUL byte');
  let readonly = false;
  let createBytes: number | undefined;
  for (const flag of flags) {
    if (flag === 'ro') readonly = true;
    else if (flag === 'rw') readonly = false;
    else if (flag.startsWith('size=')) createBytes = parseSize(flag.slice('size='.length), bad);
    else throw bad(`"${flag}" is not an option: ro, rw and size=… are`);
  }
  if (readonly && createBytes !== undefined)
    throw bad('ro and size=… exclude each other: an empty device has nothing to read');
  return {
    name,
    file: { path: resolve(bundle, path), readonly, ...(createBytes === undefined ? {} : { createBytes }) },
  };
}

function parseSize(text: string, bad: (what: string) => RunncError): number {
  const [, digits = '', unit = ''] = /^([0-9]{1,15})([KMGT]?)$/.exec(text.toUpperCase()) ?? [];
  const bytes = Number(digits) * (UNITS.get(unit) ?? 1);
  if (digits === '' || bytes === 0) throw bad(`"${text}" is not a size: bytes, or with K, M, G or T`);
  if (bytes % 512 !== 0 || bytes > Number.MAX_SAFE_INTEGER)
    throw bad('the size must be a multiple of 512 bytes');
  return bytes;
}

/**
 * Gives every block device of the manifest something: what its annotation says, and the root image to the one
 * that is left, whatever its name.
 *
 * Throws INVALID for an annotation without a device or a device without anything.
 */
export function matchBlockDevices(manifest: Manifest, requests: readonly BlockRequest[]): BlockPlan {
  const names = manifest.devices.filter(({ type }) => type === 'BLOCK_BASIC').map(({ name }) => name);
  for (const { name } of requests) {
    if (!names.includes(name)) {
      const known =
        names.length === 0 ? 'the guest declares no block device' : `the guest declares ${names.join(', ')}`;
      throw new RunncError('INVALID', `annotation ${BLOCK_ANNOTATION_PREFIX}${name}: ${known}`);
    }
  }
  const roots = requests
    .filter(({ file, mount }) => file === undefined && mount === undefined)
    .map(({ name }) => name);
  const left = names.filter((name) => !requests.some((request) => request.name === name));
  const rootfsDevices = [...roots, ...left];
  if (rootfsDevices.length > 1) {
    throw new RunncError(
      'INVALID',
      `the guest declares the block devices ${names.join(', ')} and only one can be the rootfs: ` +
        `say what the others are by annotation (${BLOCK_ANNOTATION_PREFIX}NAME=PATH)`,
    );
  }
  const files = requests.flatMap(({ name, file }) => (file === undefined ? [] : [{ name, file }]));
  const mounts = requests.flatMap(({ name, mount }) => (mount === undefined ? [] : [{ name, mount }]));
  const [rootfsDevice] = rootfsDevices;
  return { ...(rootfsDevice === undefined ? {} : { rootfsDevice }), files, mounts };
}

/** The folder that is mounted there. Throws INVALID if none is. */
export function mountedFolder(
  { name, mount }: BlockPlan['mounts'][number],
  mounts: readonly GuestMount[],
): MountedFolder {
  const found = mounts.findLast((other) => other.kind === 'folder' && other.target === mount);
  if (found?.kind === 'folder') return found;
  throw new RunncError(
    'INVALID',
    `annotation ${BLOCK_ANNOTATION_PREFIX}${name}=mount:${mount}: config.json mounts no folder there`,
  );
}

/** Opens (or creates) the files. On an error what was opened is closed and what was created is removed. */
export function openBlockDevices(files: BlockPlan['files']): BlockDevice[] {
  const devices: BlockDevice[] = [];
  const created: string[] = [];
  try {
    for (const { name, file } of files) {
      const { fd, isNew } = openBlockFile(name, file);
      devices.push({ name, fd, readonly: file.readonly });
      if (isNew) created.push(file.path);
      checkBlockFile(fd, name, file, isNew);
    }
    return devices;
  } catch (error) {
    for (const { fd } of devices) closeSync(fd);
    for (const path of created) unlinkSync(path);
    throw error;
  }
}

type BlockFile = Required<BlockRequest>['file'];

function openBlockFile(name: string, file: BlockFile): { fd: number; isNew: boolean } {
  // O_NONBLOCK: a fifo in its place must not hold up the runtime; fstat refuses it afterwards.
  const flags =
    (file.readonly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK | constants.O_NOCTTY;
  try {
    return { fd: openSync(file.path, flags), isNew: false };
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || file.createBytes === undefined) throw blockError(error, name, file);
  }
  try {
    return { fd: openSync(file.path, flags | constants.O_CREAT | constants.O_EXCL, 0o600), isNew: true };
  } catch (error) {
    throw blockError(error, name, file);
  }
}

function checkBlockFile(fd: number, name: string, file: BlockFile, isNew: boolean): void {
  const stat = fstatSync(fd);
  if (!stat.isFile() && !stat.isBlockDevice()) {
    throw new RunncError(
      'INVALID',
      `block device ${name}: ${file.path} is neither a file nor a block device`,
    );
  }
  if (isNew && file.createBytes !== undefined) {
    try {
      ftruncateSync(fd, file.createBytes);
    } catch (error) {
      throw blockError(error, name, file);
    }
  } else if (stat.isFile() && file.createBytes !== undefined && stat.size !== file.createBytes) {
    throw new RunncError(
      'INVALID',
      `block device ${name}: ${file.path} is there and has ${stat.size} bytes, not ${file.createBytes}`,
    );
  }
}

function blockError(error: unknown, name: string, file: BlockFile): RunncError {
  if (errnoOf(error) === 'ENOENT') {
    const hint = 'give the annotation a size=… to have it created';
    return new RunncError('NOT_FOUND', `block device ${name}: ${file.path} does not exist: ${hint}`, {
      cause: error,
    });
  }
  const what = `block device ${name}: ${file.path} cannot be opened: ${errorMessage(error)}`;
  return new RunncError('HOST', what, { cause: error });
}
