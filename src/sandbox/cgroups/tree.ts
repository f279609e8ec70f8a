/** What is the same for a cgroup directory of any version: its processes, its children, its end. */
import { foldersIn, rmdirSync } from '../../files.ts';
import { delay } from '../../delay.ts';
import { RunncError, errnoOf } from '../../errors.ts';
import { errnoText, readFileIn } from './file.ts';
import { lines } from './format.ts';

/** How long `remove` waits for the last processes to leave. */
const REMOVE_TIMEOUT_MS = 5000;

/** The processes in a cgroup and below it. */
export function pidsBelow(dir: string): readonly number[] {
  const processes = readFileIn(dir, 'cgroup.procs');
  if (processes === undefined) return [];
  const pids = lines(processes).map(Number);
  for (const child of children(dir)) pids.push(...pidsBelow(child));
  // 0 stands for a process that this pid namespace cannot see.
  return pids.filter((pid) => pid > 0);
}

/**
 * Removes the cgroups and all below them; what is not there is fine.
 *
 * @throws RunncError HOST when one of them is still in use after 5 s; the others are gone then.
 */
export async function removeAll(dirs: readonly string[]): Promise<void> {
  const deadline = performance.now() + REMOVE_TIMEOUT_MS;
  let failure: unknown;
  for (const dir of dirs) {
    try {
      await remove(dir, deadline);
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

/** Removes the cgroups that hold nothing; for undoing what was just made, so without waiting or complaint. */
export function removeEmpty(dirs: readonly string[]): void {
  for (const dir of new Set(dirs)) {
    try {
      rmdirSync(dir);
    } catch {
      // Never made, or somebody else's by now.
    }
  }
}

async function remove(dir: string, deadline: number): Promise<void> {
  // A killed process leaves its cgroup some time after its parent saw it end, and on cgroup v1 nothing tells
  // when: a bounded loop is all there is.
  for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, 100)) {
    try {
      removeTree(dir);
      return;
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY' || performance.now() >= deadline) {
        throw new RunncError('HOST', `cgroups: cannot remove ${dir}: ${errnoText(error)}${inUseBy(dir)}`, {
          cause: error,
        });
      }
    }
    await delay(waitMs);
  }
}

function removeTree(dir: string): void {
  try {
    // Nearly always without children: one call instead of a walk.
    rmdirSync(dir);
    return;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    if (errnoOf(error) !== 'EBUSY') throw error;
  }
  for (const child of children(dir)) removeTree(child);
  try {
    rmdirSync(dir);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function inUseBy(dir: string): string {
  const pids = pidsBelow(dir);
  return pids.length === 0 ? '' : `, it holds processes ${pids.slice(0, 5).join(', ')}`;
}

function children(dir: string): readonly string[] {
  try {
    return foldersIn(dir).map((name) => `${dir}/${name}`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return [];
    throw new RunncError('HOST', `cgroups: cannot read ${dir}: ${errnoText(error)}`, { cause: error });
  }
}

/** SIGKILL to each; a process that is gone is what was wanted. */
export function killEach(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') {
        throw new RunncError('HOST', `cgroups: cannot kill process ${pid}: ${errnoText(error)}`, {
          cause: error,
        });
      }
    }
  }
}
