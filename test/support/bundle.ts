/** Bundles made of this project's unikernels, and the command that runs them in a world of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Spec } from '../../src/oci/spec.ts';
import { templateSpec } from '../../src/oci/spec-template.ts';
import { cgroupsBelow, mountsWith, procStatus, removeCgroupParent } from './host-state.ts';
import { needs, runtime, unikernel } from './paths.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A Spec that tests may change. */
export type Draft = Mutable<Omit<Spec, 'process' | 'linux'>> & {
  process: Mutable<NonNullable<Spec['process']>>;
  linux: Mutable<NonNullable<Spec['linux']>>;
};

export interface Result {
  /** 128 + signal for a program that was killed. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** The command and its arguments under which it runs: `taskset`, `strace`. */
  readonly under?: readonly string[];
}

/** Where the host's root claims uids, src/sandbox/sandbox-uid.ts. */
const CLAIMS_FOLDER = '/run/runnc/@uids';

/** How long something may take that a working runtime does at once. */
const STUCK_MS = 60_000;

/** A folder with bundles, and a --root of its own. */
export class Playground {
  readonly folder: string;
  readonly root: string;
  /** linux.cgroupsPath of all its containers begins with this. */
  readonly cgroupParent: string;
  #calls = 0;

  constructor() {
    needs(runtime);
    this.folder = openFolder(join(tmpdir(), 'runnc-test-'));
    this.root = join(this.folder, 'state');
    this.cgroupParent = `/${this.folder.split('/').at(-1) ?? ''}`;
  }

  /** A bundle that runs a unikernel with these arguments; `change` has the last word on its config.json. */
  bundle(
    guest: string,
    args: readonly string[] = [],
    change: (spec: Draft) => void = () => undefined,
  ): string {
    const bundle = openFolder(join(this.folder, 'bundle-'));
    mkdirSync(join(bundle, 'rootfs'));
    copyFileSync(unikernel(guest), join(bundle, 'rootfs', `${guest}.spt`));
    const spec = structuredClone(templateSpec()) as Draft;
    spec.process = { ...spec.process, terminal: false, args: [`/${guest}.spt`, ...args] };
    spec.linux.cgroupsPath = `${this.cgroupParent}/${bundle.split('/').at(-1) ?? ''}`;
    change(spec);
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
    return bundle;
  }

  /**
   * One call of the command. Its output goes to files: the container that create leaves behind holds it open.
   */
  async runnc(args: readonly string[], options: CallOptions = {}): Promise<Result> {
    const call = this.start(args, options);
    return call.end();
  }

  /** The same, for a call that is to be watched while it runs. */
  start(args: readonly string[], { input, under = [], ...options }: CallOptions = {}): RunningCall {
    const output = join(this.folder, `call-${String(this.#calls++)}`);
    if (options.uid !== undefined) for (const name of ['out', 'err']) writeFileSync(`${output}.${name}`, '');
    const fds = ['out', 'err'].map((name) => openSync(`${output}.${name}`, 'w'));
    const [command = runtime, ...words] = [...under, runtime, '--root', this.root, ...args];
    const child = spawn(command, words, {
      ...options,
      stdio: [input === undefined ? 'ignore' : 'pipe', ...fds],
    });
    for (const fd of fds) closeSync(fd);
    child.stdin?.on('error', () => undefined).end(input);
    return new RunningCall(child, output);
  }

  /** Creates a container; what it prints later is in the result's files. */
  async create(id: string, bundle: string, ...flags: readonly string[]): Promise<RunningCall> {
    const call = this.start(['create', '--bundle', bundle, ...flags, id]);
    const { status, stderr } = await call.end();
    if (status !== 0) throw new Error(`create failed: ${stderr}`);
    return call;
  }

  async state(id: string): Promise<{ status: string; pid: number } & Record<string, unknown>> {
    const { status, stdout, stderr } = await this.runnc(['state', id]);
    if (status !== 0) throw new Error(`state failed: ${stderr}`);
    return JSON.parse(stdout) as { status: string; pid: number };
  }

  /** Until its container is in this state. */
  async reaches(id: string, wanted: string): Promise<void> {
    await until(async () => (await this.state(id)).status === wanted, `${id} is ${wanted}`);
  }

  /** Everything on the host that a container of this playground could have left. */
  leftovers(): readonly string[] {
    const ids = entries(this.root).map((id) => `folder of ${id}`);
    const uids = entries(CLAIMS_FOLDER).filter((uid) => this.#owns(uid));
    return [
      ...ids,
      ...uids.map((uid) => `claim on uid ${uid}`),
      ...cgroupsBelow(this.cgroupParent),
      ...mountsWith(this.folder),
      ...this.#processes(),
    ];
  }

  #owns(uid: string): boolean {
    try {
      return readlinkSync(join(CLAIMS_FOLDER, uid)).startsWith(`${this.root}/`);
    } catch {
      return false;
    }
  }

  /** Sandboxes are known by their cgroup, and before they have one by their parent's arguments. */
  #processes(): string[] {
    return entries('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          // A zombie is for its parent to bury.
          if (procStatus(Number(pid), 'State').startsWith('Z')) return false;
          return (
            readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`${this.cgroupParent}/`) ||
            readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(this.folder)
          );
        } catch {
          return false;
        }
      })
      .map((pid) => `process ${pid}`);
  }

  /** Deletes all containers and the folder. */
  async close(): Promise<void> {
    for (const id of entries(this.root)) await this.runnc(['delete', '--force', id]);
    removeCgroupParent(this.cgroupParent);
    rmSync(this.folder, { recursive: true });
  }
}

export class RunningCall {
  readonly child: ChildProcess;
  readonly #output: string;
  readonly #ended: Promise<unknown>;

  constructor(child: ChildProcess, output: string) {
    this.child = child;
    this.#output = output;
    this.#ended = once(child, 'exit');
  }

  get stdout(): string {
    return readFileSync(`${this.#output}.out`, 'utf8');
  }

  get stderr(): string {
    return readFileSync(`${this.#output}.err`, 'utf8');
  }

  /** Until it has printed this. */
  async prints(text: string): Promise<void> {
    await until(() => Promise.resolve(this.stdout.includes(text)), `"${text}" is printed`);
  }

  async end(timeoutMs: number = STUCK_MS): Promise<Result> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    await this.#ended;
    clearTimeout(timer);
    const { exitCode, signalCode } = this.child;
    const status = exitCode ?? 128 + constants.signals[signalCode ?? 'SIGKILL'];
    return { status, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Asks again and again, because the one to tell is another process; fails when it takes too long. */
export async function until(test: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + STUCK_MS;
  while (!(await test())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await delay(10);
  }
}

/** Other users, and those of user namespaces, can pass through it. */
function openFolder(prefix: string): string {
  const folder = mkdtempSync(prefix);
  chmodSync(folder, 0o755);
  return folder;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
