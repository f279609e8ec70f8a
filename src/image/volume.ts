/**
 * Folders of volumes, which begin with what the image has at their place, as Docker's do.
 *
 *     VOLUMES/NAME     complete: made under another name, then renamed
 *     VOLUMES/.lock    held while one is made
 *     VOLUMES/.new-…   being made by whoever holds the lock
 */
import { execFile } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
} from 'node:fs';
import { O_PATH } from '../files.ts';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import { reached } from '../fault.ts';
import { lockFile, openInRoot, syncFileSystem, tryLockFile } from '../native.ts';
import { removeTree } from '../remove-tree.ts';
import type { Volume } from './run-spec.ts';
import { storeError, syncFolder } from './store-folder.ts';

/** Nothing is done for one that is there. `rootfs`: the image's files, which nobody changes. Throws HOST. */
export async function makeNamedVolume(volume: Volume, rootfs: string): Promise<void> {
  if (existsSync(volume.folder)) return;
  const parent = volume.folder.slice(0, volume.folder.lastIndexOf('/'));
  let lock: number | undefined;
  try {
    mkdirSync(parent, { recursive: true, mode: 0o755 });
    lock = openSync(`${parent}/.lock`, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    if (!tryLockFile(lock, 'exclusive')) await lockFile(lock, 'exclusive');
    for (const name of readdirSync(parent)) if (name.startsWith('.new-')) removeTree(`${parent}/${name}`);
    if (existsSync(volume.folder)) return;
    const folder = `${parent}/.new-${crypto.randomUUID()}`;
    try {
      await fillVolume({ ...volume, folder }, rootfs);
      const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        syncFileSystem(fd);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      reached('volume-filled');
      renameSync(folder, volume.folder);
      syncFolder(parent);
    } catch (error) {
      removeTree(folder);
      throw error;
    }
  } catch (error) {
    throw storeError(`volume ${volume.name ?? ''}: ${parent}`, error);
  } finally {
    if (lock !== undefined) closeSync(lock);
  }
}

/** Makes the folder, with the image's files, owner and mode. Throws HOST. */
export async function fillVolume({ folder, imagePath }: Volume, rootfs: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const from = imagePath === undefined ? undefined : openImageFolder(rootfs, imagePath);
  if (from === undefined) return;
  try {
    await copyFolder(from, folder);
  } catch (error) {
    throw new RunncError(
      'HOST',
      `${folder}: what the image has at ${shorten(imagePath ?? '')} cannot be copied there: ${errorMessage(error)}`,
      { cause: error },
    );
  } finally {
    closeSync(from);
  }
}

/** The image's links lead nowhere out of it. undefined if it has no such folder. */
function openImageFolder(rootfs: string, path: string): number | undefined {
  const root = openSync(rootfs, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return openInRoot(root, path, O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined;
    throw error;
  } finally {
    closeSync(root);
  }
}

/** cp(1) follows no link inside, and keeps hard links, holes, owners and times. */
function copyFolder(from: number, to: string): Promise<void> {
  // "/." for the folder itself, whatever the descriptor's link looks like.
  const source = `/proc/${String(process.pid)}/fd/${String(from)}/.`;
  return new Promise((resolve, reject) => {
    execFile('cp', ['--archive', '--no-target-directory', source, to], (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(stderr.trim().split('\n').at(-1) ?? error.message));
    });
  });
}
