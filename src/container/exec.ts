/**
 * A program beside the container's own one. The Linux guest kernel makes the process; on the host a small proxy stands
 * for it (tender/control), which this starts and which does the rest. docs/control.md has the whole picture.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { readAsset } from '../assets.ts';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import { resolveUser } from '../guest/accounts.ts';
import { credentialsOf, environment, rlimitsOf } from '../guest/linux.ts';
import { encodeSessionRequest } from '../guest/session-request.ts';
import {
  connectUnix,
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
import type { RunnableProcess } from '../oci/spec-rules.ts';
import type { Process } from '../oci/spec.ts';
import { openCgroup } from '../sandbox/cgroups/index.ts';
import { openProcess } from '../sandbox/process.ts';
import { encodeProxyPlan } from './exec-plan.ts';
import { writePidFile } from './pid-file.ts';
import type { ContainerRecord } from './record.ts';
import { statusOf } from './status.ts';

export interface ExecOptions {
  /** As config.json's process. */
  readonly process: RunnableProcess;
  /** Standard input, output and error; default: 0, 1, 2. The caller keeps its own. Unused with a terminal. */
  readonly stdio?: readonly [number, number, number];
  /** A UNIX socket that gets the master of the terminal: its path, or a descriptor connected to it. */
  readonly consoleSocket?: string | number;
  /** Gets the pid, decimal, without a newline, once the program runs. */
  readonly pidFile?: string;
  /** Go on although the container is paused: the program starts when it is resumed. */
  readonly ignorePaused?: boolean;
}

/** The proxy of a program that runs. It is this process's child and outlives it. */
export interface ExecProcess {
  /** On the host. */
  readonly pid: number;
  /** Passed on to the program; SIGKILL ends it too. */
  kill(signal: number): void;
  /** Waits for the program's end: its exit status, 128 and the number for a signal. Once only. */
  wait(): Promise<ExitStatus>;
}

const O_PATH = 0o10000000;

/**
 * Starts the program. `folder` is the container's.
 *
 * Throws STATE, UNSUPPORTED for a guest without a control channel, EXEC_NOT_FOUND, EXEC_DENIED, INVALID, HOST; nothing
 * is left behind then.
 */
export async function execInContainer(
  record: ContainerRecord,
  folder: string,
  options: ExecOptions,
): Promise<ExecProcess> {
  await checkStatus(record, options);
  const opened: number[] = [];
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const { first, report } = await startProxy(record, folder, options, keep);
    const processes = [first];
    try {
      const pid = await started(report, options.process);
      const proxy = { pid, pidfd: pidfdOpen(pid) };
      processes.push(proxy);
      if (options.pidFile !== undefined) writePidFile(options.pidFile, pid);
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

function running(proxy: SpawnedProcess): ExecProcess {
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

/** Throws UNSUPPORTED for a guest that runs one program. */
export function checkSupport(record: ContainerRecord): void {
  if (record.controlFd !== undefined) return;
  throw new RunncError(
    'UNSUPPORTED',
    'exec: not supported by this guest: a unikernel runs one program and no second one beside it',
  );
}

async function checkStatus(record: ContainerRecord, { ignorePaused = false }: ExecOptions): Promise<void> {
  checkSupport(record);
  const status = await statusOf(record);
  if (status === 'stopped') throw new RunncError('STATE', 'cannot exec a container that has stopped');
  if (status === 'paused' && !ignorePaused) {
    throw new RunncError('STATE', 'cannot exec in a paused container (use --ignore-paused to override)');
  }
  if (status === 'created' || status === 'creating') {
    throw new RunncError('STATE', 'cannot exec in a container that was not started: container not running');
  }
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
  options: ExecOptions,
  keep: (fd: number) => number,
): Promise<StartedProxy> {
  const { process } = options;
  const terminal = process.terminal === true ? consoleSize(process) : undefined;
  const stdio = options.stdio ?? [0, 1, 2];
  const consoleFd = consoleSocket(options, keep);
  const request = sessionRequest(record, options, stdio, keep);
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
      executableFd: keep(sealedMemfd('runnc-exec', readAsset('control'), 'executable')),
      // For ps: the program that it stands for.
      argv: process.args.slice(0, MAX_SHOWN_ARGUMENTS),
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

const MAX_SHOWN_ARGUMENTS = 100;

function consoleSize({ consoleSize }: Process): { readonly rows: number; readonly columns: number } {
  return { rows: consoleSize?.height ?? 0, columns: consoleSize?.width ?? 0 };
}

function consoleSocket(
  { consoleSocket, process }: ExecOptions,
  keep: (fd: number) => number,
): number | undefined {
  if (process.terminal !== true) {
    if (typeof consoleSocket !== 'string') return undefined;
    throw new RunncError('INVALID', '--console-socket: the process does not ask for a terminal (--tty)');
  }
  if (consoleSocket === undefined) {
    throw new RunncError('INVALID', 'a terminal needs --console-socket to hand it over, or no --detach');
  }
  if (typeof consoleSocket === 'number') return consoleSocket;
  const path = resolve(consoleSocket);
  try {
    return keep(connectUnix(keep(openSync(dirname(path), O_PATH)), basename(path)));
  } catch (error) {
    throw new RunncError('INVALID', `--console-socket: cannot connect to ${path}: ${errorMessage(error)}`);
  }
}

function sessionRequest(
  { rootfs }: ContainerRecord,
  { process }: ExecOptions,
  stdio: readonly number[],
  keep: (fd: number) => number,
): Uint8Array {
  const user = resolveUser(process.user, keep(openSync(rootfs, O_PATH)));
  return encodeSessionRequest({
    args: process.args,
    env: environment(process.env ?? [], user.home),
    cwd: process.cwd,
    credentials: credentialsOf(process, user),
    rlimits: rlimitsOf(process),
    noNewPrivileges: process.noNewPrivileges === true,
    ...(process.terminal === true ? { tty: consoleSize(process) } : {}),
    nullStreams: [0, 1, 2].filter((stream) => isNull(stdio[stream] ?? stream)),
  });
}

/** /dev/null is character device 1:3. */
const NULL_DEVICE = 0x103;

function isNull(fd: number): boolean {
  const stat = fstatSync(fd);
  return stat.isCharacterDevice() && stat.rdev === NULL_DEVICE;
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
async function started(report: number, process: RunnableProcess): Promise<number> {
  const { data, senderPid } = await receiveMessage(report, REPORT_HOLD_MS);
  switch (data.toString('latin1', 0, 1)) {
    case 'S':
      if (senderPid === undefined) throw new RunncError('INTERNAL', 'exec: the proxy has no pid');
      return senderPid;
    case 'R':
      throw refusal(data[1] ?? 0, data.readUInt16LE(2), process);
    case 'F':
      throw new RunncError('HOST', `exec failed: ${data.toString('utf8', 1)}`);
    default:
      throw new RunncError(
        'STATE',
        'exec failed: the container or the proxy ended before the program was started: container not running',
      );
  }
}

/** enum runnc_control_stage. */
const Stage = { SETUP: 0, CWD: 1, PATH: 2, EXEC: 3 } as const;

/** Of Linux, with the words of strerror(3) as runc has them. */
const ERRORS: Readonly<Record<number, string>> = {
  1: 'operation not permitted',
  2: 'no such file or directory',
  4: 'interrupted system call',
  7: 'argument list too long',
  8: 'exec format error',
  11: 'resource temporarily unavailable',
  12: 'cannot allocate memory',
  13: 'permission denied',
  19: 'no such device',
  20: 'not a directory',
  21: 'is a directory',
  24: 'too many open files',
  26: 'text file busy',
  28: 'no space left on device',
  36: 'file name too long',
  40: 'too many levels of symbolic links',
  80: 'its interpreter is no program',
};
const ENOENT = 2;
const ENOTDIR = 20;
const EACCES = 13;

/** In runc's words, which callers look for. */
function refusal(stage: number, errno: number, { args, cwd }: RunnableProcess): RunncError {
  const why = ERRORS[errno] ?? `error ${String(errno)}`;
  const name = shorten(args[0] ?? '');
  const start = 'exec failed: unable to start container process: ';
  switch (stage) {
    case Stage.CWD:
      return new RunncError(codeOf(errno), `${start}chdir to cwd (${shorten(cwd)}) failed: ${why}`);
    case Stage.PATH:
      return new RunncError(
        codeOf(errno),
        `${start}exec: ${name}: ${errno === ENOENT ? 'executable file not found in $PATH' : why}`,
      );
    case Stage.EXEC:
      return new RunncError(
        codeOf(errno),
        errno === ENOENT
          ? `${start}exec: ${name}: stat ${args[0] ?? ''}: ${why}`
          : `${start}exec: ${name}: ${why}`,
      );
    default:
      return new RunncError('HOST', `${start}in the guest: ${why}`);
  }
}

function codeOf(errno: number): 'EXEC_NOT_FOUND' | 'EXEC_DENIED' | 'HOST' {
  if (errno === ENOENT || errno === ENOTDIR) return 'EXEC_NOT_FOUND';
  return errno === EACCES ? 'EXEC_DENIED' : 'HOST';
}
