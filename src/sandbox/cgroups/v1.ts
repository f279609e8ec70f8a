/** The cgroups of a container on a cgroup v1 or hybrid host: one directory in each hierarchy. */
import { closeSync, constants, existsSync, mkdirSync, openSync } from '../../files.ts';
import { dirname, join } from '../../path.ts';
import { delay } from '../../delay.ts';
import type { Resources } from '../../oci/spec.ts';
import { RunncError, errnoOf, errorMessage } from '../../errors.ts';
import { errnoText, readFileIn, writeFileIn } from './file.ts';
import type { CgroupDoors, CgroupManager, FreezerState } from './index.ts';
import { Cgroup } from './cgroup.ts';
import { cannotMake, isPermission, limitsAsked } from './rootless.ts';
import type { CgroupStats } from './stats.ts';
import { killEach } from './tree.ts';

const FREEZE_TIMEOUT_MS = 10_000;
const OOM_POLL_MS = 1000;

/** Hierarchies without limits. A container does without them where they cannot be had (as in runc). */
const OPTIONAL = new Set(['name=systemd', 'unified', 'misc']);

export class CgroupV1 extends Cgroup implements CgroupManager {
  override async add(pid: number): Promise<void> {
    const joined: Record<string, string> = {};
    const done = new Map<string, boolean>();
    for (const [controller, dir] of Object.entries(this.current.paths)) {
      if (!done.has(dir)) done.set(dir, join1(dir, pid, OPTIONAL.has(controller)));
      if (done.get(dir)) joined[controller] = dir;
    }
    this.current = { ...this.current, paths: joined };
  }

  async freeze(): Promise<void> {
    const dir = this.#freezer();
    // The kernel freezes each process on its own and re-checks only when the file is read or written, so a
    // fork at the wrong moment may leave one out: writing again is the documented way (freezer-subsystem.rst).
    const deadline = performance.now() + FREEZE_TIMEOUT_MS;
    for (let waitMs = 0; ; waitMs = Math.min(waitMs + 1, 10)) {
      writeState(dir, 'FROZEN');
      const state = this.freezerState();
      if (state === 'frozen') return;
      if (state === 'thawed' || performance.now() >= deadline) break;
      await delay(waitMs);
    }
    writeState(dir, 'THAWED');
    throw new RunncError('HOST', `cgroups: the processes in ${dir} could not be frozen`);
  }

  async thaw(): Promise<void> {
    writeState(this.#freezer(), 'THAWED');
  }

  override freezerState(): FreezerState {
    const dir = this.current.paths['freezer'];
    if (dir === undefined) return 'thawed';
    switch (readFileIn(dir, 'freezer.state')?.trim()) {
      case 'FROZEN':
        return 'frozen';
      case 'FREEZING':
        return 'freezing';
      default:
        return 'thawed';
    }
  }

  async stats(): Promise<CgroupStats> {
    const { readStats } = await import('./v1-stats.ts');
    return readStats(this.current.paths);
  }

  oomKills(): number {
    const dir = this.current.paths['memory'];
    const count = dir === undefined ? undefined : readFileIn(dir, 'memory.oom_control');
    return Number(/^oom_kill (\d+)$/m.exec(count ?? '')?.[1] ?? 0);
  }

  async watchOom(onOom: (oomKills: number) => void): Promise<{ close(): void }> {
    let last = this.oomKills();
    const timer = setInterval(() => {
      const now = this.oomKills();
      if (now > last) onOom(now);
      last = now;
    }, OOM_POLL_MS);
    return { close: () => clearInterval(timer) };
  }

  async killAll(): Promise<void> {
    // Whoever is not here cannot come by a fork.
    if (this.pids().length === 0) return;
    // Standing still, none of them can fork away from the list, and no pid on it can be given to another.
    const frozen = await this.freeze().then(
      () => true,
      () => false,
    );
    killEach(this.pids());
    // A frozen process takes even SIGKILL only when it thaws.
    if (frozen) await this.thaw();
  }

  protected override async makeLimited(resources: Resources): Promise<void> {
    this.#make(limitsAsked(resources));
    const { applyDevices, applyLimits } = await import('./v1-limits.ts');
    const { paths, rootless } = this.current;
    if (!rootless) applyDevices(paths['devices'], resources.devices ?? []);
    applyLimits(paths, resources);
  }

  protected override async limit(resources: Resources): Promise<void> {
    const { applyLimits } = await import('./v1-limits.ts');
    applyLimits(this.current.paths, resources);
  }

  /**
   * Not that of the unified hierarchy of a hybrid host: it limits nothing there, and to enter it takes the wait for an
   * RCU grace period that `tasks` files spare.
   */
  protected override entranceFiles(): readonly string[] {
    const files = new Set<string>();
    for (const [name, dir] of Object.entries(this.current.paths)) {
      if (name !== 'unified') files.add(`${dir}/tasks`);
    }
    return [...files];
  }

  protected override openDoors(): CgroupDoors {
    const { unified } = this.current.paths;
    const opened: number[] = [];
    const open = (path: string, flags: number): number => {
      const fd = openSync(path, flags);
      opened.push(fd);
      return fd;
    };
    try {
      const taskFds = this.entranceFiles().map((file) => open(file, constants.O_WRONLY));
      if (unified === undefined) return { taskFds };
      return { taskFds, cloneFd: open(unified, constants.O_RDONLY | constants.O_DIRECTORY) };
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      throw new RunncError('HOST', `cgroups: cannot enter: ${errorMessage(error)}`, { cause: error });
    }
  }

  #make(needed: boolean): void {
    const made: Record<string, string> = {};
    for (const [controller, dir] of Object.entries(this.current.paths)) {
      try {
        mkdirSync(dir, { recursive: true });
        if (controller === 'cpuset') inheritCpuset(dir);
        made[controller] = dir;
      } catch (error) {
        const dispensable =
          OPTIONAL.has(controller) || (this.current.rootless && !needed && isPermission(error));
        if (!dispensable) {
          throw cannotMake(dir, this.current.rootless, error);
        }
      }
    }
    this.current = { ...this.current, paths: made };
  }

  /** The members are the same in all hierarchies. */
  protected override membership(): string | undefined {
    const { paths } = this.current;
    return paths['freezer'] ?? paths['devices'] ?? paths['memory'] ?? Object.values(paths)[0];
  }

  #freezer(): string {
    const dir = this.current.paths['freezer'];
    if (dir === undefined) {
      throw new RunncError('UNSUPPORTED', 'cgroups: the container has no cgroup of the freezer controller');
    }
    return dir;
  }
}

/** Returns false where the hierarchy may be done without and does not let the process in. */
function join1(dir: string, pid: number, optional: boolean): boolean {
  try {
    writeFileIn(dir, 'cgroup.procs', String(pid));
    return true;
  } catch (error) {
    if (optional) return false;
    throw new RunncError('HOST', `cgroups: cannot move process ${pid} into ${dir}: ${errnoText(error)}`, {
      cause: error,
    });
  }
}

function writeState(dir: string, state: 'FROZEN' | 'THAWED'): void {
  try {
    writeFileIn(dir, 'freezer.state', state);
  } catch (error) {
    throw new RunncError(
      errnoOf(error) === 'ENOENT' ? 'NOT_FOUND' : 'HOST',
      `cgroups: cannot write ${state} to ${join(dir, 'freezer.state')}: ${errnoText(error)}`,
      { cause: error },
    );
  }
}

/** A new cpuset has no CPUs and no memory nodes and takes no process: it gets its parent's, from the top. */
function inheritCpuset(dir: string): void {
  const parent = dirname(dir);
  if (!existsSync(join(parent, 'cpuset.cpus'))) return;
  if (isEmpty(parent)) inheritCpuset(parent);
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (readFileIn(dir, file)?.trim() === '') writeFileIn(dir, file, (readFileIn(parent, file) ?? '').trim());
  }
}

function isEmpty(dir: string): boolean {
  return readFileIn(dir, 'cpuset.cpus')?.trim() === '' || readFileIn(dir, 'cpuset.mems')?.trim() === '';
}
