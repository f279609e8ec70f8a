/**
 * Decides everything that the sandbox's first stage will do: from a checked config.json, a guest and what the
 * caller asked for to a LaunchPlan. Nothing here changes anything on the host; the only thing opened are the namespaces
 * to join.
 */
import { closeSync, constants, openSync, readFileSync } from '../files.ts';
import { errorMessage, RunncError, shorten } from '../errors.ts';
import type { Guest } from '../guest/guest.ts';
import { capabilityBits } from '../oci/capabilities.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import type * as spec from '../oci/spec.ts';
import {
  type CgroupPlan,
  faultFrom,
  type FileServerPlan,
  type HookCredentials,
  type HookPlan,
  type IdMapping,
  type LaunchPlan,
  type NamespacePlan,
  type RlimitPlan,
  rlimitNames,
  type SchedulerPlan,
  type TimeOffset,
} from './launch-plan.ts';

export interface PlanInput {
  readonly spec: RunnableSpec;
  readonly guest: Guest;
  /** Descriptors in the tender's order and its command line: see tender-command.ts. */
  readonly tender: TenderCommand;
  /** From sealedMemfd. */
  readonly tenderFd: number;
  readonly rootfsFd: number;
  readonly stdio: readonly [number, number, number];
  readonly startSocketFd: number;
  readonly cgroup?: CgroupPlan;
  /** Connected; present if and only if process.terminal. */
  readonly consoleSocketFd?: number;
  /** Of this container alone on the host; absent for users other than root, who have no uids to give. */
  readonly sandboxUid?: number;
  readonly fileServer?: FileServerPlan;
  readonly noPivot: boolean;
  readonly newKeyring: boolean;
}

export interface TenderCommand {
  readonly argv: readonly string[];
  readonly descriptors: readonly number[];
  /** Known only once the network is there: handed over by launch()'s onNamespaces. */
  readonly lateDescriptors: readonly number[];
}

/** The caller closes the descriptors in `namespaces` that were opened here, after launch. Throws INVALID, HOST. */
export function planLaunch(input: PlanInput): LaunchPlan {
  const { spec, guest } = input;
  const { process, linux = {} } = spec;
  const jail = jailIds(linux, input.sandboxUid);
  const fault = faultFrom(globalThis.process.env.RUNNC_FAULT);
  return {
    executableFd: input.tenderFd,
    argv: input.tender.argv,
    descriptors: input.tender.descriptors,
    stdio: input.stdio,
    reopenStdio: guest.kind === 'linux',
    ...terminal(process, guest, input.consoleSocketFd),
    startSocketFd: input.startSocketFd,
    ...(input.cgroup === undefined ? {} : { cgroup: input.cgroup }),
    ...(jail.userNamespace === undefined ? {} : { userNamespace: jail.userNamespace }),
    timeOffsets: timeOffsets(linux.timeOffsets ?? {}),
    ...nonEmpty('hostname', spec.hostname),
    ...nonEmpty('domainname', spec.domainname),
    sysctls: Object.entries(linux.sysctl ?? {}).map(([key, value]) => ({ key, value })),
    rootfsFd: input.rootfsFd,
    createContainerHooks: (spec.hooks?.createContainer ?? []).map(hookPlan),
    startContainerHooks: (spec.hooks?.startContainer ?? []).map(hookPlan),
    hookCredentials: hookCredentials(process),
    ...(process.oomScoreAdj === undefined ? {} : { oomScoreAdj: process.oomScoreAdj }),
    // A Linux guest keeps its programs' limits itself. Some would break the process around it: guest memory is far
    // more address space than RLIMIT_AS may leave, and RLIMIT_CPU would kill all programs for the time of one.
    rlimits: guest.kind === 'linux' ? [] : (process.rlimits ?? []).map(rlimitPlan),
    ...(process.scheduler === undefined ? {} : { scheduler: schedulerPlan(process.scheduler) }),
    ...(process.ioPriority === undefined ? {} : { ioPriority: ioPriorityPlan(process.ioPriority) }),
    newKeyring: input.newKeyring,
    ...(input.fileServer === undefined ? {} : { fileServer: input.fileServer }),
    ...(fault === undefined ? {} : { fault }),
    jail: { uid: jail.uid, gid: jail.gid, noPivot: input.noPivot },
    // Last: what is opened here must not be lost to an error of another field.
    namespaces: openNamespaces(linux.namespaces ?? []),
  };
}

interface JailIds {
  readonly uid: number;
  readonly gid: number;
  readonly userNamespace?: LaunchPlan['userNamespace'];
}

/** As whom the tender runs, in the ids of the container's user namespace. */
function jailIds(linux: spec.Linux, sandboxUid: number | undefined): JailIds {
  const namespace = linux.namespaces?.find(({ type }) => type === 'user');
  if (namespace === undefined) {
    if (sandboxUid === undefined) {
      throw new RunncError(
        'INVALID',
        'config.json: linux.namespaces: a user other than root needs a user namespace ("runnc spec --rootless" writes one)',
      );
    }
    return { uid: sandboxUid, gid: sandboxUid };
  }
  if ((namespace.path ?? '') !== '') return joinedIds(namespace.path ?? '');
  const uidMappings = (linux.uidMappings ?? []).map(idMapping);
  const gidMappings = (linux.gidMappings ?? []).map(idMapping);
  if (sandboxUid === undefined) {
    // A user may map itself and nobody else: that one id is all there is.
    const uid = uidMappings[0]?.containerId ?? 0;
    const gid = gidMappings[0]?.containerId ?? 0;
    return { uid, gid, userNamespace: { uidMappings, gidMappings, denySetgroups: true } };
  }
  const [uid, gid] = [unusedId(uidMappings), unusedId(gidMappings)];
  return {
    uid,
    gid,
    userNamespace: {
      uidMappings: [...uidMappings, { containerId: uid, hostId: sandboxUid, size: 1 }],
      gidMappings: [...gidMappings, { containerId: gid, hostId: sandboxUid, size: 1 }],
      denySetgroups: false,
    },
  };
}

/** Beside everything config.json maps. */
function unusedId(mappings: readonly IdMapping[]): number {
  const end = Math.max(...mappings.map(({ containerId, size }) => containerId + size));
  if (end <= 0xfffffffe) return end;
  const start = Math.min(...mappings.map(({ containerId }) => containerId));
  if (start > 0) return start - 1;
  throw new RunncError('INVALID', 'config.json: linux.uidMappings: leave one id unmapped for the sandbox');
}

/** The last id of a namespace that exists: the least privileged by convention ("nobody" of the range). */
function joinedIds(path: string): JailIds {
  const last = (map: 'uid_map' | 'gid_map'): number => {
    const process = /^\/proc\/(?:self|\d+)(?=\/ns\/user$)/.exec(path)?.[0];
    if (process === undefined) return OVERFLOW_ID;
    const lines = readFileSync(`${process}/${map}`, 'utf8').trim().split('\n');
    const ends = lines
      .map((line) => line.trim().split(/\s+/).map(Number))
      .map(([from = 0, , size = 0]) => from + size - 1);
    return Math.min(Math.max(...ends), OVERFLOW_ID);
  };
  return { uid: last('uid_map'), gid: last('gid_map') };
}

/** "nobody" on every distribution. */
const OVERFLOW_ID = 65534;

function openNamespaces(namespaces: readonly spec.Namespace[]): NamespacePlan[] {
  const plans: NamespacePlan[] = [];
  for (const [i, { type, path = '' }] of namespaces.entries()) {
    try {
      plans.push(path === '' ? { kind: type } : { kind: type, fd: openSync(path, constants.O_RDONLY) });
    } catch (error) {
      for (const { fd } of plans) if (fd !== undefined) closeSync(fd);
      throw new RunncError(
        'INVALID',
        `config.json: linux.namespaces[${String(i)}].path: ${shorten(path)} cannot be opened: ${errorMessage(error)}`,
      );
    }
  }
  return plans;
}

function terminal(
  process: spec.Process,
  guest: Guest,
  consoleSocketFd: number | undefined,
): Pick<LaunchPlan, 'terminal'> {
  if (consoleSocketFd === undefined) return {};
  const { width = 0, height = 0 } = process.consoleSize ?? {};
  return { terminal: { consoleSocketFd, columns: width, rows: height, raw: guest.kind === 'linux' } };
}

function idMapping({ containerID, hostID, size }: spec.IdMapping): IdMapping {
  return { containerId: containerID, hostId: hostID, size };
}

function hookPlan({ path, args, env, timeout }: spec.Hook): HookPlan {
  return {
    path,
    args: args === undefined || args.length === 0 ? [path] : args,
    env: env ?? [],
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
  };
}

function hookCredentials({ user = {}, capabilities = {} }: spec.Process): HookCredentials {
  return {
    uid: user.uid ?? 0,
    gid: user.gid ?? 0,
    additionalGids: user.additionalGids ?? [],
    capabilities: capabilityBits(capabilities.bounding),
    umask: (user.umask ?? 0o022) & 0o777,
  };
}

function rlimitPlan({ type, soft, hard }: spec.Rlimit, index: number): RlimitPlan {
  const name = rlimitNames.find((known) => known === type);
  if (name === undefined) {
    throw new RunncError(
      'INVALID',
      `config.json: process.rlimits[${String(index)}].type: Linux has no limit ${shorten(type)}`,
    );
  }
  return { type: name, soft: unsigned64(soft), hard: unsigned64(hard) };
}

const SCHEDULER_POLICIES = [
  'SCHED_OTHER',
  'SCHED_FIFO',
  'SCHED_RR',
  'SCHED_BATCH',
  'SCHED_ISO',
  'SCHED_IDLE',
  'SCHED_DEADLINE',
];

/** include/uapi/linux/sched.h, from bit 0. */
const SCHEDULER_FLAGS = [
  'SCHED_FLAG_RESET_ON_FORK',
  'SCHED_FLAG_RECLAIM',
  'SCHED_FLAG_DL_OVERRUN',
  'SCHED_FLAG_KEEP_POLICY',
  'SCHED_FLAG_KEEP_PARAMS',
  'SCHED_FLAG_UTIL_CLAMP_MIN',
  'SCHED_FLAG_UTIL_CLAMP_MAX',
];

function schedulerPlan(scheduler: spec.Scheduler): SchedulerPlan {
  let flags = 0n;
  for (const [i, flag] of (scheduler.flags ?? []).entries()) {
    const bit = SCHEDULER_FLAGS.indexOf(flag);
    if (bit < 0) {
      throw new RunncError(
        'INVALID',
        `config.json: process.scheduler.flags[${String(i)}]: Linux has no flag ${shorten(flag)}`,
      );
    }
    flags |= 1n << BigInt(bit);
  }
  return {
    policy: SCHEDULER_POLICIES.indexOf(scheduler.policy),
    flags,
    nice: scheduler.nice ?? 0,
    priority: scheduler.priority ?? 0,
    runtimeNs: unsigned64(scheduler.runtime ?? 0),
    deadlineNs: unsigned64(scheduler.deadline ?? 0),
    periodNs: unsigned64(scheduler.period ?? 0),
  };
}

const IO_PRIORITY_CLASSES = ['IOPRIO_CLASS_NONE', 'IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'];

function ioPriorityPlan(ioPriority: spec.IoPriority): { class: number; priority: number } {
  return { class: IO_PRIORITY_CLASSES.indexOf(ioPriority.class), priority: ioPriority.priority ?? 0 };
}

function timeOffsets(offsets: Readonly<Record<string, spec.TimeOffset>>): TimeOffset[] {
  const found: TimeOffset[] = [];
  for (const clock of ['monotonic', 'boottime'] as const) {
    const offset = offsets[clock];
    if (offset === undefined) continue;
    found.push({ clock, seconds: BigInt(offset.secs ?? 0), nanoseconds: offset.nanosecs ?? 0 });
  }
  return found;
}

/** JSON.parse made 2^64 of 2^64-1. */
function unsigned64(value: number): bigint {
  const big = BigInt(value);
  return big > 0xffff_ffff_ffff_ffffn ? 0xffff_ffff_ffff_ffffn : big;
}

function nonEmpty<K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } {
  return value === undefined || value === '' ? {} : ({ [key]: value } as { readonly [P in K]: string });
}
