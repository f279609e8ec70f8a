/**
 * Naming a process so that the name cannot come to mean another one: a pid is reused, a pid with its start time
 * is not, and a pidfd never.
 */
import { closeSync, readIfThere } from '../files.ts';
import { errnoOf } from '../errors.ts';
import { pidfdOpen } from '../native.ts';

export interface ProcessStat {
  /** comm; a program executed by a process gives it a new one. */
  readonly name: string;
  /** 'R', 'S', 'Z' and so on, proc_pid_stat(5). */
  readonly state: string;
  readonly parentPid: number;
  /** Clock ticks since boot; field 22. */
  readonly startTime: bigint;
}

/** /proc/PID/stat; undefined if there is no such process. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string | undefined;
  try {
    text = readIfThere(`/proc/${String(pid)}/stat`, 'latin1');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
  if (text === undefined) return undefined;
  // The name in parentheses may itself hold spaces and parentheses: fields count from the last one.
  const nameEnd = text.lastIndexOf(')');
  const fields = text.slice(nameEnd + 2).split(' ');
  return {
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    state: fields[0] ?? '',
    parentPid: Number(fields[1]),
    startTime: BigInt(fields[19] ?? '0'),
  };
}

/**
 * A pidfd of the process that had this pid and start time; undefined if that one is gone (a zombie is not gone).
 * The caller closes it.
 */
export function openProcess(pid: number, startTime: bigint): number | undefined {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(pid);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH' || errnoOf(error) === 'EINVAL') return undefined;
    throw error;
  }
  // Compared after the pidfd is open: from here on the pid cannot be given to another process unnoticed.
  if (processStat(pid)?.startTime === startTime) return pidfd;
  closeSync(pidfd);
  return undefined;
}

/** Names (comm) of what is in the container's cgroups but none of its programs: tender/control's broker, tender/fileserver. */
export const HELPER_NAMES: readonly string[] = ['runnc-broker', 'runnc-files'];

/** The name (comm) that init gives itself and keeps until it executes the tender. */
export const INIT_NAME = 'runnc-init';
