/**
 * Ends and removes a container in whatever state it is, also one whose creation was cut short at any point.
 * What can be left of it: its process (and, should a guest ever have more, everything in its cgroups), cgroups, a
 * claimed uid, its folders, and what it took from a network namespace that it shares. Mounts and taps end with the process.
 */
import { closeSync } from '../files.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { isReadable, pidfdSendSignal, waitReadable } from '../native.ts';
import { type CgroupManager, openCgroup } from '../sandbox/cgroups/index.ts';
import { openProcess } from '../sandbox/process.ts';
import { releaseAllUids, releaseUid } from '../sandbox/sandbox-uid.ts';
import { removeOwnData } from './own-data.ts';
import type { ContainerRecord } from './record.ts';
import { liveProcess, ociState } from './status.ts';
import type { LockedContainer } from './store.ts';

/** A killed process can be long in leaving when it waits for a disk; then it is for the user to decide. */
const EXIT_TIMEOUT_MS = 10_000;

/** Before whatever else is in its cgroups is killed too: it may be waiting for that. */
const ALONE_TIMEOUT_MS = 100;

/** It nearly always leaves within one or two milliseconds. */
const EXIT_HOLD_MS = 5;

const SIGKILL = 9;

/** The lock must be held. Warnings are failures of poststop hooks. */
export async function destroy(
  locked: LockedContainer,
  onWarning: ((message: string) => void) | undefined,
): Promise<void> {
  const record = locked.read();
  if (record !== undefined) {
    const cgroup = await openCgroup(record.cgroup);
    const namespaceFd = await openNamespace(record);
    await killProcess(record, cgroup);
    reached('process-killed');
    if (namespaceFd !== undefined && record.network !== undefined) {
      try {
        (await import('../network/restore.ts')).restoreNetwork(namespaceFd, record.network, onWarning);
      } finally {
        closeSync(namespaceFd);
      }
    }
    await cgroup.delete();
    reached('cgroup-removed');
    await runPoststopHooks(record, onWarning);
    reached('poststop-hooks-run');
  }
  if (record?.sandboxUid !== undefined) releaseUid(record.sandboxUid, locked.folder);
  else releaseAllUids(locked.folder);
  reached('uid-released');
  await removeOwnData(locked.folder);
  await locked.remove();
}

/** Before the process is killed: it may be the only one to know the way. */
async function openNamespace(record: ContainerRecord): Promise<number | undefined> {
  if (record.network === undefined) return undefined;
  const { openNamespace } = await import('../network/restore.ts');
  return openNamespace(record.network, liveProcess(record) === undefined ? undefined : record.pid);
}

/**
 * By its pidfd first: it may have been cut off before it was put into the cgroups. Until the container is complete there
 * is nothing in them but that process, and somebody else may have taken the same cgroups between our look and our entry.
 */
async function killProcess(record: ContainerRecord, cgroup: CgroupManager): Promise<void> {
  const killAll = async (): Promise<void> => {
    if (record.complete) await cgroup.killAll();
  };
  const pidfd = openProcess(record.pid, BigInt(record.startTime));
  if (pidfd === undefined) {
    await killAll();
    return;
  }
  try {
    try {
      pidfdSendSignal(pidfd, SIGKILL);
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
    // A frozen process dies only once it is thawed, which killAll does. Any other dies now, and mostly nobody is left
    // then: killAll would try to freeze one that is dying, which takes milliseconds.
    if (cgroup.freezerState() === 'thawed') await endsInTime(pidfd, ALONE_TIMEOUT_MS);
    await killAll();
    if (liveProcess(record) === undefined) return;
    if (!(await endsInTime(pidfd, EXIT_TIMEOUT_MS))) {
      throw new RunncError(
        'HOST',
        `process ${String(record.pid)} does not end after SIGKILL: try again later`,
      );
    }
  } finally {
    closeSync(pidfd);
  }
}

async function endsInTime(pidfd: number, timeoutMs: number): Promise<boolean> {
  if (isReadable(pidfd, EXIT_HOLD_MS)) return true;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([waitReadable(pidfd).then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Failures only warn (runtime-spec runtime.md, "Lifecycle"). */
async function runPoststopHooks(
  record: ContainerRecord,
  onWarning: ((message: string) => void) | undefined,
): Promise<void> {
  const hooks = record.hooks.poststop;
  if (hooks.length === 0) return;
  const { runHooks } = await import('../oci/hooks.ts');
  for (const hook of hooks) {
    await runHooks('poststop', [hook], ociState(record, 'stopped')).catch((error: unknown) => {
      onWarning?.(errorMessage(error));
    });
  }
}
