/**
 * A read-only folder of the host, bound into a Linux guest: its files as of now, laid over the image like a
 * container's own layer. For what such mounts are mostly used for: configuration, certificates, tokens.
 */
import { closeSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { openInRoot } from '../native.ts';
import { type DeltaOptions, MAX_CONTENT_BYTES, MAX_ENTRIES, readDelta } from './delta.ts';
import type { MountedFolder } from './mounts.ts';
import type { LayerEntry } from './rootfs-image.ts';
import { checkUnchanged, scanLayer } from './source.ts';
import { openFolder } from './tree.ts';

/** open(2); node:fs has no name for it. */
const O_PATH = 0o10000000;

/**
 * `rootFd`: the container's rootfs, to see which folders above the target are missing and must be made.
 *
 * Throws HOST if the folder cannot be read or changes meanwhile, UNSUPPORTED if it is too large for guest memory.
 */
export function readMountedFolder(
  folder: MountedFolder,
  rootFd: number,
  options: DeltaOptions,
): LayerEntry[] {
  const fd = openFolder(folder.source, `the source of the mount on ${folder.target}:`);
  try {
    const scanned = scanLayer({ fd, path: folder.source }, { overlay: false });
    const entries = readDelta(scanned.tree, options, folder.target === '/' ? '' : folder.target);
    if (entries === undefined) {
      throw new RunncError(
        'UNSUPPORTED',
        `the folder ${folder.source} on ${folder.target} is too large for a mount: it may have ` +
          `${String(MAX_ENTRIES)} entries and ${String(MAX_CONTENT_BYTES / 2 ** 20)} MiB`,
      );
    }
    checkUnchanged([scanned], { overlay: false });
    // The mount hides what the image has there.
    const [root, ...rest] = entries;
    const top = root?.type === 'folder' ? [{ ...root, opaque: true }] : [];
    return [...missingParents(folder.target, rootFd, top[0]?.mtimeNs ?? 0n), ...top, ...rest];
  } finally {
    closeSync(fd);
  }
}

/** As mkdir -p, from the top down. */
function missingParents(target: string, rootFd: number, mtimeNs: bigint): LayerEntry[] {
  const missing: LayerEntry[] = [];
  for (let path = dirname(target); path !== '/' && !isThere(path, rootFd); path = dirname(path)) {
    missing.unshift({
      type: 'folder',
      opaque: false,
      path: Buffer.from(path),
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtimeNs,
    });
  }
  return missing;
}

function isThere(path: string, rootFd: number): boolean {
  try {
    closeSync(openInRoot(rootFd, path, O_PATH | constants.O_DIRECTORY));
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') return false;
    throw new RunncError('INVALID', `${path} in the rootfs cannot hold a mount: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
