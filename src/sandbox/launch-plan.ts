/**
 * The launch plan: everything the sandbox's first stage (tender/init) needs, decided beforehand and written down
 * as plain data. init reads it, does it in a fixed order and decides nothing.
 *
 * Descriptors in a plan are numbers of open descriptors in *this* process; launch() hands them over and the
 * caller closes its own afterwards.
 */

/** Linux namespaces by the names of runtime-spec (config-linux.md, "Namespaces"). */
export type NamespaceKind = 'user' | 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'cgroup' | 'time';

export interface NamespacePlan {
  readonly kind: NamespaceKind;
  /** Open descriptor on the namespace to join (config's `path`); left out, a new one is made. */
  readonly fd?: number;
}

/** One line of /proc/PID/uid_map; the range is [containerId, containerId + size). */
export interface IdMapping {
  readonly containerId: number;
  readonly hostId: number;
  readonly size: number;
}

/** The maps of a new user namespace. runtime writes them, init waits. */
export interface UserNamespacePlan {
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  /** Writes "deny" to setgroups first: the kernel demands it of unprivileged callers, user_namespaces(7). */
  readonly denySetgroups: boolean;
}

/** A program of config's `hooks`, already validated: path absolute, args with argv[0] (never empty). */
export interface HookPlan {
  readonly path: string;
  readonly args: readonly string[];
  /** "KEY=VALUE". */
  readonly env: readonly string[];
  /** From 1; left out, the hook may take for ever. */
  readonly timeoutMs?: number;
}

/**
 * As whom startContainer hooks run. Their programs come from the image, so they get what config's `process`
 * would have had there, never init's privileges. no_new_privs is always set.
 */
export interface HookCredentials {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Bit n is capability number n; the bounding set, which is what uid 0 gets. Other users have no capability. */
  readonly capabilities: bigint;
  /** 0 to 0o777. */
  readonly umask: number;
}

/** A limit of setrlimit(2). */
export interface RlimitPlan {
  /** "RLIMIT_NOFILE" and so on; init's table knows all 16 of Linux. */
  readonly type: RlimitName;
  /** 2^64-1 is RLIM_INFINITY. */
  readonly soft: bigint;
  readonly hard: bigint;
}

/** sched_setattr(2). Values are the kernel's own, decoded from config's names by the caller. */
export interface SchedulerPlan {
  /** SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, IDLE 5, DEADLINE 6. */
  readonly policy: number;
  /** SCHED_FLAG_* bits. */
  readonly flags: bigint;
  /** -20 to 19. */
  readonly nice: number;
  /** 0 to 99. */
  readonly priority: number;
  readonly runtimeNs: bigint;
  readonly deadlineNs: bigint;
  readonly periodNs: bigint;
}

/** ioprio_set(2) of the process. */
export interface IoPriorityPlan {
  /** IOPRIO_CLASS_RT 1, BE 2, IDLE 3. */
  readonly class: number;
  /** 0 (highest) to 7. */
  readonly priority: number;
}

/** One clock of a new time namespace, time_namespaces(7). */
export interface TimeOffset {
  readonly clock: 'monotonic' | 'boottime';
  readonly seconds: bigint;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

/** A pty of the container's own devpts instance becomes descriptors 0, 1, 2 and the controlling terminal. */
export interface TerminalPlan {
  /** Connected UNIX stream socket that gets the master (SCM_RIGHTS) with the pty's name as data. */
  readonly consoleSocketFd: number;
  /** Characters, 0 to 65535; 0 leaves the kernel's default. */
  readonly columns: number;
  readonly rows: number;
  /** No line discipline in the host: the guest has its own. */
  readonly raw: boolean;
}

/** What the tender finds itself in. Ids are as seen inside the container's user namespace. */
export interface JailPlan {
  /** Unprivileged and of this container alone (rootless: the one id that is mapped). */
  readonly uid: number;
  readonly gid: number;
  /** `--no-pivot`, for hosts that run from an initramfs: the root is moved and chroot(2)ed instead. */
  readonly noPivot: boolean;
}

/**
 * For the fault battery only (see faultFrom): at the named step of init either init dies on the spot
 * as if by SIGKILL, or init asks the runtime at its other end to kill itself, waits until it is gone, and goes on.
 */
export interface FaultPlan {
  readonly step: InitStep;
  readonly victim: 'init' | 'runtime';
}

/** See CgroupDoors in cgroups/index.ts. */
export interface CgroupPlan {
  readonly taskFds: readonly number[];
  readonly cloneFd?: number;
}

export interface LaunchPlan {
  /** The tender: a descriptor from sealedMemfd(..., 'executable'). */
  readonly executableFd: number;
  /** argv of the tender, argv[0] included. Its environment is empty, always. */
  readonly argv: readonly string[];
  /** Descriptors the tender finds open: element i becomes number 3 + i. Nothing else but 0, 1, 2 is open in it. */
  readonly descriptors: readonly number[];
  /** What becomes 0, 1, 2; usually [0, 1, 2]. With a terminal, init uses them only until the pty is there. */
  readonly stdio: readonly [number, number, number];
  /** Opens 0, 1, 2 anew (where the kernel can) so that O_NONBLOCK set by the tender reaches no other holder. */
  readonly reopenStdio: boolean;
  readonly terminal?: TerminalPlan;
  /** From listenUnix(): `start` connects to it. Close it after launch(), or start cannot see init's end. */
  readonly startSocketFd: number;

  /** How the container's process gets into its cgroups; left out, the caller moves it there when it is told its pid. */
  readonly cgroup?: CgroupPlan;

  /** Each kind at most once. Jail and pid file work with any subset: the jail's mount namespace is always its own. */
  readonly namespaces: readonly NamespacePlan[];
  /** Needed if and only if `namespaces` has a new user namespace. */
  readonly userNamespace?: UserNamespacePlan;
  readonly timeOffsets: readonly TimeOffset[];
  readonly hostname?: string;
  readonly domainname?: string;
  /** Keys with dots as sysctl(8) has them ("net.ipv4.ip_forward"), namespaced ones only. */
  readonly sysctls: readonly SysctlPlan[];

  /** The bundle's rootfs, O_PATH | O_DIRECTORY: cwd of createContainer hooks, root of startContainer hooks. */
  readonly rootfsFd: number;
  readonly createContainerHooks: readonly HookPlan[];
  readonly startContainerHooks: readonly HookPlan[];
  readonly hookCredentials: HookCredentials;

  /** Left out if there is nothing to serve. */
  readonly fileServer?: FileServerPlan;

  /** -1000 to 1000. An ordinary user cannot go below what /proc/self/oom_score_adj says. */
  readonly oomScoreAdj?: number;
  /** RLIMIT_CORE is 0 whatever is here. */
  readonly rlimits: readonly RlimitPlan[];
  readonly scheduler?: SchedulerPlan;
  readonly ioPriority?: IoPriorityPlan;
  /** False with `--no-new-keyring`. */
  readonly newKeyring: boolean;
  readonly jail: JailPlan;
  readonly fault?: FaultPlan;
}

/** tender/fileserver, which init starts beside the container's process. */
export interface FileServerPlan {
  /** From sealedMemfd(..., 'executable'). */
  readonly executableFd: number;
  /** Its end of the channel. */
  readonly channelFd: number;
  readonly windowFd: number;
  /** Its ends of the pipes on which it sends data; at most 4 (RUNNC_FILES_PIPES). */
  readonly pipeFds: readonly number[];
  /** Its program is executed once the guest asks it for something; what goes wrong before that, nobody is told. */
  readonly onDemand: boolean;
  /** At least one, at most 64 (RUNNC_FILES_MOUNTS_MAX). */
  readonly mounts: readonly ServedMount[];
}

export interface ServedMount {
  /** O_PATH. Init goes by its path and compares: a mount of this namespace cannot be mounted again from another. */
  readonly fd: number;
  /** With what is mounted inside. */
  readonly recursive: boolean;
  readonly readonly: boolean;
  readonly noatime: boolean;
}

export interface SysctlPlan {
  readonly key: string;
  readonly value: string;
}

/** In the kernel's numbering (RLIMIT_CPU is 0). */
export const rlimitNames = [
  'RLIMIT_CPU',
  'RLIMIT_FSIZE',
  'RLIMIT_DATA',
  'RLIMIT_STACK',
  'RLIMIT_CORE',
  'RLIMIT_RSS',
  'RLIMIT_NPROC',
  'RLIMIT_NOFILE',
  'RLIMIT_MEMLOCK',
  'RLIMIT_AS',
  'RLIMIT_LOCKS',
  'RLIMIT_SIGPENDING',
  'RLIMIT_MSGQUEUE',
  'RLIMIT_NICE',
  'RLIMIT_RTPRIO',
  'RLIMIT_RTTIME',
] as const;
export type RlimitName = (typeof rlimitNames)[number];

/**
 * The steps of init in the order in which they are reached (tender/init/init.c names the same); each is the
 * moment *before* the step is done. Those from 'start-requested' on happen at start, the others at create; 'jail' and
 * 'credentials' do only if there are startContainer hooks, else they stand between 'root' and 'report-created'.
 */
export const initSteps = [
  'user-namespace',
  'namespaces',
  'clone',
  'report-namespaces',
  'configure-namespaces',
  'create-container-hooks',
  'terminal',
  'file-server',
  'root',
  'report-created',
  'start-requested',
  'start-container-hooks',
  'jail',
  'credentials',
  'exec',
] as const;
export type InitStep = (typeof initSteps)[number];

/**
 * The fault battery's switch, from the runtime's own environment (RUNNC_FAULT="init:STEP" or "runtime:STEP"): whoever
 * may set that may as well kill the runtime. Neither config nor image can reach it. Undefined if unset or unknown.
 */
export function faultFrom(value: string | undefined): FaultPlan | undefined {
  const [victim, name] = (value ?? '').split(':');
  const step = initSteps.find((known) => known === name);
  if (step === undefined || (victim !== 'init' && victim !== 'runtime')) return undefined;
  return { step, victim };
}
