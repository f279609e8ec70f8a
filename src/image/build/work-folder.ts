/**
 * A folder where a build unpacks files. It is held locked, so that the next build can tell what a killed one has left:
 *
 *     work/UUID.lock     locked while UUID is in use
 *     work/UUID/         rootfs, and whatever else is needed
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { RunncError } from '../../errors.ts';
import { tryLockFile } from '../../native.ts';
import { isThere } from '../store-folder.ts';
import type { BuildCache } from './build-cache.ts';
import type { Interrupts } from './interrupts.ts';
import type { Session } from './session.ts';

export class WorkFolder {
  readonly path: string;
  readonly #lock: number;
  readonly #forget: () => void;

  private constructor(path: string, lock: number, interrupts: Interrupts) {
    this.path = path;
    this.#lock = lock;
    this.#forget = interrupts.onEnd(() => {
      this.#removeFiles();
    });
  }

  static open({ cache, interrupts }: Pick<Session, 'cache' | 'interrupts'>): WorkFolder {
    const path = `${cache.folder}/work/${crypto.randomUUID()}`;
    const lock = openLocked(`${path}.lock`);
    if (lock === undefined) throw new RunncError('INTERNAL', `${path}: a new file is locked`);
    mkdirSync(path, { mode: 0o700 });
    return new WorkFolder(path, lock, interrupts);
  }

  remove(): void {
    this.#forget();
    this.#removeFiles();
    closeSync(this.#lock);
  }

  #removeFiles(): void {
    rmSync(this.path, { recursive: true, force: true });
    rmSync(`${this.path}.lock`, { force: true });
  }
}

/** Removes the folders of builds that were killed, and what they left running. */
export async function sweepWork(cache: BuildCache): Promise<void> {
  const parent = `${cache.folder}/work`;
  for (const name of readdirSync(parent)) {
    if (!name.endsWith('.lock')) continue;
    const lock = openLocked(`${parent}/${name}`);
    if (lock === undefined) continue;
    const path = `${parent}/${name.slice(0, -'.lock'.length)}`;
    try {
      if (existsSync(`${path}/rootfs`)) {
        const { Container } = await import('../../container/container.ts');
        await Container.delete(containerIdOf(path), { force: true });
      }
      rmSync(path, { recursive: true, force: true });
      rmSync(`${parent}/${name}`, { force: true });
    } finally {
      closeSync(lock);
    }
  }
}

/** The container whose root is in the folder. */
export function containerIdOf(folder: string): string {
  return `build-${folder.slice(folder.lastIndexOf('/') + 1)}`;
}

/** undefined: somebody else has it, or has just removed it. */
function openLocked(path: string): number | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (tryLockFile(fd, 'exclusive') && isThere(path, fd)) return fd;
  closeSync(fd);
  return undefined;
}
