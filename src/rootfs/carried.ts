/**
 * Images that carry their block image: `/.runnc/rootfs.iso` or `/.runnc/rootfs.erofs`, made by the build
 * tool, or the file that urunc's annotation `com.urunc.unikernel.block` names (in config.json or in
 * the image's /urunc.json, there in base64).
 *
 * Paths are the image author's: they are resolved inside the rootfs, and only a regular file is taken.
 */
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { closeSync, constants, fstatSync, O_PATH, openSync, readSync } from '../files.ts';
import { openInRoot } from '../native.ts';
import type { OpenRootfsOptions, RootfsImage } from './rootfs-image.ts';
import { findSegments } from './segments-file.ts';

export const CARRIED_ISO = '/.runnc/rootfs.iso';
export const CARRIED_EROFS = '/.runnc/rootfs.erofs';

const URUNC_FILE = '/urunc.json';
const URUNC_BLOCK = 'com.urunc.unikernel.block';
const MAX_URUNC_BYTES = 64 * 1024;

/** undefined: the image carries none. Throws INVALID if it says it does and the file is not there or no file. */
export function openCarried(rootFd: number, options: OpenRootfsOptions): RootfsImage | undefined {
  if (options.format === 'erofs') return openErofs(rootFd);
  const named = uruncBlock(rootFd, options.annotations);
  const fd = openRegular(rootFd, named ?? CARRIED_ISO);
  if (fd === undefined && named !== undefined) {
    throw new RunncError(
      'INVALID',
      `${URUNC_BLOCK} names ${printable(named)}, which does not exist in the rootfs`,
    );
  }
  return fd === undefined ? undefined : { format: 'iso9660', ...sized(fd), delta: [] };
}

function openErofs(rootFd: number): RootfsImage | undefined {
  const fd = openRegular(rootFd, CARRIED_EROFS);
  if (fd === undefined) return undefined;
  const image = sized(fd);
  const segments = findSegments(fd, image.sizeBytes);
  return { format: 'erofs', ...image, ...(segments === undefined ? {} : { segments }), delta: [] };
}

function sized(fd: number): { fd: number; sizeBytes: number } {
  return { fd, sizeBytes: fstatSync(fd).size };
}

/** The path of the block image inside the rootfs, if urunc's keys name one. */
function uruncBlock(rootFd: number, annotations: OpenRootfsOptions['annotations']): string | undefined {
  const annotation = annotations?.[URUNC_BLOCK];
  if (annotation !== undefined && annotation !== '') return decodeBase64(annotation) ?? annotation;
  const fd = openRegular(rootFd, URUNC_FILE);
  if (fd === undefined) return undefined;
  try {
    const value = parseUruncFile(readText(fd));
    if (value === undefined || value === '') return undefined;
    const decoded = decodeBase64(value);
    if (decoded === undefined)
      throw new RunncError('INVALID', `${URUNC_FILE} in the rootfs: ${URUNC_BLOCK} is not base64`);
    return decoded;
  } finally {
    closeSync(fd);
  }
}

function parseUruncFile(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RunncError('INVALID', `${URUNC_FILE} in the rootfs is not JSON: ${errorMessage(error)}`);
  }
  if (typeof value !== 'object' || value === null)
    throw new RunncError('INVALID', `${URUNC_FILE} in the rootfs is not an object`);
  const block: unknown = URUNC_BLOCK in value ? value[URUNC_BLOCK] : undefined;
  if (block !== undefined && typeof block !== 'string') {
    throw new RunncError('INVALID', `${URUNC_FILE} in the rootfs: ${URUNC_BLOCK} is not a string`);
  }
  return block;
}

/** Annotations are seen both plain and encoded. A plain path is never mistaken: it would decode to other bytes. */
function decodeBase64(text: string): string | undefined {
  const decoded = Buffer.from(text, 'base64');
  const isExact = decoded.toString('base64') === text;
  // eslint-disable-next-line no-control-regex -- a path is printable; plain text decoded by mistake is not
  return isExact && /^[^\u0000-\u001f\u007f\ufffd]+$/.test(decoded.toString())
    ? decoded.toString()
    : undefined;
}

function readText(fd: number): string {
  const { size } = fstatSync(fd);
  if (size > MAX_URUNC_BYTES)
    throw new RunncError('INVALID', `${URUNC_FILE} in the rootfs has more than 64 KiB`);
  const content = Buffer.alloc(size);
  return content.toString('utf8', 0, readSync(fd, content, 0, size, 0));
}

/** Read-only. undefined: there is nothing of that name. */
function openRegular(rootFd: number, path: string): number | undefined {
  let pathFd: number;
  try {
    // Looked at before it is opened: opening a device or fifo could already do something.
    pathFd = openInRoot(rootFd, path, O_PATH);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new RunncError('HOST', `${printable(path)} in the rootfs cannot be opened: ${errorMessage(error)}`);
  }
  try {
    if (!fstatSync(pathFd).isFile()) {
      throw new RunncError('INVALID', `${printable(path)} in the rootfs is not a regular file`);
    }
    return openSync(`/proc/self/fd/${String(pathFd)}`, constants.O_RDONLY);
  } finally {
    closeSync(pathFd);
  }
}

function printable(path: string): string {
  return JSON.stringify(path.slice(0, 200)).slice(1, -1);
}
