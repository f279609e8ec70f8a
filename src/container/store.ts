/**
 * Where containers are kept: one directory ROOT/ID with state.json in it. The directory is the container's existence
 * (mkdir decides who creates it), and flock(2) on it is the container's lock.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readIfThere,
  renameSync,
  rmdirSync,
  statIfThere,
  unlinkSync,
  writeFileSync,
} from '../files.ts';
import { resolve } from '../path.ts';
import { delay } from '../delay.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { stateFolder } from '../host-user.ts';
import { lockFile, tryLockFile } from '../native.ts';
import { checkContainerId, isContainerId } from '../oci/container-id.ts';
import type { ContainerRecord } from './record.ts';

/** In the container's folder: the socket on which init waits for start. */
export const START_SOCKET = 'start.sock';

/** The directory of one container, held open and locked. */
export interface LockedContainer {
  readonly folder: string;
  /** Descriptor on the folder. */
  readonly fd: number;
  /** Undefined in a container whose creation was cut short early. */
  read(): ContainerRecord | undefined;
  write(record: ContainerRecord): void;
  /** Removes the folder. The lock is still held, on nothing. */
  remove(): Promise<void>;
  unlock(): void;
}

/** How often a lock that is to be had within a time is asked for. */
const LOCK_POLL_MS = 20;

export class Store {
  readonly root: string;

  constructor(root: string = stateFolder()) {
    this.root = resolve(root);
  }

  /** Makes the container's folder. EXISTS if it is there. */
  async create(id: string): Promise<LockedContainer> {
    checkContainerId(id);
    const folder = this.folder(id);
    try {
      mkdirSync(this.root, { recursive: true, mode: 0o711 });
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw new RunncError('EXISTS', `container with id exists: ${id}`);
      if (errnoOf(error) === 'ENAMETOOLONG') {
        throw new RunncError(
          'INVALID',
          `container id: ${String(id.length)} characters are too many for a file name`,
        );
      }
      throw new RunncError('HOST', `${folder}: cannot make the container's folder: ${errorMessage(error)}`);
    }
    const locked = await lockFolder(folder);
    // Between mkdir and flock somebody may have deleted the container that was not one yet.
    if (locked === undefined)
      throw new RunncError('STATE', `container ${id} was deleted while it was created`);
    return locked;
  }

  /**
   * Waits for the container's lock. NOT_FOUND if there is no such container, STATE if the lock is not to be had
   * within the time.
   */
  async lock(id: string, timeoutMs?: number): Promise<LockedContainer> {
    checkContainerId(id);
    const locked = await lockFolder(this.folder(id), timeoutMs);
    if (locked === undefined) throw notFound();
    return locked;
  }

  /** Without a lock: the file is replaced as a whole. NOT_FOUND also while create has not written it yet. */
  read(id: string): ContainerRecord {
    checkContainerId(id);
    const record = readRecord(this.folder(id));
    if (record === undefined) throw notFound();
    return record;
  }

  /** Those that have a state.json at the moment, in the order of their ids. */
  list(): ContainerRecord[] {
    let names: string[];
    try {
      names = readdirSync(this.root);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw new RunncError('HOST', `${this.root}: cannot list containers: ${errorMessage(error)}`);
    }
    const records: ContainerRecord[] = [];
    for (const name of names.sort()) {
      const record = isContainerId(name) ? readRecord(this.folder(name)) : undefined;
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  /** Where it keeps its files; `id` has been checked. */
  folder(id: string): string {
    return `${this.root}/${id}`;
  }
}

function notFound(): RunncError {
  return new RunncError('NOT_FOUND', 'container does not exist');
}

/** Undefined if the folder is not there, or went away before the lock was held. */
async function lockFolder(folder: string, timeoutMs?: number): Promise<LockedContainer | undefined> {
  let fd: number;
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENAMETOOLONG') return undefined;
    throw new RunncError('HOST', `${folder}: cannot open the container's folder: ${errorMessage(error)}`);
  }
  try {
    await acquire(fd, folder, timeoutMs);
    const held = fstatSync(fd);
    const there = statIfThere(folder);
    if (there?.ino === held.ino && there.dev === held.dev) return lockedContainer(folder, fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return undefined;
}

async function acquire(fd: number, folder: string, timeoutMs: number | undefined): Promise<void> {
  if (tryLockFile(fd, 'exclusive')) return;
  if (timeoutMs === undefined) {
    await lockFile(fd, 'exclusive');
    return;
  }
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    await delay(LOCK_POLL_MS);
    if (tryLockFile(fd, 'exclusive')) return;
  }
  throw new RunncError('STATE', `${folder}: another call holds the container's lock: wait for it or end it`);
}

function lockedContainer(folder: string, fd: number): LockedContainer {
  let open = true;
  return {
    folder,
    fd,
    read: () => readRecord(folder),
    write(record) {
      // No fsync: the folder lives in a tmpfs, and what a crash of the host leaves is no container.
      const file = `${folder}/state.json`;
      writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
    remove: () => removeFolder(folder),
    unlock() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** By hand as far as there are only files in it, because rmSync takes Bun as long as all the rest of a deletion. */
async function removeFolder(folder: string): Promise<void> {
  try {
    for (const name of readdirSync(folder)) unlinkSync(`${folder}/${name}`);
    rmdirSync(folder);
  } catch {
    // Something else is in there, or it was removed by hand.
    const { rmSync } = await import('node:fs');
    rmSync(folder, { recursive: true, force: true });
  }
}

function readRecord(folder: string): ContainerRecord | undefined {
  let text: string | undefined;
  try {
    text = readIfThere(`${folder}/state.json`, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENAMETOOLONG') return undefined;
    throw new RunncError('HOST', `${folder}/state.json: cannot be read: ${errorMessage(error)}`);
  }
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as { readonly version?: unknown };
  if (record.version !== 1) {
    throw new RunncError('HOST', `${folder}/state.json: was not written by this version of runnc`);
  }
  return record as ContainerRecord;
}
