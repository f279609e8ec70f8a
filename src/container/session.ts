/**
 * A session of the control channel: a proxy (tender/control) is started, asks the guest for what the request says, and
 * stays with it to its end. docs/control.md has the whole picture.
 */
import { readAsset } from '../assets.ts';
import { errnoOf, RunncError } from '../errors.ts';
import { closeSync, constants, openSync } from '../files.ts';
import {
  type ExitStatus,
  pidfdGetfd,
  pidfdOpen,
  pidfdSendSignal,
  receiveMessage,
  sealedMemfd,
  sendMessage,
  socketPair,
  spawn,
  type SpawnedProcess,
  waitExit,
} from '../native.ts';
import { openCgroup } from '../sandbox/cgroups/index.ts';
import { openProcess } from '../sandbox/process.ts';
import { encodeProxyPlan, type ProxyPlan } from './exec-plan.ts';
import type { ContainerRecord } from './record.ts';

export interface SessionOptions {
  /** From encodeSessionRequest() or encodeQuestion(). */
  readonly request: Uint8Array;
  /** The proxy's, for ps. */
  readonly argv: readonly string[];
  /** Of the proxy; the caller keeps its own. Unused with a terminal. */
  readonly stdio: readonly [number, number, number];
  readonly terminal?: ProxyPlan['terminal'];
  /** With a terminal: a connected socket that gets its master. */
  readonly consoleFd?: number;
  /** The program runs; what this throws ends it. */
  readonly onStarted?: (pid: number) => void;
  /** Rejects when nobody wants it any more: as long as it has not started it is ended, and that error thrown. */
  readonly unwanted?: Promise<never>;
}

/** The proxy of a session that has begun. It is this process's child and outlives it. */
export interface Session {
  /** On the host. */
  readonly pid: number;
  /** Passed on to the program; SIGKILL ends it too. */
  kill(signal: number): void;
  /** Waits for the end: the program's exit status, 128 and the number for a signal. Once only. */
  wait(): Promise<ExitStatus>;
}

/** The guest could not do it. */
export class SessionRefused extends Error {
  /** enum runnc_control_stage. */
  readonly stage: number;
  /** Of Linux. */
  readonly errno: number;

  constructor(stage: number, errno: number) {
    super(`the guest refuses: stage ${String(stage)}, errno ${String(errno)}`);
    this.stage = stage;
    this.errno = errno;
  }
}

/** Throws SessionRefused, STATE, HOST; nothing is left behind then. `folder` is the container's. */
export async function startSession(
  record: ContainerRecord,
  folder: string,
  options: SessionOptions,
): Promise<Session> {
  const opened: number[] = [];
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const { first, report } = await startProxy(record, folder, options, keep);
    const processes = [first];
    try {
      const pid = await started(report, options.unwanted);
      const proxy = { pid, pidfd: pidfdOpen(pid) };
      processes.push(proxy);
      options.onStarted?.(pid);
      acknowledge(report);
      await reap(first);
      return running(proxy);
    } catch (error) {
      // They end by themselves when they find the report closed; this way they are gone when the caller hears of it.
      for (const one of processes) signalProxy(one, SIGKILL);
      await Promise.all(processes.map(reap));
      throw error;
    }
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

const SIGKILL = 9;

function running(proxy: SpawnedProcess): Session {
  // Once it is reaped its descriptor is closed, and the number may be another one's.
  let isReaped = false;
  return {
    pid: proxy.pid,
    kill: (signal) => {
      if (!isReaped) signalProxy(proxy, signal);
    },
    wait: async () => {
      const status = await waitExit(proxy.pidfd, EXIT_HOLD_MS);
      isReaped = true;
      closeSync(proxy.pidfd);
      return status;
    },
  };
}

interface StartedProxy {
  /** Makes the proxy, a child of ours too, and ends. */
  readonly first: SpawnedProcess;
  /** Our end of the conversation. */
  readonly report: number;
}

async function startProxy(
  record: ContainerRecord,
  folder: string,
  { request, argv, stdio, terminal, consoleFd }: SessionOptions,
  keep: (fd: number) => number,
): Promise<StartedProxy> {
  const container = keep(openContainer(record));
  const channel = keep(openChannel(record, container));
  const entrances = (await openCgroup(record.cgroup)).entrances();
  entrances.forEach(keep);
  const plan = encodeProxyPlan({
    ...(record.sandboxUid === undefined ? {} : { uid: record.sandboxUid }),
    ...(terminal === undefined ? {} : { terminal }),
    taskFds: entrances.length,
    request,
  });
  const [report, proxyReport] = socketPair();
  keep(report);
  try {
    const folderFd = keep(openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY));
    const planFd = keep(sealedMemfd('runnc-exec-plan', plan, 'data'));
    const first = spawn({
      executableFd: keep(sealedMemfd('runnc-exec', await readAsset('control'), 'executable')),
      argv,
      environment: [],
      descriptors: [
        ...stdio,
        proxyReport,
        folderFd,
        channel,
        planFd,
        container,
        consoleFd ?? planFd,
        ...entrances,
      ],
    });
    return { first, report };
  } finally {
    // As long as we hold it, the proxy's end cannot be seen.
    closeSync(proxyReport);
  }
}

/** A pidfd of its process. */
function openContainer({ pid, startTime }: ContainerRecord): number {
  const pidfd = openProcess(pid, BigInt(startTime));
  if (pidfd === undefined) throw new RunncError('STATE', 'cannot exec a container that has stopped');
  return pidfd;
}

/** The runtime's end of the control channel, out of the container's process. */
function openChannel({ controlFd = -1 }: ContainerRecord, pidfd: number): number {
  try {
    return pidfdGetfd(pidfd, controlFd);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') throw new RunncError('STATE', 'cannot exec a container that has stopped');
    throw new RunncError(
      'HOST',
      `exec: the container's control channel cannot be taken (pidfd_getfd: ${errnoOf(error) ?? String(error)}): ` +
        'this takes the user who created the container, or CAP_SYS_PTRACE, and kernel.yama.ptrace_scope below 3',
      { cause: error },
    );
  }
}

function reap({ pidfd }: SpawnedProcess): Promise<ExitStatus> {
  return waitExit(pidfd, EXIT_HOLD_MS).finally(() => closeSync(pidfd));
}

function signalProxy({ pidfd }: SpawnedProcess, signal: number): void {
  try {
    pidfdSendSignal(pidfd, signal);
  } catch (error) {
    // It may have ended a moment ago.
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** A proxy that has ended meanwhile has nothing to be told. */
function acknowledge(report: number): void {
  try {
    sendMessage(report, Buffer.from('A'));
  } catch (error) {
    if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'ECONNRESET') throw error;
  }
}

/** It comes within a few milliseconds, mostly. */
const REPORT_HOLD_MS = 50;

/** Programs that end at once are waited for on the spot. */
const EXIT_HOLD_MS = 2;

/** What tender/control/report.c says. The pid of the proxy. */
async function started(report: number, unwanted: Promise<never> | undefined): Promise<number> {
  const message = receiveMessage(report, REPORT_HOLD_MS);
  const { data, senderPid } = await (unwanted === undefined ? message : Promise.race([message, unwanted]));
  switch (data.toString('latin1', 0, 1)) {
    case 'S':
      if (senderPid === undefined) throw new RunncError('INTERNAL', 'exec: the proxy has no pid');
      return senderPid;
    case 'R':
      throw new SessionRefused(data[1] ?? 0, data.readUInt16LE(2));
    case 'F':
      throw new RunncError('HOST', `exec failed: ${data.toString('utf8', 1)}`);
    default:
      throw new RunncError(
        'STATE',
        'exec failed: the container or the proxy ended before the program was started: container not running',
      );
  }
}
