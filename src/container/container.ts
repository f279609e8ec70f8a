/** A container, as the library's users see it and as every verb of the command uses it. */
import { closeSync } from '../files.ts';
import { errnoOf, RunncError } from '../errors.ts';
import { type ExitStatus, pidfdOpen, pidfdSendSignal, waitExit, waitReadable } from '../native.ts';
import type { Resources } from '../oci/spec.ts';
import type { State } from '../oci/state.ts';
import { type CgroupManager, type CgroupStats, openCgroup } from '../sandbox/cgroups/index.ts';
import { HELPER_NAMES, openProcess, processStat } from '../sandbox/process.ts';
import type { CreateOptions } from './create.ts';
import type { ExecOptions, ExecProcess } from './exec.ts';
import type { GuestProcess, GuestStats } from './guest-answers.ts';
import type { ContainerRecord } from './record.ts';
import type { LogOptions } from './logs.ts';
import { canBeAsked, ociState, statusOf } from './status.ts';
import { type LockedContainer, Store } from './store.ts';

export interface StoreOptions {
  /** Where containers are kept; default: /run/runnc, for other users than root $XDG_RUNTIME_DIR/runnc. */
  readonly root?: string;
}

/** The OCI state and what runc's `state` adds to it. */
export interface ContainerState extends State {
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  readonly owner: string;
}

export interface DeleteOptions {
  /** Kill it if it runs, wait for a call that holds it (10 s at most), and be content if it is not there. */
  readonly force?: boolean;
  /** Told of hooks that failed, one line each. */
  readonly onWarning?: (message: string) => void;
}

export interface KillOptions {
  /** To every process in the container's cgroups. */
  readonly all?: boolean;
}

const SIGKILL = 9;
const SIGTERM = 15;

/** `delete --force` does not wait longer for a call that hangs, in a hook for example. */
const FORCE_LOCK_TIMEOUT_MS = 10_000;

export class Container {
  readonly id: string;
  readonly #store: Store;
  /** Where this process is the parent of the container's: its end can be asked for once only. */
  readonly #exit: (() => Promise<ExitStatus>) | undefined;

  private constructor(id: string, store: Store, pidfd?: number) {
    this.id = id;
    this.#store = store;
    if (pidfd !== undefined) this.#exit = once(() => waitExit(pidfd).finally(() => closeSync(pidfd)));
  }

  /**
   * Makes a container of a bundle; its program waits for start(). The container's process is a child of this one and
   * outlives it.
   *
   * Throws INVALID for a mistake in config.json or an option, EXISTS, EXEC_NOT_FOUND, EXEC_DENIED, UNSUPPORTED, HOOK,
   * HOST; nothing is left behind then.
   */
  static async create(options: CreateOptions): Promise<Container> {
    // Only here: the other verbs have no use for all that a creation needs, and would wait for it to be loaded.
    const { createContainer } = await import('./create.ts');
    const { pidfd } = await createContainer(options);
    return new Container(options.id, new Store(options.root), pidfd);
  }

  /** A container that was made before. Throws NOT_FOUND. */
  static load(id: string, { root }: StoreOptions = {}): Container {
    const store = new Store(root);
    store.read(id);
    return new Container(id, store);
  }

  /** By id. Containers that come and go meanwhile may be missed. */
  static async list({ root }: StoreOptions = {}): Promise<ContainerState[]> {
    const records = new Store(root).list();
    return Promise.all(records.map(async (record) => fullState(record)));
  }

  /** Throws NOT_FOUND once it is deleted. */
  async state(): Promise<ContainerState> {
    return fullState(this.#store.read(this.id));
  }

  /**
   * Starts the program and runs the poststart hooks. Throws STATE if it was started before, EXEC_DENIED, HOOK (the
   * container is killed if a poststart hook fails).
   */
  async start(): Promise<void> {
    await this.#locked(async (locked, record) => {
      const { startLocked } = await import('./start.ts');
      await startLocked(locked, record);
    });
  }

  /** Sends a signal, by number. Throws STATE ("container not running"). */
  async kill(signal: number = SIGTERM, { all = false }: KillOptions = {}): Promise<void> {
    const record = this.#store.read(this.id);
    if (all) {
      await killAll(await openCgroup(record.cgroup), signal);
      return;
    }
    const status = await statusOf(record);
    const pidfd = status === 'stopped' ? undefined : openRecorded(record);
    if (pidfd === undefined) throw notRunning();
    try {
      sendSignal(pidfd, signal);
    } finally {
      closeSync(pidfd);
    }
    // A frozen process cannot even die.
    if (status === 'paused' && signal === SIGKILL) await (await openCgroup(record.cgroup)).thaw();
  }

  /**
   * Waits for the end of the container's process. How it ended is known to its parent alone: undefined for a
   * container that another process created.
   */
  async wait(): Promise<ExitStatus | undefined> {
    if (this.#exit !== undefined) return this.#exit();
    const pidfd = openRecorded(this.#store.read(this.id));
    if (pidfd === undefined) return undefined;
    try {
      await waitReadable(pidfd);
      return undefined;
    } finally {
      closeSync(pidfd);
    }
  }

  /** Removes it and all that belongs to it. Throws STATE if it runs, unless forced. */
  async delete({ force = false, onWarning }: DeleteOptions = {}): Promise<void> {
    let locked: LockedContainer;
    try {
      locked = await this.#store.lock(this.id, force ? FORCE_LOCK_TIMEOUT_MS : undefined);
    } catch (error) {
      if (force && error instanceof RunncError && error.code === 'NOT_FOUND') return;
      throw error;
    }
    try {
      const record = locked.read();
      if (!force) await checkDeletable(this.id, record);
      const { destroy } = await import('./destroy.ts');
      await destroy(locked, onWarning);
    } finally {
      locked.unlock();
    }
  }

  /** The same for an id of which nothing may be left but an unfinished folder. */
  static async delete(id: string, options: DeleteOptions & StoreOptions = {}): Promise<void> {
    await new Container(id, new Store(options.root)).delete(options);
  }

  /**
   * Starts a program beside the container's own one. Throws STATE, UNSUPPORTED for a guest that runs one program,
   * EXEC_NOT_FOUND, EXEC_DENIED, INVALID, HOST.
   */
  async exec(options: ExecOptions): Promise<ExecProcess> {
    const record = this.#store.read(this.id);
    const { execInContainer } = await import('./exec.ts');
    return execInContainer(record, this.#store.folder(this.id), options);
  }

  /** Throws UNSUPPORTED for a guest that runs one program. */
  async requireExec(): Promise<void> {
    const { checkSupport } = await import('./exec.ts');
    checkSupport(this.#store.read(this.id));
  }

  /** process of its config.json, which exec's may be made from. Throws INVALID if that is gone or damaged. */
  async configuredProcess(): Promise<ExecOptions['process']> {
    const { bundle } = this.#store.read(this.id);
    const { readBundle } = await import('../oci/bundle.ts');
    return readBundle(bundle).spec.process;
  }

  /** Stops all its processes until resume(). Throws STATE, UNSUPPORTED without a freezer cgroup. */
  async pause(): Promise<void> {
    await this.#locked(async (_, record) => {
      const status = await statusOf(record);
      if (status !== 'running' && status !== 'created') {
        throw new RunncError('STATE', `container not running or created: ${status}`);
      }
      await (await openCgroup(record.cgroup)).freeze();
    });
  }

  /** Throws STATE unless it is paused. */
  async resume(): Promise<void> {
    await this.#locked(async (_, record) => {
      if ((await statusOf(record)) !== 'paused') throw new RunncError('STATE', 'container not paused');
      await (await openCgroup(record.cgroup)).thaw();
    });
  }

  /**
   * Changes the limits that are given; a Linux guest is told of one of memory. Throws STATE if it is stopped, or has more
   * memory in use than it shall have.
   */
  async update(resources: Resources): Promise<void> {
    await this.#locked(async (_, record) => {
      const { updateLocked } = await import('./update.ts');
      await updateLocked(record, this.#store.folder(this.id), resources);
    });
  }

  /**
   * What it has printed, if it is one of an image in the background. Leaving the loop early ends it. Throws NOT_FOUND for
   * another one, HOST.
   */
  async *log(options: LogOptions = {}): AsyncGenerator<Uint8Array> {
    this.#store.read(this.id);
    const [{ ownData }, { readLog }] = await Promise.all([import('./own-data.ts'), import('./logs.ts')]);
    const folder = ownData(this.#store.folder(this.id));
    const wait = (): Promise<unknown> => this.wait();
    yield* readLog(folder, this.id, wait, options);
  }

  /** The pids of its processes on the host: the guest, and the proxies of programs that were started beside it. */
  async ps(): Promise<readonly number[]> {
    const record = this.#store.read(this.id);
    const pids = (await openCgroup(record.cgroup)).pids();
    // Without cgroups of its own (rootless) there is still the process.
    if (pids.length === 0) return (await statusOf(record)) === 'stopped' ? [] : [record.pid];
    return pids.length === 1
      ? pids
      : pids.filter((pid) => !HELPER_NAMES.includes(processStat(pid)?.name ?? ''));
  }

  /** The processes inside of a Linux guest. Undefined: it has none to tell of, or cannot tell, being paused. */
  async processes(): Promise<readonly GuestProcess[] | undefined> {
    const record = this.#store.read(this.id);
    if (!(await canBeAsked(record))) return undefined;
    const { askProcesses } = await import('./ask-guest.ts');
    return askProcesses(record, this.#store.folder(this.id));
  }

  /** What its cgroups counted, and what its guest did. Throws STATE if it is stopped. */
  async stats(): Promise<ContainerStats> {
    const record = this.#store.read(this.id);
    if ((await statusOf(record)) === 'stopped') throw notRunning();
    const { readStats } = await import('./events.ts');
    return readStats(record, this.#store.folder(this.id), await openCgroup(record.cgroup));
  }

  /**
   * Statistics every `intervalMs` (default 5000) and whenever the host's OOM killer struck or was found to have struck in
   * the guest, until the container's end.
   * Leaving the loop early ends the watch.
   */
  async *events({
    intervalMs = 5000,
  }: { readonly intervalMs?: number } = {}): AsyncGenerator<ContainerEvent> {
    const record = this.#store.read(this.id);
    const { watchEvents } = await import('./events.ts');
    yield* watchEvents(record, this.#store.folder(this.id), intervalMs);
  }

  async #locked(act: (locked: LockedContainer, record: ContainerRecord) => Promise<void>): Promise<void> {
    const locked = await this.#store.lock(this.id);
    try {
      const record = locked.read();
      if (record === undefined) throw new RunncError('NOT_FOUND', 'container does not exist');
      await act(locked, record);
    } finally {
      locked.unlock();
    }
  }
}

function once<T>(act: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= act());
}

/** In runc's shape, with one field more. */
export interface ContainerStats extends CgroupStats {
  /** Absent where there is no Linux guest to ask, or it does not answer. */
  readonly guest?: GuestStats;
}

/** A line of `events`, in runc's shape. */
export type ContainerEvent =
  | { readonly type: 'stats'; readonly id: string; readonly data: ContainerStats }
  | { readonly type: 'oom'; readonly id: string };

async function fullState(record: ContainerRecord): Promise<ContainerState> {
  const { rootfs, created, owner } = record;
  return { ...ociState(record, await statusOf(record)), rootfs, created, owner };
}

async function checkDeletable(id: string, record: ContainerRecord | undefined): Promise<void> {
  if (record === undefined) throw new RunncError('NOT_FOUND', 'container does not exist');
  const status = await statusOf(record);
  if (status === 'stopped' || status === 'created') return;
  throw new RunncError('STATE', `cannot delete container ${id} that is not stopped: ${status}`);
}

function notRunning(): RunncError {
  return new RunncError('STATE', 'container not running');
}

function openRecorded({ pid, startTime }: ContainerRecord): number | undefined {
  return openProcess(pid, BigInt(startTime));
}

function sendSignal(pidfd: number, signal: number): void {
  try {
    pidfdSendSignal(pidfd, signal);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') throw notRunning();
    throw error;
  }
}

/** Nobody there is fine: callers ask for it after the end of the container's own process. */
async function killAll(cgroup: CgroupManager, signal: number): Promise<void> {
  if (signal === SIGKILL) {
    await cgroup.killAll();
    return;
  }
  for (const pid of cgroup.pids()) {
    let pidfd: number;
    try {
      pidfd = pidfdOpen(pid);
    } catch (error) {
      if (errnoOf(error) === 'ESRCH') continue;
      throw error;
    }
    try {
      // Only now the pid cannot pass to another process: is it still one of ours?
      if (cgroup.pids().includes(pid)) pidfdSendSignal(pidfd, signal);
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    } finally {
      closeSync(pidfd);
    }
  }
}
