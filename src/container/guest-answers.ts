/** What a Linux guest kernel says of itself (tender/common/abi/runnc_control.h), checked: the guest may lie, and does not have to make sense. */
import { RunncError } from '../errors.ts';

/** The guest's own account of its memory, in bytes. */
export interface GuestMemory {
  /** What it may have in all. */
  readonly limit: number;
  readonly used: number;
  /** Of what is used: programs' memory, the data of files in memory, and what the kernel itself needs. */
  readonly programs: number;
  readonly files: number;
  readonly kernel: number;
  /** What programs could write to, touched or not. */
  readonly committed: number;
  /** Processes that were ended for want of memory. */
  readonly oomKills: number;
}

/** What a Linux guest has to say of itself. */
export interface GuestStats {
  readonly memory: GuestMemory;
  readonly processes: number;
}

/** A process inside a Linux guest. */
export interface GuestProcess {
  /** In the guest, like parentPid (0: it has none there). */
  readonly pid: number;
  readonly parentPid: number;
  readonly uid: number;
  /** As proc_pid_stat(5) has it. */
  readonly state: 'R' | 'S' | 'T' | 'Z';
  /** "pts/0", "console"; absent: none. */
  readonly tty?: string;
  readonly cpuMs: number;
  /** Since its start. */
  readonly ageMs: number;
  readonly memoryKib: number;
  readonly threads: number;
  /** Bytes that are no UTF-8 are replaced. */
  readonly args: readonly string[];
}

/** Throws HOST for an answer that is none. */
export function parseMemory(answer: Buffer): GuestStats {
  const values = new Map<string, number>();
  for (const line of answer.toString('latin1').split('\n')) {
    const [, name, number] = /^([a-z_]{1,32}) (\d{1,20})$/.exec(line) ?? [];
    if (name !== undefined) values.set(name, Number(number));
  }
  const value = (name: string): number => {
    const found = values.get(name);
    if (found === undefined) throw nonsense();
    return found;
  };
  return {
    memory: {
      limit: value('limit'),
      used: value('used'),
      programs: value('programs'),
      files: value('files'),
      kernel: value('kernel'),
      committed: value('committed'),
      oomKills: value('oom_kills'),
    },
    processes: value('processes'),
  };
}

const HEAD =
  /^(\d{1,10}) (\d{1,10}) (\d{1,10}) ([RSTZ]) (\d{1,20}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,10}) (\d{1,4})$/;
const NEWLINE = 10;

/** Throws HOST for an answer that is none. */
export function parseProcesses(answer: Buffer): readonly GuestProcess[] {
  const processes: GuestProcess[] = [];
  for (let at = 0; at < answer.length;) {
    const end = answer.indexOf(NEWLINE, at);
    const head = HEAD.exec(answer.toString('latin1', at, end < 0 ? at : end));
    if (head === null) throw nonsense();
    const [pid, parentPid, uid, , tty, cpuMs, ageMs, memoryKib, threads, length] = head
      .slice(1)
      .map(Number) as [number, number, number, number, number, number, number, number, number, number];
    const command = answer.subarray(end + 1, end + 1 + length);
    if (command.length < length || answer[end + 1 + length] !== NEWLINE) throw nonsense();
    const name = terminalName(tty);
    processes.push({
      pid,
      parentPid,
      uid,
      state: head[4] as GuestProcess['state'],
      ...(name === undefined ? {} : { tty: name }),
      cpuMs,
      ageMs,
      memoryKib,
      threads,
      args: command.toString('utf8').replace(/\0+$/, '').split('\0'),
    });
    at = end + 1 + length + 1;
  }
  return processes;
}

const PTS_MAJOR = 136;

/** From its device number, as stat(2) encodes it. */
function terminalName(device: number): string | undefined {
  if (device === 0) return undefined;
  const major = (device >> 8) & 0xfff;
  return major === PTS_MAJOR ? `pts/${String(device & 0xff)}` : 'console';
}

function nonsense(): RunncError {
  return new RunncError('HOST', "the guest's answer on its control channel makes no sense");
}
