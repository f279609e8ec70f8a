/** Where images are kept, and the few file operations whose order decides what a crash leaves. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { isHostRoot } from '../host-user.ts';
import { defaultCacheDir } from '../rootfs/cache-entry.ts';

/** /var/lib/runnc/images for root; $XDG_CACHE_HOME/runnc/images or ~/.cache/runnc/images for others. */
export function defaultStoreFolder(): string {
  return isHostRoot() ? '/var/lib/runnc/images' : `${defaultCacheDir()}/images`;
}

/** Made if missing. Throws HOST unless it is this user's alone: nobody else may put a blob there. */
export function makePrivateFolders(folder: string, inside: readonly string[]): void {
  try {
    for (const name of ['', ...inside]) mkdirSync(`${folder}/${name}`, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    if (uid === process.geteuid?.() && (mode & 0o022) === 0) return;
  } catch (error) {
    throw storeError(folder, error);
  }
  throw new RunncError('HOST', `${folder} must belong to the user of runnc and be writable by nobody else`);
}

/** System errors by the folder's name; anything else as it is. */
export function storeError(folder: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof RunncError || code === undefined || !code.startsWith('E')) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RunncError('HOST', `${folder} cannot be written: no space left on the device`, {
      cause: error,
    });
  }
  return new RunncError('HOST', `${folder} cannot be used: ${errorMessage(error)}`, { cause: error });
}

export function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Does this path lead to this very file? */
export function isThere(path: string, fd: number): boolean {
  try {
    const [there, here] = [lstatSync(path, { bigint: true }), fstatSync(fd, { bigint: true })];
    return there.dev === here.dev && there.ino === here.ino;
  } catch {
    return false;
  }
}

/** Empty if there is no such folder. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Of a regular file; undefined if there is none. */
export function fileSize(path: string): number | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat.size : undefined;
}
