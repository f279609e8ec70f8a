/**
 * A program beside the container's own one. The Linux guest kernel makes the process; on the host a small proxy stands
 * for it (tender/control), which this starts and which does the rest. docs/control.md has the whole picture.
 */
import { errorMessage, RunncError, shorten } from '../errors.ts';
import { closeSync, fstatSync, O_PATH, openSync } from '../files.ts';
import { resolveUser } from '../guest/accounts.ts';
import { credentialsOf, environment, rlimitsOf } from '../guest/linux.ts';
import { encodeSessionRequest } from '../guest/session-request.ts';
import { connectUnix } from '../native.ts';
import type { RunnableProcess } from '../oci/spec-rules.ts';
import type { Process } from '../oci/spec.ts';
import { basename, dirname, resolve } from '../path.ts';
import { writePidFile } from './pid-file.ts';
import type { ContainerRecord } from './record.ts';
import { type Session, SessionRefused, startSession } from './session.ts';
import { statusOf } from './status.ts';

export interface ExecOptions {
  /** As config.json's process. */
  readonly process: RunnableProcess;
  /** Who gave its user's name, and what stands before the names of its fields, in errors; default: config.json. */
  readonly names?: { readonly username: string; readonly fields: string };
  /** Standard input, output and error; default: 0, 1, 2. The caller keeps its own. Unused with a terminal. */
  readonly stdio?: readonly [number, number, number];
  /** A UNIX socket that gets the master of the terminal: its path, or a descriptor connected to it. */
  readonly consoleSocket?: string | number;
  /** Gets the pid, decimal, without a newline, once the program runs. */
  readonly pidFile?: string;
  /** Go on although the container is paused: the program starts when it is resumed. */
  readonly ignorePaused?: boolean;
  /** Rejects when nobody wants the program any more: as long as it has not started it is given up, and that error thrown. */
  readonly unwanted?: Promise<never>;
}

/** The proxy of a program that runs. */
export type ExecProcess = Session;

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
  const { process } = options;
  const stdio = options.stdio ?? ([0, 1, 2] as const);
  const opened: number[] = [];
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const consoleFd = consoleSocket(options, keep);
    return await startSession(record, folder, {
      request: sessionRequest(record, options, stdio, keep),
      argv: process.args.slice(0, MAX_SHOWN_ARGUMENTS),
      stdio,
      ...(process.terminal === true ? { terminal: consoleSize(process) } : {}),
      ...(consoleFd === undefined ? {} : { consoleFd }),
      onStarted: (pid) => {
        if (options.pidFile !== undefined) writePidFile(options.pidFile, pid);
      },
      ...(options.unwanted === undefined ? {} : { unwanted: options.unwanted }),
    });
  } catch (error) {
    throw error instanceof SessionRefused ? refusal(error, process) : error;
  } finally {
    for (const fd of opened) closeSync(fd);
  }
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

/** For ps. */
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
  { process, names }: ExecOptions,
  stdio: readonly number[],
  keep: (fd: number) => number,
): Uint8Array {
  const user = resolveUser(process.user, keep(openSync(rootfs, O_PATH)), names?.username);
  return encodeSessionRequest({
    args: process.args,
    env: environment(process.env ?? [], user.home),
    cwd: process.cwd,
    credentials: credentialsOf(process, user),
    rlimits: rlimitsOf(process, names?.fields),
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
function refusal({ stage, errno }: SessionRefused, { args, cwd }: RunnableProcess): RunncError {
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
