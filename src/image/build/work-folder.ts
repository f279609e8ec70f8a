/**
 * A folder where a build unpacks files. It is held locked, so that the next build can tell what a killed one has left:
 *
 *     work/UUID.lock     locked while UUID is in use
 *     work/UUID/         rootfs, and whatever else is needed
 */
import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { RunncError } from '../../errors.ts';
import { tryLockFile } from '../../native.ts';
import { isThere } from '../store-folder.ts';
import type { BuildCache } from './build-cache.ts';

export class WorkFolder {
  readonly path: string;
  readonly #lock: number;

  private constructor(path: string, lock: number) {
    this.path = path;
    this.#lock = lock;
  }

  /** A new one; those of builds that have ended are removed, after `onLeft` had a look at each. */
  static async open(cache: BuildCache, onLeft: (path: string) => Promise<void>): Promise<WorkFolder> {
    const parent = `${cache.folder}/work`;
    await sweep(parent, onLeft);
    const path = `${parent}/${crypto.randomUUID()}`;
    const lock = openLocked(`${path}.lock`);
    if (lock === undefined) throw new RunncError('INTERNAL', `${path}: a new file is locked`);
    mkdirSync(path, { mode: 0o700 });
    return new WorkFolder(path, lock);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
    rmSync(`${this.path}.lock`, { force: true });
    closeSync(this.#lock);
  }
}

async function sweep(parent: string, onLeft: (path: string) => Promise<void>): Promise<void> {
  for (const name of readdirSync(parent)) {
    if (!name.endsWith('.lock')) continue;
    const lock = openLocked(`${parent}/${name}`);
    if (lock === undefined) continue;
    const path = `${parent}/${name.slice(0, -'.lock'.length)}`;
    try {
      await onLeft(path);
      rmSync(path, { recursive: true, force: true });
      rmSync(`${parent}/${name}`, { force: true });
    } finally {
      closeSync(lock);
    }
  }
}

/** undefined: somebody else has it, or has just removed it. */
function openLocked(path: string): number | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (tryLockFile(fd, 'exclusive') && isThere(path, fd)) return fd;
  closeSync(fd);
  return undefined;
}
