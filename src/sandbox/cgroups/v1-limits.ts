/** linux.resources as the files of cgroup v1. The order of the writes matters where a comment says so. */
import { closeSync, constants, existsSync, openSync, writeSync } from '../../files.ts';
import { join } from '../../path.ts';
import type {
  BlockIoResources,
  CpuResources,
  DeviceRule,
  MemoryResources,
  Resources,
} from '../../oci/spec.ts';
import { RunncError } from '../../errors.ts';
import { readFileIn, writeLimit } from './file.ts';
import { decimal, parseNumber, v1Limit } from './format.ts';

type Paths = Readonly<Record<string, string>>;

export function applyLimits(paths: Paths, resources: Resources): void {
  if (resources.unified && Object.keys(resources.unified).length > 0) {
    throw new RunncError(
      'UNSUPPORTED',
      'linux.resources.unified: this host has cgroup v1, unified needs cgroup v2',
    );
  }
  applyMemory(paths['memory'], resources.memory ?? {});
  applyCpu(paths['cpu'], resources.cpu ?? {});
  applyCpuset(paths['cpuset'], resources.cpu ?? {});
  if (resources.pids?.limit) {
    const { limit } = resources.pids;
    writeLimit(paths['pids'], 'pids.max', limit < 0 ? 'max' : decimal(limit), 'pids.limit');
  }
  applyBlockIo(paths['blkio'], resources.blockIO ?? {});
  for (const [index, { pageSize, limit }] of (resources.hugepageLimits ?? []).entries()) {
    const file = `hugetlb.${fileWord(pageSize, `hugepageLimits[${index}].pageSize`)}`;
    const field = `hugepageLimits[${index}].limit`;
    const dir = paths['hugetlb'];
    writeLimit(dir, `${file}.limit_in_bytes`, v1Limit(limit), field);
    // Reserved pages are counted apart since Linux 5.7; unlimited, they would pass by the limit.
    if (dir !== undefined && existsSync(join(dir, `${file}.rsvd.limit_in_bytes`))) {
      writeLimit(dir, `${file}.rsvd.limit_in_bytes`, v1Limit(limit), field);
    }
  }
  if (resources.network?.classID) {
    writeLimit(paths['net_cls'], 'net_cls.classid', decimal(resources.network.classID), 'network.classID');
  }
  for (const [index, { name, priority }] of (resources.network?.priorities ?? []).entries()) {
    writeLimit(
      paths['net_prio'],
      'net_prio.ifpriomap',
      `${name} ${decimal(priority)}`,
      `network.priorities[${index}]`,
    );
  }
  applyRdma(paths['rdma'], resources);
}

/** The same file in both versions. */
export function applyRdma(dir: string | undefined, resources: Resources): void {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    const limits = [
      hcaHandles === undefined ? [] : [`hca_handle=${decimal(hcaHandles)}`],
      hcaObjects === undefined ? [] : [`hca_object=${decimal(hcaObjects)}`],
    ].flat();
    if (limits.length > 0) writeLimit(dir, 'rdma.max', `${device} ${limits.join(' ')}`, `rdma.${device}`);
  }
}

/** A part of a file name that config.json gives: must not lead to another file. */
export function fileWord(word: string, field: string): string {
  if (/^[\w.-]{1,64}$/.test(word)) return word;
  throw new RunncError(
    'INVALID',
    `linux.resources.${field}: ${JSON.stringify(word)} is not a name of the kernel's`,
  );
}

function applyMemory(dir: string | undefined, memory: MemoryResources): void {
  const { limit = 0, reservation = 0, swappiness } = memory;
  // Unlimited memory below a limit for memory and swap together means nothing: both are lifted (as in runc).
  const swap = limit < 0 && !memory.swap && hasSwapAccounting(dir) ? -1 : (memory.swap ?? 0);
  if (memory.checkBeforeUpdate && limit > 0) refuseBelowUsage(dir, 'memory.usage_in_bytes', limit);
  const writeMemory = (): void => {
    if (limit === 0) return;
    try {
      writeLimit(dir, 'memory.limit_in_bytes', v1Limit(limit), 'memory.limit');
    } catch (error) {
      // EBUSY does not say so, but there is more in use than the kernel could reclaim.
      refuseBelowUsage(dir, 'memory.usage_in_bytes', limit);
      throw error;
    }
  };
  const writeSwap = (): void => {
    if (swap === 0) return;
    writeLimit(dir, 'memory.memsw.limit_in_bytes', v1Limit(swap), 'memory.swap');
  };
  // The kernel keeps limit <= memsw at every moment: what grows must grow first.
  const current = dir === undefined ? undefined : parseNumber(readFileIn(dir, 'memory.limit_in_bytes'));
  if (limit !== 0 && (swap < 0 || (current !== undefined && current < swap))) {
    writeSwap();
    writeMemory();
  } else {
    writeMemory();
    writeSwap();
  }
  if (reservation !== 0) {
    writeLimit(dir, 'memory.soft_limit_in_bytes', v1Limit(reservation), 'memory.reservation');
  }
  if (memory.disableOOMKiller) writeLimit(dir, 'memory.oom_control', '1', 'memory.disableOOMKiller');
  if (swappiness !== undefined) {
    if (swappiness < 0 || swappiness > 100) {
      throw new RunncError(
        'INVALID',
        `linux.resources.memory.swappiness: ${swappiness} is not within 0 to 100`,
      );
    }
    writeLimit(dir, 'memory.swappiness', decimal(swappiness), 'memory.swappiness');
  }
}

function hasSwapAccounting(dir: string | undefined): boolean {
  return dir !== undefined && existsSync(join(dir, 'memory.memsw.limit_in_bytes'));
}

export function refuseBelowUsage(dir: string | undefined, file: string, limit: number): void {
  const usage = dir === undefined ? undefined : parseNumber(readFileIn(dir, file));
  if (usage === undefined || limit >= usage) return;
  throw new RunncError(
    'INVALID',
    `linux.resources.memory.limit: unable to set memory limit to ${decimal(limit)} (current usage: ${decimal(usage)})`,
  );
}

function applyCpu(dir: string | undefined, cpu: CpuResources): void {
  const { shares = 0, quota = 0, period = 0, burst, realtimePeriod = 0, realtimeRuntime = 0 } = cpu;
  if (shares !== 0) writeShares(dir, shares);
  // Each is checked against the other as it stands: a smaller period may be too small for the old quota, and
  // a smaller quota for the old burst. Where the first write is refused the second makes room for it.
  if (burst !== undefined && quota !== 0) writeLimit(dir, 'cpu.cfs_burst_us', '0', 'cpu.burst');
  const writePeriod = (): void => {
    writeLimit(dir, 'cpu.cfs_period_us', decimal(period), 'cpu.period');
  };
  const writeQuota = (): void => writeLimit(dir, 'cpu.cfs_quota_us', v1Limit(quota), 'cpu.quota');
  const periodLater = period !== 0 && quota !== 0 && !succeeds(writePeriod);
  if (period !== 0 && quota === 0) writePeriod();
  if (quota !== 0) writeQuota();
  if (periodLater) writePeriod();
  if (burst !== undefined && burst >= 0) writeLimit(dir, 'cpu.cfs_burst_us', decimal(burst), 'cpu.burst');
  if (realtimePeriod !== 0) {
    writeLimit(dir, 'cpu.rt_period_us', decimal(realtimePeriod), 'cpu.realtimePeriod');
  }
  if (realtimeRuntime !== 0) {
    writeLimit(dir, 'cpu.rt_runtime_us', v1Limit(realtimeRuntime), 'cpu.realtimeRuntime');
  }
  if (cpu.idle !== undefined) writeLimit(dir, 'cpu.idle', decimal(cpu.idle), 'cpu.idle');
}

/** The kernel clamps what is out of its range without a word: compared, so that it is not taken for set. */
function writeShares(dir: string | undefined, shares: number): void {
  writeLimit(dir, 'cpu.shares', decimal(shares), 'cpu.shares');
  const set = dir === undefined ? undefined : parseNumber(readFileIn(dir, 'cpu.shares'));
  if (set === undefined || set === shares) return;
  const bound = shares > set ? 'maximum' : 'minimum';
  throw new RunncError(
    'INVALID',
    `linux.resources.cpu.shares: the ${bound} allowed cpu-shares is ${decimal(set)}`,
  );
}

function succeeds(write: () => void): boolean {
  try {
    write();
    return true;
  } catch {
    return false;
  }
}

function applyCpuset(dir: string | undefined, cpu: CpuResources): void {
  if (cpu.cpus) writeLimit(dir, 'cpuset.cpus', cpu.cpus, 'cpu.cpus');
  if (cpu.mems) writeLimit(dir, 'cpuset.mems', cpu.mems, 'cpu.mems');
}

function applyBlockIo(dir: string | undefined, io: BlockIoResources): void {
  // Which of the two there is depends on the kernel and on the I/O scheduler.
  const weights =
    dir === undefined || existsSync(join(dir, 'blkio.weight')) ? 'blkio.weight' : 'blkio.bfq.weight';
  if (io.weight) writeLimit(dir, weights, decimal(io.weight), 'blockIO.weight');
  if (io.leafWeight) writeLimit(dir, 'blkio.leaf_weight', decimal(io.leafWeight), 'blockIO.leafWeight');
  for (const [index, { major, minor, weight, leafWeight }] of (io.weightDevice ?? []).entries()) {
    const field = `blockIO.weightDevice[${index}]`;
    if (weight)
      writeLimit(dir, `${weights}_device`, `${major}:${minor} ${decimal(weight)}`, `${field}.weight`);
    if (leafWeight) {
      writeLimit(
        dir,
        'blkio.leaf_weight_device',
        `${major}:${minor} ${decimal(leafWeight)}`,
        `${field}.leafWeight`,
      );
    }
  }
  const throttles = [
    ['throttleReadBpsDevice', 'blkio.throttle.read_bps_device'],
    ['throttleWriteBpsDevice', 'blkio.throttle.write_bps_device'],
    ['throttleReadIOPSDevice', 'blkio.throttle.read_iops_device'],
    ['throttleWriteIOPSDevice', 'blkio.throttle.write_iops_device'],
  ] as const;
  for (const [name, file] of throttles) {
    for (const [index, { major, minor, rate }] of (io[name] ?? []).entries()) {
      writeLimit(dir, file, `${major}:${minor} ${decimal(rate)}`, `blockIO.${name}[${index}].rate`);
    }
  }
}

/**
 * What every container may use (runtime-spec, config-linux.md "Default Devices") and the tap's door, which init
 * opens from inside. Making nodes is allowed as runc allows it; the jail has no capability for it.
 */
const DEFAULT_DEVICES = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm', // null
  'c 1:5 rwm', // zero
  'c 1:7 rwm', // full
  'c 1:8 rwm', // random
  'c 1:9 rwm', // urandom
  'c 5:0 rwm', // tty
  'c 5:1 rwm', // console
  'c 5:2 rwm', // ptmx
  'c 136:* rwm', // pts
  'c 10:200 rwm', // net/tun
];

/** Only for a cgroup that is still empty: all is forbidden first. */
export function applyDevices(dir: string | undefined, rules: readonly DeviceRule[]): void {
  // Without the controller nothing is lost: the jail has no device nodes and cannot make any.
  if (dir === undefined) return;
  writeLimit(dir, 'devices.deny', 'a', 'devices');
  for (const [index, rule] of rules.entries()) {
    const file = rule.allow ? 'devices.allow' : 'devices.deny';
    writeLimit(dir, file, deviceRule(rule, index), `devices[${index}]`);
  }
  const allow = openSync(join(dir, 'devices.allow'), constants.O_WRONLY);
  try {
    for (const rule of DEFAULT_DEVICES) {
      // Refused where the cgroup above does not have the device either: then there is nothing to give.
      succeeds(() => writeSync(allow, rule));
    }
  } finally {
    closeSync(allow);
  }
}

function deviceRule({ type = 'a', major, minor, access }: DeviceRule, index: number): string {
  const field = `linux.resources.devices[${index}]`;
  const kind = type === 'u' ? 'c' : type;
  if (!['a', 'b', 'c'].includes(kind)) {
    throw new RunncError('INVALID', `${field}.type: ${JSON.stringify(type)} is none of a, b, c, u`);
  }
  if (access && !/^[rwm]+$/.test(access)) {
    throw new RunncError('INVALID', `${field}.access: ${JSON.stringify(access)} is not made of r, w and m`);
  }
  // The kernel reads nothing behind an "a".
  if (kind === 'a') return 'a';
  const number = (value: number | undefined): string =>
    value === undefined || value < 0 ? '*' : decimal(value);
  return `${kind} ${number(major)}:${number(minor)} ${access || 'rwm'}`;
}
