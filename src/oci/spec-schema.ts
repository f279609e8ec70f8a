/** The schema of config.json (spec.ts) and of `update --resources`. */
import {
  absolutePath,
  array,
  boolean,
  int64,
  integer,
  leaf,
  matching,
  nonEmptyString,
  object,
  oneOf,
  record,
  string,
  uint16,
  uint32,
  uint64,
} from './schema.ts';
import type * as spec from './spec.ts';

const strings = array(string);

const version = matching('a version 1.x such as "1.2.0"', /^1\.\d+\.\d+([-+][\w.+-]+)?$/);

/** The kernel's bound on a mapping entry. */
const idMapping = object<spec.IdMapping>(
  { containerID: uint32, hostID: uint32, size: integer(1, 0xffffffff) },
  {},
);
const idMappings = array(idMapping);

export const processSchema = object<spec.Process>(
  { cwd: absolutePath },
  {
    terminal: boolean,
    consoleSize: object<spec.ConsoleSize>({ height: uint16, width: uint16 }, {}),
    user: object<spec.User>(
      {},
      {
        uid: uint32,
        gid: uint32,
        umask: integer(0, 0o7777),
        additionalGids: array(uint32),
        username: string,
      },
    ),
    args: array(string, 1),
    env: strings,
    capabilities: object<spec.Capabilities>(
      {},
      { bounding: strings, effective: strings, inheritable: strings, permitted: strings, ambient: strings },
    ),
    rlimits: array(
      object<spec.Rlimit>(
        { type: matching('a name such as "RLIMIT_NOFILE"', /^RLIMIT_[A-Z]+$/), soft: uint64, hard: uint64 },
        {},
      ),
    ),
    noNewPrivileges: boolean,
    apparmorProfile: string,
    oomScoreAdj: integer(-1000, 1000),
    scheduler: object<spec.Scheduler>(
      {
        policy: oneOf(
          'SCHED_OTHER',
          'SCHED_FIFO',
          'SCHED_RR',
          'SCHED_BATCH',
          'SCHED_ISO',
          'SCHED_IDLE',
          'SCHED_DEADLINE',
        ),
      },
      {
        nice: integer(-20, 19),
        priority: integer(0, 99),
        flags: strings,
        runtime: uint64,
        deadline: uint64,
        period: uint64,
      },
    ),
    selinuxLabel: string,
    ioPriority: object<spec.IoPriority>(
      { class: oneOf('IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE') },
      { priority: integer(0, 7) },
    ),
    execCPUAffinity: object<spec.ExecCpuAffinity>({}, { initial: string, final: string }),
  },
);

const hooks = array(
  object<spec.Hook>(
    { path: absolutePath },
    {
      args: strings,
      env: strings,
      timeout: integer(1, 2 ** 31 - 1),
    },
  ),
);

const throttle = array(object<spec.ThrottleDevice>({ major: int64, minor: int64, rate: uint64 }, {}));

/** Memory limits: -1 means none. */
const limit = leaf<number>('bytes, or -1 for no limit', '', (value) => isInt64(value) && Number(value) >= -1);

export const resourcesSchema = object<spec.Resources>(
  {},
  {
    devices: array(
      object<spec.DeviceRule>(
        { allow: boolean },
        {
          type: oneOf('', 'a', 'b', 'c'),
          major: int64,
          minor: int64,
          access: matching('a set of the letters r, w and m', /^[rwm]*$/),
        },
      ),
    ),
    memory: object<spec.MemoryResources>(
      {},
      {
        limit,
        reservation: limit,
        swap: limit,
        kernel: limit,
        kernelTCP: limit,
        // Go callers write all ones for "not set".
        swappiness: leaf('an integer from 0 to 100', '', isSwappiness),
        disableOOMKiller: boolean,
        useHierarchy: boolean,
        checkBeforeUpdate: boolean,
      },
    ),
    cpu: object<spec.CpuResources>(
      {},
      {
        shares: uint64,
        quota: int64,
        burst: uint64,
        period: uint64,
        realtimeRuntime: int64,
        realtimePeriod: uint64,
        cpus: matching('a list such as "0-3,7"', /^[\d,\-\s]*$/),
        mems: matching('a list such as "0-1"', /^[\d,\-\s]*$/),
        idle: integer(0, 1),
      },
    ),
    pids: object<{ readonly limit?: number }>({}, { limit: int64 }),
    blockIO: object<spec.BlockIoResources>(
      {},
      {
        weight: uint16,
        leafWeight: uint16,
        weightDevice: array(
          object<spec.WeightDevice>({ major: int64, minor: int64 }, { weight: uint16, leafWeight: uint16 }),
        ),
        throttleReadBpsDevice: throttle,
        throttleWriteBpsDevice: throttle,
        throttleReadIOPSDevice: throttle,
        throttleWriteIOPSDevice: throttle,
      },
    ),
    hugepageLimits: array(
      object<spec.HugepageLimit>(
        { pageSize: matching('a size such as "2MB"', /^[1-9]\d*(KB|MB|GB)$/), limit: uint64 },
        {},
      ),
    ),
    network: object<spec.NetworkResources>(
      {},
      {
        classID: uint32,
        priorities: array(
          object<{ readonly name: string; readonly priority: number }>(
            { name: string, priority: uint32 },
            {},
          ),
        ),
      },
    ),
    rdma: record(object<spec.RdmaLimit>({}, { hcaHandles: uint32, hcaObjects: uint32 })),
    unified: record(string),
  },
);

const linux = object<spec.Linux>(
  {},
  {
    uidMappings: idMappings,
    gidMappings: idMappings,
    sysctl: record(string),
    resources: resourcesSchema,
    cgroupsPath: string,
    namespaces: array(
      object<spec.Namespace>(
        { type: oneOf('pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time') },
        // Go callers write an empty path for "make a new one".
        { path: leaf('an absolute path', 'absolute paths', isEmptyOrAbsolute) },
      ),
    ),
    devices: array(
      object<spec.DeviceNode>(
        { path: absolutePath, type: oneOf('c', 'u', 'b', 'p') },
        { major: int64, minor: int64, fileMode: integer(0, 0o177777), uid: uint32, gid: uint32 },
      ),
    ),
    netDevices: record(object<{ readonly name?: string }>({}, { name: string })),
    seccomp: object<spec.Seccomp>(
      { defaultAction: nonEmptyString },
      {
        defaultErrnoRet: uint32,
        architectures: strings,
        flags: strings,
        listenerPath: string,
        listenerMetadata: string,
        syscalls: array(
          object<spec.SeccompSyscall>(
            { names: array(string, 1), action: nonEmptyString },
            {
              errnoRet: uint32,
              args: array(
                object<spec.SeccompArg>(
                  { index: integer(0, 5), value: uint64, op: nonEmptyString },
                  { valueTwo: uint64 },
                ),
              ),
            },
          ),
        ),
      },
    ),
    rootfsPropagation: oneOf(
      '',
      'slave',
      'private',
      'shared',
      'unbindable',
      'rslave',
      'rprivate',
      'rshared',
      'runbindable',
    ),
    maskedPaths: strings,
    readonlyPaths: strings,
    mountLabel: string,
    intelRdt: object<spec.IntelRdt>(
      {},
      {
        closID: string,
        schemata: strings,
        l3CacheSchema: string,
        memBwSchema: string,
        enableMonitoring: boolean,
      },
    ),
    memoryPolicy: object<spec.MemoryPolicy>({ mode: nonEmptyString }, { nodes: string, flags: strings }),
    personality: object<spec.Personality>({ domain: oneOf('LINUX', 'LINUX32') }, { flags: strings }),
    timeOffsets: record(object<spec.TimeOffset>({}, { secs: int64, nanosecs: integer(0, 999_999_999) })),
  },
);

export const specSchema = object<spec.Spec>(
  { ociVersion: version },
  {
    process: processSchema,
    root: object<spec.Root>({ path: nonEmptyString }, { readonly: boolean }),
    hostname: string,
    domainname: string,
    mounts: array(
      object<spec.Mount>(
        { destination: nonEmptyString },
        { type: string, source: string, options: strings, uidMappings: idMappings, gidMappings: idMappings },
      ),
    ),
    hooks: object<spec.Hooks>(
      {},
      {
        prestart: hooks,
        createRuntime: hooks,
        createContainer: hooks,
        startContainer: hooks,
        poststart: hooks,
        poststop: hooks,
      },
    ),
    annotations: record(string),
    linux,
  },
);

function isInt64(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63;
}

function isSwappiness(value: unknown): boolean {
  return (
    Number.isInteger(value) && ((Number(value) >= 0 && Number(value) <= 100) || Number(value) === 2 ** 64)
  );
}

function isEmptyOrAbsolute(value: unknown): boolean {
  return value === '' || (typeof value === 'string' && value.startsWith('/') && !value.includes('\0'));
}
