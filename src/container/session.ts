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
  type SocketMessage,
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
    const messages = new Messages(report);
    let proxy: SpawnedProcess | undefined;
    try {
      proxy = reported(await messages.next(options.unwanted));
      if (proxy === undefined) throw endedEarly();
      started(await messages.next(options.unwanted));
      options.onStarted?.(proxy.pid);
      acknowledge(report);
      await reap(first);
      return running(proxy);
    } catch (error) {
      // They would end by themselves when they find the report closed; but who is not buried holds up the container's end.
      await bury(first);
      proxy ??= reported(await messages.next(late()).catch(() => undefined));
      if (proxy !== undefined) await bury(proxy);
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

/** What tender/control/report.c says. */
class Messages {
  readonly #socket: number;
  /** One that nobody waited for to its end is the next one's. */
  #pending: Promise<SocketMessage> | undefined;

  constructor(socket: number) {
    this.#socket = socket;
  }

  async next(unwanted?: Promise<never>): Promise<SocketMessage> {
    this.#pending ??= receiveMessage(this.#socket, REPORT_HOLD_MS);
    const message = await (unwanted === undefined ? this.#pending : Promise.race([this.#pending, unwanted]));
    this.#pending = undefined;
    return message;
  }
}

/** The proxy, which says that it is there before all else; undefined: there is none and will be none. */
function reported(message: SocketMessage | undefined): SpawnedProcess | undefined {
  if (message === undefined) return undefined;
  const { data, senderPid } = message;
  if (data.toString('latin1', 0, 1) === 'F') throw failure(data);
  return data.length === 0 || senderPid === undefined
    ? undefined
    : { pid: senderPid, pidfd: pidfdOpen(senderPid) };
}

/** Throws what it says in place of having started. */
function started({ data }: SocketMessage): void {
  switch (data.toString('latin1', 0, 1)) {
    case 'S':
      return;
    case 'R':
      throw new SessionRefused(data[1] ?? 0, data.readUInt16LE(2));
    case 'F':
      throw failure(data);
    default:
      throw endedEarly();
  }
}

function failure(data: Buffer): RunncError {
  return new RunncError('HOST', `exec failed: ${data.toString('utf8', 1)}`);
}

function endedEarly(): RunncError {
  return new RunncError(
    'STATE',
    'exec failed: the container or the proxy ended before the program was started: container not running',
  );
}

/** A frozen one cannot even die; it does when it is thawed. */
const BURIAL_MS = 2000;

function late(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => {
      reject(new RunncError('STATE', 'exec failed: the proxy does not end'));
    }, BURIAL_MS).unref();
  });
}

async function bury(process: SpawnedProcess): Promise<void> {
  signalProxy(process, SIGKILL);
  await Promise.race([reap(process), late()]).catch(() => undefined);
}
