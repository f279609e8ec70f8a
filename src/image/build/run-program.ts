/** RUN: the program of a stage in a container of our own, without a network, its output told line by line. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Container } from '../../container/container.ts';
import { shellStatus } from '../../container/run.ts';
import { errnoOf, RunncError, shorten } from '../../errors.ts';
import { makeNode } from '../../native.ts';
import type { Mount, Spec } from '../../oci/spec.ts';
import { templateSpec } from '../../oci/spec-template.ts';
import { withVariable } from './config-instructions.ts';
import { SCRIPT_FOLDER } from './run-instruction.ts';
import type { StepObserver } from './observer.ts';
import type { Session } from './session.ts';
import type { StageRoot } from './stage-root.ts';
import type { RunUser } from './users.ts';

export interface Program {
  readonly args: readonly string[];
  /** Name → content: mounts may name them as their source. */
  readonly files: Readonly<Record<string, string>>;
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: RunUser;
  /** Beside the usual ones. */
  readonly mounts: readonly Mount[];
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const HOSTNAME = 'build';
const HOSTS = `127.0.0.1\tlocalhost ${HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n`;
/** Docker's. */
const CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID'],
  ...['SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
].map((name) => `CAP_${name}`);
/** Between two looks at what was printed. */
const POLL_MS = 100;
/** stat(2) */
const S_IFIFO = 0o010000;
const SIGKILL = 9;

/** Throws INVALID if the program fails or is interrupted, and what the creation of containers throws. */
export async function runProgram(
  program: Program,
  root: StageRoot,
  step: StepObserver,
  { interrupts, onWarning }: Pick<Session, 'interrupts' | 'onWarning'>,
): Promise<void> {
  const output = new Output(root.folder, step);
  const nullFd = openSync('/dev/null', 'r');
  let container: Container | undefined;
  let status = 0;
  // Its first process may ignore anything else; and it may have ended a moment ago.
  const kill = (): void => {
    container?.kill(SIGKILL).catch(() => undefined);
  };
  try {
    await interrupts.during(kill, async () => {
      container = await Container.create({
        id: root.containerId,
        bundle: { spec: specOf(program, root), files: { ...program.files, hosts: HOSTS } },
        stdio: [nullFd, output.fd, output.fd],
        onWarning,
      });
      try {
        if (!interrupts.isInterrupted) await container.start();
        // A signal before the start was completed may have found nobody to kill.
        if (interrupts.isInterrupted) kill();
        status = await endOf(container);
      } finally {
        await container.delete({ force: true, onWarning });
      }
    });
    output.finish();
    if (status === 0 && output.lostBy === undefined) return;
    if (status === 0)
      throw new RunncError(
        'HOST',
        `not all that the program changed can be kept: ${reasonOf(output.lostBy)}`,
      );
    const last = output.lastLine === '' ? '' : `: ${shorten(output.lastLine)}`;
    throw new RunncError('INVALID', `the program ended with status ${String(status)}${last}`);
  } finally {
    output.close();
    closeSync(nullFd);
  }
}

async function endOf(container: Container): Promise<number> {
  const status = await container.wait();
  if (status === undefined) throw new RunncError('INTERNAL', 'the container is not a child of its creator');
  return shellStatus(status);
}

function specOf({ args, files, env, cwd, user, mounts }: Program, root: StageRoot): Spec {
  const uid = process.geteuid?.() ?? 0;
  const base = templateSpec({
    args,
    ...(uid === 0 ? {} : { rootless: { uid, gid: process.getegid?.() ?? 0 } }),
  });
  const { uid: userId, gid, additionalGids, home } = user;
  const withPath = env.some((variable) => variable.startsWith('PATH='))
    ? env
    : [...env, `PATH=${DEFAULT_PATH}`];
  const withHome = withPath.some((variable) => variable.startsWith('HOME='))
    ? withPath
    : withVariable(withPath, 'HOME', home);
  return {
    ...base,
    process: {
      ...base.process,
      user: { uid: userId, gid, additionalGids },
      args,
      env: withHome,
      cwd,
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [],
      noNewPrivileges: false,
    },
    root: { path: root.rootfs, readonly: false },
    hostname: HOSTNAME,
    mounts: [
      ...(base.mounts ?? []),
      { destination: '/etc/hosts', type: 'bind', source: 'hosts', options: ['rbind', 'rprivate'] },
      ...Object.keys(files).map((name) => ({
        destination: `${SCRIPT_FOLDER}/${name}`,
        type: 'bind',
        source: name,
        options: ['rbind', 'rprivate', 'ro'],
      })),
      ...mounts,
    ],
  };
}

/** The guest kernel's word that the root on the host is not what the program left (unikernels/linux/fs/writeback.c). */
const LOST = /^runnc: not all changes of the container's root reach the bundle's rootfs \(error (\d+)\)$/m;

/** errno(3) */
const REASONS: Readonly<Record<string, string>> = {
  '28': 'no space left on the device',
  '122': 'disk quota exceeded',
};

/** EINVAL and EOVERFLOW are of owners that the host's user has not. */
function reasonOf(errno = ''): string {
  const isOwner = process.geteuid?.() !== 0 && (errno === '22' || errno === '75');
  return isOwner ? 'files of several users need root' : (REASONS[errno] ?? `error ${errno}`);
}

/** What a program prints, through a fifo: unlike a file it takes what is said of a disk that is full. */
class Output {
  /** To write to. */
  readonly fd: number;
  readonly #readFd: number;
  readonly #step: StepObserver;
  readonly #timer: NodeJS.Timeout;
  readonly #decoder = new TextDecoder();
  readonly #buffer = Buffer.alloc(64 * 1024);
  #last = '';
  #lostBy: string | undefined;

  constructor(folder: string, step: StepObserver) {
    const name = `output-${crypto.randomUUID()}`;
    const folderFd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      makeNode(folderFd, Buffer.from(name), S_IFIFO | 0o600);
    } finally {
      closeSync(folderFd);
    }
    // A fifo is opened to write only where it is read.
    this.#readFd = openSync(`${folder}/${name}`, constants.O_RDONLY | constants.O_NONBLOCK);
    this.fd = openSync(`${folder}/${name}`, constants.O_WRONLY);
    this.#step = step;
    this.#timer = setInterval(() => {
      this.#read();
    }, POLL_MS);
  }

  /** errno, if not all changes of the root have reached the host. */
  get lostBy(): string | undefined {
    return this.#lostBy;
  }

  /** The last one that is not empty. */
  get lastLine(): string {
    return this.#last.split('\n').findLast((line) => line.trim() !== '') ?? '';
  }

  /** Nothing more will be written. */
  finish(): void {
    this.#read();
  }

  close(): void {
    clearInterval(this.#timer);
    closeSync(this.#readFd);
    closeSync(this.fd);
  }

  #read(): void {
    for (let count = this.#readSome(); count > 0; count = this.#readSome()) {
      const text = this.#decoder.decode(this.#buffer.subarray(0, count), { stream: true });
      this.#last += text;
      this.#lostBy ??= LOST.exec(this.#last)?.[1];
      this.#last = this.#last.slice(-1000);
      this.#step.output(text);
    }
  }

  /** 0: there is nothing now. */
  #readSome(): number {
    try {
      return readSync(this.#readFd, this.#buffer, 0, this.#buffer.length, null);
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') return 0;
      throw error;
    }
  }
}
