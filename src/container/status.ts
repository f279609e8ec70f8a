/** What a container is doing, as the kernel sees it: a record that was not brought up to date cannot be wrong. */
import type { State, Status } from '../oci/state.ts';
import { openCgroup } from '../sandbox/cgroups/index.ts';
import { INIT_NAME, type ProcessStat, processStat } from '../sandbox/process.ts';
import type { ContainerRecord } from './record.ts';

export async function statusOf(record: ContainerRecord): Promise<Status> {
  const stat = liveProcess(record);
  if (stat === undefined) return 'stopped';
  if (!record.complete) return 'creating';
  if ((await openCgroup(record.cgroup)).freezerState() !== 'thawed') return 'paused';
  // The tender takes its own name when init executes it.
  return stat.name === INIT_NAME ? 'created' : 'running';
}

/** It has a Linux guest that runs, and can answer on its control channel. */
export async function canBeAsked(record: ContainerRecord): Promise<boolean> {
  return record.controlFd !== undefined && (await statusOf(record)) === 'running';
}

/** The container's process, if it has not ended; a zombie has. */
export function liveProcess(record: ContainerRecord): ProcessStat | undefined {
  const stat = processStat(record.pid);
  if (stat === undefined || stat.startTime.toString() !== record.startTime) return undefined;
  return stat.state === 'Z' || stat.state === 'X' ? undefined : stat;
}

/** The state as hooks and callers get it. */
export function ociState(record: ContainerRecord, status: Status): State {
  return {
    ociVersion: record.ociVersion,
    id: record.id,
    status,
    pid: status === 'stopped' ? 0 : record.pid,
    bundle: record.bundle,
    ...(record.annotations === undefined ? {} : { annotations: record.annotations }),
  };
}
