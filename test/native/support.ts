/** What the tests of init share: a program in place of the tender, and plans that differ from a plain one in a field. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../../src/errors.ts';
import {
  listenUnix,
  pidfdOpen,
  pidfdSendSignal,
  receiveMessage,
  sealedMemfd,
  sendMessage,
  socketPair,
  waitExit,
  waitReadable,
  type ExitStatus,
} from '../../src/native.ts';
import type { LaunchPlan } from '../../src/sandbox/launch-plan.ts';
import { launch, type HookStates, type InitProcess } from '../../src/sandbox/launch.ts';
import { start } from '../../src/sandbox/start.ts';
import { processStat } from '../../src/sandbox/process.ts';

const here = import.meta.dirname;
const buildFolder = join(here, '..', '..', 'build', 'test', 'native');

/** The witness, built when it is older than its source. */
export function witnessPath(): string {
  const source = join(here, 'witness.c');
  const program = join(buildFolder, 'witness');
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(buildFolder, { recursive: true });
    execFileSync('cc', ['-std=c11', '-D_GNU_SOURCE', '-O1', '-static', '-o', program, source], {
      stdio: 'inherit',
    });
  }
  return program;
}

export const socketName = 'start.sock';

export const noStates: HookStates = { createContainer: '{}', startContainer: '{}' };

/** A container's surroundings: a state folder, a rootfs, one socket as its stdin and stdout. */
export class Sandbox {
  readonly folder = mkdtempSync(join(tmpdir(), 'runnc-native-'));
  readonly rootfs = join(this.folder, 'rootfs');
  readonly folderFd: number;
  readonly plan: LaunchPlan;
  readonly #fds: number[] = [];
  readonly #talk: number;
  #listener: number | undefined;
  #init: InitProcess | undefined;

  constructor(changes: Partial<LaunchPlan> = {}, argv: readonly string[] = ['witness', '0']) {
    mkdirSync(this.rootfs);
    this.folderFd = this.own(openSync(this.folder, constants.O_DIRECTORY));
    const [ours, theirs] = socketPair();
    this.#talk = this.own(ours);
    this.own(theirs);
    this.#listener = listenUnix(this.folderFd, socketName);
    this.plan = {
      executableFd: this.own(sealedMemfd('witness', readFileSync(witnessPath()), 'executable')),
      argv,
      descriptors: [],
      stdio: [theirs, theirs, 2],
      reopenStdio: false,
      startSocketFd: this.#listener,
      namespaces: [{ kind: 'pid' }, { kind: 'network' }, { kind: 'mount' }, { kind: 'ipc' }, { kind: 'uts' }],
      timeOffsets: [],
      sysctls: [],
      rootfsFd: this.own(openSync(this.rootfs, constants.O_DIRECTORY)),
      createContainerHooks: [],
      startContainerHooks: [],
      hookCredentials: { uid: 0, gid: 0, additionalGids: [], capabilities: 0n, umask: 0o22 },
      rlimits: [],
      newKeyring: true,
      jail: { uid: 123456, gid: 123457, noPivot: false },
      ...changes,
    };
  }

  /** Closes it at the end. */
  own(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  /** Gives it a startContainer hook that succeeds; any such hook makes init postpone the jail until start. */
  addStartHook(): void {
    copyFileSync(witnessPath(), join(this.rootfs, 'hook'));
    // Root of a user namespace comes by as one of the others.
    chmodSync(this.folder, 0o755);
    Object.assign(this.plan, { startContainerHooks: [{ path: '/hook', args: ['hook', '0'], env: [] }] });
  }

  /** The test closes it itself. */
  disown(fd: number): void {
    this.#fds.splice(this.#fds.indexOf(fd), 1);
  }

  async create(
    onNamespaces: (init: InitProcess) => Promise<HookStates> = async () => noStates,
  ): Promise<InitProcess> {
    try {
      this.#init = await launch(this.plan, onNamespaces);
      this.own(this.#init.pidfd);
      return this.#init;
    } finally {
      if (this.#listener !== undefined) closeSync(this.#listener);
      this.#listener = undefined;
    }
  }

  /** What the witness says of itself. */
  async report(): Promise<Readonly<Record<string, string>>> {
    const { data } = await receiveMessage(this.#talk);
    return parseReport(data.toString());
  }

  async start(): Promise<void> {
    await start(this.folderFd, socketName);
  }

  /** Lets the witness go on to its end. */
  async finish(init: InitProcess): Promise<ExitStatus> {
    sendMessage(this.#talk, Buffer.from('.'));
    return waitExit(init.pidfd);
  }

  /** Whatever is left of the process is ended and reaped. */
  async release(): Promise<void> {
    if (this.#init !== undefined) await kill(this.#init.pidfd);
    if (this.#listener !== undefined) closeSync(this.#listener);
    for (const fd of this.#fds) closeSync(fd);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function kill(pidfd: number): Promise<void> {
  try {
    pidfdSendSignal(pidfd, 9);
    await waitExit(pidfd);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'ECHILD') throw error;
  }
}

/** Whether the process is gone or only a zombie. */
export function isDead(pid: number): boolean {
  const stat = processStat(pid);
  return stat === undefined || stat.state === 'Z';
}

/** Of any process, also one that is not our child; a zombie is dead. */
export async function waitForDeath(pid: number): Promise<void> {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(pid);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return;
    throw error;
  }
  await waitReadable(pidfd);
  closeSync(pidfd);
}

export function parseReport(text: string): Readonly<Record<string, string>> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes('='));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** The fields of /proc/PID/status. */
export function procStatus(pid: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${String(pid)}/status`, 'latin1')
    .trim()
    .split('\n');
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
