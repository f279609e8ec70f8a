/** Makes a container from a bundle, up to the point where its program could be started. */
import { closeSync, O_PATH, openSync, readFileSync } from '../files.ts';
import { basename, dirname, resolve } from '../path.ts';
import { readAsset } from '../assets.ts';
import { errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { readHostConfig } from '../host-config.ts';
import { isHostRoot } from '../host-user.ts';
import { connectUnix, listenUnix, sealedMemfd } from '../native.ts';
import { type Bundle, readBundle } from '../oci/bundle.ts';
import type { Spec } from '../oci/spec.ts';
import { OCI_VERSION, type State } from '../oci/state.ts';
import type { BuildProgress } from '../rootfs/rootfs-image.ts';
import { type CgroupManager, newCgroup } from '../sandbox/cgroups/index.ts';
import { type InitProcess, launch } from '../sandbox/launch.ts';
import { planLaunch, type TenderCommand } from '../sandbox/plan.ts';
import { processStat } from '../sandbox/process.ts';
import { uidForSandbox } from '../sandbox/sandbox-uid.ts';
import { CONTROL_DESCRIPTOR, tenderCommand, type TenderInput } from '../sandbox/tender-command.ts';
import { destroy } from './destroy.ts';
import type { JoinRequest } from './join-network.ts';
import type { OwnBundle } from './own-bundle.ts';
import { writePidFile } from './pid-file.ts';
import { type PreparedGuest, prepareGuest } from './prepare-guest.ts';
import type { ContainerRecord } from './record.ts';
import { ociState } from './status.ts';
import { type LockedContainer, START_SOCKET, Store } from './store.ts';

export interface CreateOptions {
  readonly id: string;
  /** Folder with config.json, absolute or relative to the working directory; or what is to be in one. */
  readonly bundle: string | OwnBundle;
  /** Where containers are kept; default: /run/runnc, for other users than root $XDG_RUNTIME_DIR/runnc. */
  readonly root?: string;
  /** linux.cgroupsPath is "slice:prefix:name" and systemd makes the cgroups. */
  readonly systemdCgroup?: boolean;
  /** Do without the cgroups that the user may not have. Default: for every user but root. */
  readonly rootless?: boolean;
  /** Gets the pid, decimal, without a newline. */
  readonly pidFile?: string;
  /**
   * A UNIX socket that gets the master of the terminal: its path, or a function that gives a descriptor connected to
   * it and is called only if config.json asks for a terminal.
   */
  readonly consoleSocket?: string | (() => number);
  readonly noPivot?: boolean;
  readonly noNewKeyring?: boolean;
  /**
   * The container's standard input, output and error, which the caller keeps; a function is asked for them when the bundle
   * is written. Default: 0, 1, 2.
   */
  readonly stdio?: Stdio | (() => Stdio);
  /** Print the system calls of a Linux program on standard error, as the annotation io.runnc.strace does. */
  readonly strace?: boolean;
  /** Called a few times a second while the image of the rootfs is built. */
  readonly onProgress?: (progress: BuildProgress) => void;
  /** Told of what was done and how long it took, one line each. */
  readonly onDebug?: (message: string) => void;
  /** Told of what was left out or went wrong without stopping anything, one line each. */
  readonly onWarning?: (message: string) => void;
}

export type Stdio = readonly [number, number, number];

export interface Created {
  readonly record: ContainerRecord;
  /** Of the container's process, which is this process's child. The caller closes it. */
  readonly pidfd: number;
}

/** Throws a RunncError; nothing is left behind then. */
export async function createContainer(options: CreateOptions): Promise<Created> {
  const { bundle: given } = options;
  // Before anything is made, where that can be told.
  const read = typeof given === 'string' ? readBundle(given) : undefined;
  if (read !== undefined) checkTerminal(read, options);
  const locked = await new Store(options.root).create(options.id);
  const opened: number[] = [];
  try {
    const bundle = read ?? (await writeBundle(given as OwnBundle, options, locked));
    return await createLocked(bundle, options, locked, opened);
  } catch (error) {
    await destroy(locked, options.onWarning).catch((problem: unknown) => {
      options.onWarning?.(`cleaning up: ${errorMessage(problem)}`);
    });
    throw error;
  } finally {
    for (const fd of opened) closeSync(fd);
    locked.unlock();
  }
}

async function writeBundle(
  own: OwnBundle,
  options: CreateOptions,
  { folder }: LockedContainer,
): Promise<Bundle> {
  const bundle = await (await import('./own-bundle.ts')).writeOwnBundle(folder, own);
  checkTerminal(bundle, options);
  return bundle;
}

async function createLocked(
  bundle: Bundle,
  options: CreateOptions,
  locked: LockedContainer,
  opened: number[],
): Promise<Created> {
  const { spec } = bundle;
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  reached('folder-made');
  const rootfsFd = keep(openSync(bundle.rootfs, O_PATH));
  const hostConfig = readHostConfig();
  const prepared = await prepareGuest(bundle, rootfsFd, { ...options, hostConfig }, keep);
  const { guest } = prepared;

  const cgroup = await newCgroup({
    id: options.id,
    ...(spec.linux?.cgroupsPath === undefined ? {} : { cgroupsPath: spec.linux.cgroupsPath }),
    systemd: options.systemdCgroup ?? false,
    rootless: options.rootless ?? !isHostRoot(),
  });
  cgroup.refuseUsed();
  const tenderFd = keep(sealedMemfd('tender', await readAsset('tender-spt'), 'executable'));
  const kernelFd =
    guest.kernel.type === 'descriptor'
      ? guest.kernel.fd
      : keep(sealedMemfd('kernel', await readAsset(guest.kernel.name), 'data'));
  const sandboxUid = process.geteuid?.() === 0 ? await uidForSandbox(hostConfig, locked.folder) : undefined;
  reached('uid-claimed');
  const startSocketFd = keep(listenUnix(locked.fd, START_SOCKET));
  reached('socket-made');
  // Written before the cgroups are made: what is not written down is not cleaned up.
  const draft: ContainerRecord = {
    ...newRecord(bundle, options.id, cgroup),
    ...(sandboxUid === undefined ? {} : { sandboxUid }),
    ...(prepared.control === undefined ? {} : { controlFd: CONTROL_DESCRIPTOR }),
  };
  locked.write(draft);
  reached('record-written');
  // From within a user namespace the kernel lets nobody into the host's cgroups.
  const inUserNamespace = spec.linux?.namespaces?.some(({ type }) => type === 'user') ?? false;
  const doors = inUserNamespace ? undefined : await cgroup.make(spec.linux?.resources);
  for (const fd of doors?.taskFds ?? []) keep(fd);
  if (doors?.cloneFd !== undefined) keep(doors.cloneFd);
  reached('cgroup-made');
  const tender = tenderCommand({ ...prepared, kernelFd });
  const plan = planLaunch({
    spec,
    guest,
    tender,
    tenderFd,
    rootfsFd,
    stdio: typeof options.stdio === 'function' ? options.stdio() : (options.stdio ?? [0, 1, 2]),
    startSocketFd,
    ...(doors === undefined ? {} : { cgroup: doors }),
    ...(spec.process.terminal === true ? { consoleSocketFd: consoleSocket(options, keep) } : {}),
    ...(sandboxUid === undefined ? {} : { sandboxUid }),
    ...(prepared.fileServer === undefined ? {} : { fileServer: prepared.fileServer }),
    noPivot: options.noPivot ?? false,
    newKeyring: options.noNewKeyring !== true,
  });
  for (const { fd } of plan.namespaces) if (fd !== undefined) keep(fd);

  let record: ContainerRecord | undefined;
  const init = await launch(plan, async (init) => {
    record = { ...draft, cgroup: cgroup.state, pid: init.pid, startTime: startTimeOf(init) };
    locked.write(record);
    reached('process-recorded');
    if (doors === undefined) await cgroup.enter(init.pid, spec.linux?.resources);
    reached('cgroup-entered');
    await runCreateHooks(bundle, ociState(record, 'creating'));
    reached('create-hooks-run');
    const tender = await joinNetwork(spec, { ...prepared, kernelFd }, init, {
      remember: (network) => {
        record = { ...(record ?? draft), network };
        locked.write(record);
      },
      keep,
      onWarning: options.onWarning,
    });
    return { ...hookStates(record, init), ...(tender === undefined ? {} : { tender }) };
  });

  if (record === undefined) throw new RunncError('INTERNAL', 'launch did not report the namespaces');
  const complete: ContainerRecord = {
    ...record,
    cgroup: cgroup.state,
    ...(prepared.joinsAtStart === true ? { tenderArgv: tender.argv } : {}),
    ...(prepared.solo5Network === undefined ? {} : { solo5Network: prepared.solo5Network }),
    complete: true,
  };
  reached('launched');
  try {
    if (options.pidFile !== undefined) writePidFile(options.pidFile, init.pid);
    reached('pid-file-written');
    locked.write(complete);
    reached('record-completed');
  } catch (error) {
    closeSync(init.pidfd);
    throw error;
  }
  return { record: complete, pidfd: init.pidfd };
}

function checkTerminal({ spec }: Bundle, { consoleSocket }: CreateOptions): void {
  const terminal = spec.process.terminal === true;
  if (terminal && consoleSocket === undefined) {
    throw new RunncError(
      'INVALID',
      'config.json: process.terminal: needs --console-socket to hand the terminal over',
    );
  }
  if (!terminal && typeof consoleSocket === 'string') {
    throw new RunncError(
      'INVALID',
      '--console-socket: config.json does not ask for a terminal (process.terminal)',
    );
  }
}

function consoleSocket({ consoleSocket }: CreateOptions, keep: (fd: number) => number): number {
  if (typeof consoleSocket === 'function') return consoleSocket();
  const path = resolve(consoleSocket ?? '');
  try {
    const folder = keep(openSync(dirname(path), O_PATH));
    return keep(connectUnix(folder, basename(path)));
  } catch (error) {
    throw new RunncError('INVALID', `--console-socket: cannot connect to ${path}: ${errorMessage(error)}`);
  }
}

function startTimeOf({ pid }: InitProcess): string {
  const stat = processStat(pid);
  if (stat === undefined) throw new RunncError('HOST', "the container's process died while it was created");
  return stat.startTime.toString();
}

/** Of a container that has no process yet: there is none with the pid 0. */
function newRecord({ spec, path, rootfs }: Bundle, id: string, cgroup: CgroupManager): ContainerRecord {
  return {
    version: 1,
    ociVersion: OCI_VERSION,
    id,
    bundle: path,
    rootfs,
    created: new Date().toISOString(),
    owner: userName(process.geteuid?.() ?? 0),
    ...(spec.annotations === undefined ? {} : { annotations: spec.annotations }),
    complete: false,
    pid: 0,
    startTime: '0',
    cgroup: cgroup.state,
    hooks: { poststart: spec.hooks?.poststart ?? [], poststop: spec.hooks?.poststop ?? [] },
  };
}

async function runCreateHooks({ spec: { hooks } }: Bundle, state: State): Promise<void> {
  for (const kind of ['prestart', 'createRuntime'] as const) {
    const list = hooks?.[kind] ?? [];
    if (list.length > 0) await (await import('../oci/hooks.ts')).runHooks(kind, list, state);
  }
}

/** What the tender gets in place of the plan's, if the network makes a difference. */
async function joinNetwork(
  { linux }: Spec,
  { networking, ...tender }: PreparedGuest & TenderInput,
  { pid }: InitProcess,
  doors: Pick<JoinRequest<unknown>, 'remember' | 'keep' | 'onWarning'>,
): Promise<TenderCommand | undefined> {
  if (networking === undefined) return undefined;
  const { joinNetwork } = await import('./join-network.ts');
  const path = linux?.namespaces?.find(({ type }) => type === 'network')?.path;
  const joined = joinNetwork({ pid, path, networking: networking(), ...doors });
  return joined === undefined ? undefined : tenderCommand({ ...tender, ...joined });
}

/** For the hooks that init runs, which see the process by its number inside. */
function hookStates(
  record: ContainerRecord,
  { containerPid }: InitProcess,
): { createContainer: string; startContainer: string } {
  const state = (status: 'creating' | 'created'): string =>
    JSON.stringify({ ...ociState(record, status), pid: containerPid });
  return { createContainer: state('creating'), startContainer: state('created') };
}

/** By /etc/passwd (node:os asks the environment under Bun); the number for a user that is not in it. */
function userName(uid: number): string {
  if (uid === 0) return 'root';
  try {
    const entries = readFileSync('/etc/passwd', 'utf8').split('\n');
    const entry = entries.map((line) => line.split(':')).find((fields) => fields[2] === String(uid));
    return entry?.[0] ?? String(uid);
  } catch {
    return String(uid);
  }
}
