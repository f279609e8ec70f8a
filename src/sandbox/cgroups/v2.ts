/** The cgroup of a container on a cgroup v2 host: one directory. */
import { constants, mkdirSync, openSync } from '../../files.ts';
import { join } from '../../path.ts';
import type { Resources } from '../../oci/spec.ts';
import { RunncError, errnoOf } from '../../errors.ts';
import { errnoText, readFileIn, writeFileIn } from './file.ts';
import { parseFlat } from './format.ts';
import type { CgroupDoors, CgroupManager, FreezerState } from './index.ts';
import { Cgroup } from './cgroup.ts';
import { cannotMake, isPermission, limitsAsked } from './rootless.ts';
import type { CgroupStats } from './stats.ts';
import { killEach } from './tree.ts';

const FREEZE_TIMEOUT_MS = 10_000;

export class CgroupV2 extends Cgroup implements CgroupManager {
  override async add(pid: number): Promise<void> {
    const dir = this.membership();
    if (dir === undefined) return;
    try {
      writeFileIn(dir, 'cgroup.procs', String(pid));
    } catch (error) {
      throw new RunncError('HOST', `cgroups: cannot move process ${pid} into ${dir}: ${errnoText(error)}`, {
        cause: error,
      });
    }
  }

  freeze(): Promise<void> {
    return setFrozen(this.#dir(), true);
  }

  thaw(): Promise<void> {
    return setFrozen(this.#dir(), false);
  }

  override freezerState(): FreezerState {
    const dir = this.membership();
    if (dir === undefined || readFileIn(dir, 'cgroup.freeze')?.trim() !== '1') return 'thawed';
    return isFrozen(dir) ? 'frozen' : 'freezing';
  }

  async stats(): Promise<CgroupStats> {
    const { readStats } = await import('./v2-stats.ts');
    return readStats(this.membership());
  }

  oomKills(): number {
    const dir = this.membership();
    return dir === undefined ? 0 : (parseFlat(readFileIn(dir, 'memory.events'))['oom_kill'] ?? 0);
  }

  async watchOom(onOom: (oomKills: number) => void): Promise<{ close(): void }> {
    const dir = this.membership();
    if (dir === undefined) return { close: () => undefined };
    const { watchFile } = await import('./v2-watch.ts');
    let last = this.oomKills();
    return watchFile(join(dir, 'memory.events'), () => {
      const now = this.oomKills();
      if (now > last) onOom(now);
      last = now;
    });
  }

  async killAll(): Promise<void> {
    const dir = this.membership();
    if (dir === undefined) return;
    try {
      // The whole tree at once, forks included, and frozen or not.
      writeFileIn(dir, 'cgroup.kill', '1');
      return;
    } catch (error) {
      // Before Linux 5.14 there is no such file; or there is no cgroup any more.
      if (errnoOf(error) !== 'ENOENT') {
        throw new RunncError(
          'HOST',
          `cgroups: cannot write 1 to ${join(dir, 'cgroup.kill')}: ${errnoText(error)}`,
          {
            cause: error,
          },
        );
      }
    }
    // Standing still, none of them can fork away from the list; a frozen process takes SIGKILL here.
    await this.freeze().catch(() => undefined);
    killEach(this.pids());
  }

  /** linux.resources.devices would need an eBPF program; see v2-limits.ts for why there is none. */
  protected override async makeLimited(resources: Resources): Promise<void> {
    this.#make(limitsAsked(resources));
    if (this.membership() !== undefined) await this.#apply(resources);
  }

  protected override async limit(resources: Resources): Promise<void> {
    if (limitsAsked(resources)) await this.#apply(resources);
  }

  protected override entranceFiles(): readonly string[] {
    const dir = this.membership();
    return dir === undefined ? [] : [join(dir, 'cgroup.procs')];
  }

  protected override openDoors(): CgroupDoors {
    return { taskFds: [], cloneFd: openSync(this.#dir(), constants.O_RDONLY | constants.O_DIRECTORY) };
  }

  protected override membership(): string | undefined {
    return this.current.paths['unified'];
  }

  async #apply(resources: Resources): Promise<void> {
    const { applyLimits } = await import('./v2-limits.ts');
    applyLimits(this.#dir(), resources);
  }

  #make(needed: boolean): void {
    const dir = this.#dir();
    try {
      mkdirSync(dir, { recursive: true });
      const busy = enableControllers(dir);
      if (busy !== undefined && needed) throw holdsProcesses(dir, busy);
      refuseInvalid(dir);
    } catch (error) {
      if (error instanceof RunncError) throw error;
      if (this.current.rootless && !needed && isPermission(error)) {
        this.current = { ...this.current, paths: {} };
        return;
      }
      throw cannotMake(dir, this.current.rootless, error);
    }
  }

  #dir(): string {
    const dir = this.membership();
    if (dir === undefined) throw new RunncError('UNSUPPORTED', 'cgroups: the container has no cgroup');
    return dir;
  }
}

/**
 * Each cgroup above must hand its controllers down. Those that it cannot are missed only if a limit needs them.
 *
 * @returns a cgroup above that can hand none down, because it holds processes of its own.
 */
function enableControllers(dir: string): string | undefined {
  let busy: string | undefined;
  for (const parent of ancestors(dir)) {
    const controllers = (readFileIn(parent, 'cgroup.controllers') ?? '').trim().split(' ').filter(Boolean);
    const enabled = new Set((readFileIn(parent, 'cgroup.subtree_control') ?? '').trim().split(' '));
    const missing = controllers.filter((controller) => !enabled.has(controller));
    // The kernel would take some of them (cpu, pids) even so, and turn the cgroup into a threaded one: no process
    // could get into any cgroup below it any more, ours or not (cgroup-v2.rst, "Threads").
    if (missing.length > 0 && holdsOwnProcesses(parent)) {
      busy ??= parent;
      continue;
    }
    for (const controller of missing) {
      try {
        writeFileIn(parent, 'cgroup.subtree_control', `+${controller}`);
      } catch {
        // One at a time, because the kernel takes all of a write or nothing: a foreign cgroup (EACCES), or one that
        // a process has got into since (EBUSY), is no reason to go without the others.
      }
    }
  }
  return busy;
}

/** The root, which has no type, may hold processes and hand down controllers. */
function holdsOwnProcesses(dir: string): boolean {
  if (readFileIn(dir, 'cgroup.type') === undefined) return false;
  return (readFileIn(dir, 'cgroup.procs') ?? '').trim() !== '';
}

function holdsProcesses(dir: string, parent: string): RunncError {
  return new RunncError(
    'HOST',
    `linux.cgroupsPath: ${dir} can have no limits, because ${parent} above it holds processes of its own; move them, or give the container another path`,
  );
}

/** Someone made a cgroup above a threaded one. */
function refuseInvalid(dir: string): void {
  if (readFileIn(dir, 'cgroup.type')?.trim() !== 'domain invalid') return;
  throw new RunncError(
    'HOST',
    `linux.cgroupsPath: no process can get into ${dir}, because a cgroup above it is threaded`,
  );
}

/** The cgroups above, from the mount's root on. */
function ancestors(dir: string): readonly string[] {
  const parts = dir.split('/').slice(1, -1);
  return parts
    .map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
    .filter((path) => readFileIn(path, 'cgroup.subtree_control') !== undefined);
}

async function setFrozen(dir: string, frozen: boolean): Promise<void> {
  const file = join(dir, 'cgroup.freeze');
  try {
    writeFileIn(dir, 'cgroup.freeze', frozen ? '1' : '0');
  } catch (error) {
    throw new RunncError(
      errnoOf(error) === 'ENOENT' ? 'NOT_FOUND' : 'HOST',
      `cgroups: cannot write ${file}: ${errnoText(error)}`,
      { cause: error },
    );
  }
  if (!frozen || isFrozen(dir)) return;
  const { happens } = await import('./v2-watch.ts');
  if (await happens(join(dir, 'cgroup.events'), () => isFrozen(dir), FREEZE_TIMEOUT_MS)) return;
  writeFileIn(dir, 'cgroup.freeze', '0');
  throw new RunncError('HOST', `cgroups: the processes in ${dir} could not be frozen`);
}

function isFrozen(dir: string): boolean {
  return parseFlat(readFileIn(dir, 'cgroup.events'))['frozen'] === 1;
}
