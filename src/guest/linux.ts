/** A Linux program of the image as a Guest: our own kernel, told by a boot config what to run and as whom. */
import { RunncError, shorten } from '../errors.ts';
import { readFileSync } from '../files.ts';
import { capabilityBits } from '../oci/capabilities.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import type { Process, Rlimit } from '../oci/spec.ts';
import type { GuestMount, MountedFile } from '../rootfs/mounts.ts';
import type { LayerEntry } from '../rootfs/rootfs-image.ts';
import { rlimitNames } from '../sandbox/launch-plan.ts';
import { type ResolvedUser, resolveUser } from './accounts.ts';
import {
  type BootConfig,
  type BootCredentials,
  type BootFile,
  type BootRlimit,
  encodeBootConfig,
} from './boot-config.ts';
import type { Extra, Guest } from './guest.ts';

/** "true": the guest's system calls are printed on standard error. */
const STRACE_ANNOTATION = 'io.runnc.strace';
/** "true": at the end, the number of the guest's system calls and of those that trapped. */
const COUNT_ANNOTATION = 'io.runnc.count-calls';
/** "strict": the process may not even change its own memory (the extra memctl). */
const PROFILE_ANNOTATION = 'io.runnc.profile';

/** Syscall User Dispatch came with it. */
const OLDEST_LINUX: readonly [number, number] = [5, 11];
const DEFAULT_UMASK = 0o022;
const RLIM_INFINITY = 2n ** 64n - 1n;
/** SPT_CMDLINE_SIZE without the NUL: what the tender takes as arguments. */
const MAX_TITLE_BYTES = 8191;
const MAX_TITLE_CHARACTERS = 1000;

export interface LinuxGuestInput {
  readonly spec: RunnableSpec;
  /** The bundle's rootfs, for its passwd and group. */
  readonly rootfsFd: number;
  /** Of the program, absolute inside the rootfs: the PATH look-up is done. */
  readonly path: string;
  /** Of config.json: see resolveMounts. The folders among them are the tender's images, the served ones the file server's mounts, in their order. */
  readonly mounts: readonly GuestMount[];
  /** RootfsImage.delta */
  readonly delta: readonly LayerEntry[];
  /** What guest kernel and programs may have resident. */
  readonly memoryBytes: number;
  /** Print the guest's calls, whatever the annotation says. */
  readonly strace: boolean;
}

/** Throws INVALID for what config.json or its annotations have wrong. */
export function linuxGuest(input: LinuxGuestInput): Guest {
  const { spec } = input;
  const { process, annotations = {} } = spec;
  const { consoleSize } = process;
  const user = resolveUser(process.user, input.rootfsFd);
  return {
    kind: 'linux',
    kernel: { type: 'asset', name: 'linux.spt' },
    manifest: { version: 1, devices: [] },
    title: (process.args[0] ?? '').slice(0, MAX_TITLE_CHARACTERS),
    args: shownArguments(process.args.slice(1)),
    allowedExtras: [
      ...allowedExtras(annotations),
      ...(input.mounts.some(({ kind }) => kind === 'served') ? (['channel'] as const) : []),
    ],
    bootConfig: encodeBootConfig({
      args: process.args,
      env: environment(process.env ?? [], user.home),
      cwd: process.cwd,
      exe: input.path,
      credentials: credentialsOf(process, user),
      hostname: nonEmpty(spec.hostname) ?? inheritedHostname(spec, input.mounts),
      domainname: nonEmpty(spec.domainname),
      rlimits: rlimitsOf(process),
      memoryBytes: BigInt(input.memoryBytes),
      oomScoreAdj: process.oomScoreAdj,
      layer: input.delta,
      mounts: bootMounts(input.mounts),
      sysctl: spec.linux?.sysctl ?? {},
      tty:
        process.terminal === true
          ? { rows: consoleSize?.height ?? 0, columns: consoleSize?.width ?? 0 }
          : undefined,
      strace: input.strace || isOn(annotations, STRACE_ANNOTATION),
      countCalls: isOn(annotations, COUNT_ANNOTATION),
      rootReadonly: spec.root.readonly === true,
      noNewPrivileges: process.noNewPrivileges === true,
    }),
  };
}

/** process.user's ids are those of `user`. */
export function credentialsOf(
  { user: named, capabilities = {} }: Process,
  user: ResolvedUser,
): BootCredentials {
  return {
    uid: user.uid,
    gid: user.gid,
    umask: named?.umask ?? DEFAULT_UMASK,
    groups: user.groups,
    capEffective: capabilityBits(capabilities.effective),
    capPermitted: capabilityBits(capabilities.permitted),
    capInheritable: capabilityBits(capabilities.inheritable),
    capBounding: capabilityBits(capabilities.bounding),
    capAmbient: capabilityBits(capabilities.ambient),
  };
}

/** Throws INVALID for a limit that Linux does not have. */
/** `where` stands before the names of its fields in errors. */
export function rlimitsOf(process: Process, where = 'config.json: process.'): readonly BootRlimit[] {
  return (process.rlimits ?? []).map((limit, index) => rlimit(limit, index, where));
}

/**
 * Can this host run Linux programs at all?
 *
 * @param arch as process.arch has it
 * @param release as uname(2) has it: "5.10.0-8-amd64"
 *
 * Throws UNSUPPORTED.
 */
export function checkLinuxHost(arch: string, release: string): void {
  if (arch !== 'x64') {
    throw new RunncError('UNSUPPORTED', `Linux programs run on x86-64 hosts only, and this one is ${arch}`);
  }
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const [oldestMajor, oldestMinor] = OLDEST_LINUX;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    throw new RunncError(
      'UNSUPPORTED',
      `Linux programs need Linux ${OLDEST_LINUX.join('.')} or later on the host, and this one is ${release}`,
    );
  }
}

function allowedExtras(annotations: Readonly<Record<string, string>>): Extra[] {
  const always: Extra[] = ['exec-heap', 'boot-config', 'sud', 'rootfs-map', 'vtimer', 'stdio', 'channel'];
  const profile = annotations[PROFILE_ANNOTATION] ?? 'default';
  switch (profile) {
    case 'default':
      return [...always, 'memctl'];
    case 'strict':
      return always;
    default:
      throw new RunncError(
        'INVALID',
        `config.json: annotations[${PROFILE_ANNOTATION}]: expected "default" or "strict", got ${shorten(profile)}`,
      );
  }
}

function isOn(annotations: Readonly<Record<string, string>>, key: string): boolean {
  const value = annotations[key] ?? 'false';
  if (value === 'true' || value === 'false') return value === 'true';
  throw new RunncError(
    'INVALID',
    `config.json: annotations[${key}]: expected "true" or "false", got ${shorten(value)}`,
  );
}

/** For ps(1) on the host: the guest takes its arguments from the boot config, where their size has no limit. */
function shownArguments(args: readonly string[]): string[] {
  const shown: string[] = [];
  let bytes = 0;
  for (const arg of args) {
    bytes += Buffer.byteLength(arg) + 1;
    if (bytes > MAX_TITLE_BYTES) break;
    shown.push(arg);
  }
  return shown;
}

/** As runc: HOME as the image's passwd has it, unless it is set. */
export function environment(env: readonly string[], home: string): readonly string[] {
  return env.some((variable) => variable.startsWith('HOME=')) ? env : [...env, `HOME=${home}`];
}

/**
 * A new UTS namespace starts with the host's name. What one that is joined has cannot be seen from here, but engines that
 * share one (pods) mount the name as a file.
 */
function inheritedHostname({ linux }: RunnableSpec, mounts: readonly GuestMount[]): string {
  const uts = linux?.namespaces?.find(({ type }) => type === 'uts');
  const mounted = mounts
    .filter((mount) => mount.kind === 'file')
    .find(({ file }) => file.path.toString() === '/etc/hostname')?.file.content;
  if (uts?.path === undefined || uts.path === '' || mounted === undefined) return hostHostname();
  return nonEmpty(mounted.toString('utf8').split('\n', 1)[0]?.trim().slice(0, 64)) ?? hostHostname();
}

/** Of this process's own namespace, as uname(2) has it. */
function hostHostname(): string {
  return readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function rlimit({ type, soft, hard }: Rlimit, index: number, where: string): BootRlimit {
  const resource = rlimitNames.findIndex((known) => known === type);
  if (resource < 0) {
    throw new RunncError(
      'INVALID',
      `${where}rlimits[${String(index)}].type: Linux has no limit ${shorten(type)}`,
    );
  }
  return { resource, soft: limit(soft), hard: limit(hard) };
}

/** JSON.parse made 2^64 of 2^64-1. */
function limit(value: number): bigint {
  const exact = BigInt(value);
  return exact > RLIM_INFINITY ? RLIM_INFINITY : exact;
}

function bootMounts(mounts: readonly GuestMount[]): BootConfig['mounts'] {
  let images = 0;
  let served = 0;
  return mounts.map((mount) => {
    switch (mount.kind) {
      case 'fact':
        return mount;
      case 'file':
        return bootFile(mount);
      case 'folder': {
        const { target, options } = mount;
        return { type: 'erofs', target, options, readonly: true, image: images++ };
      }
      case 'served': {
        const { target, options, readonly } = mount;
        return { type: 'fileserver', target, options, readonly, image: served++ };
      }
    }
  });
}

function bootFile({ file, readonly }: MountedFile): BootFile {
  return {
    path: file.path.toString(),
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    readonly,
    mtimeNs: file.mtimeNs,
    content: file.content,
  };
}
