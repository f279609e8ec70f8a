/**
 * linux.resources as the files of cgroup v2.
 *
 * linux.resources.devices is not applied: on cgroup v2 it takes an eBPF program, and here there is nothing for it
 * to guard. The jail has an empty root without any device node, no CAP_MKNOD to make one, and the tender's
 * filter has no open(2); the tap and the block images come in as descriptors that are open already.
 */
import { existsSync } from '../../files.ts';
import { join } from '../../path.ts';
import type { BlockIoResources, CpuResources, MemoryResources, Resources } from '../../oci/spec.ts';
import { RunncError } from '../../errors.ts';
import { readFileIn, writeLimit } from './file.ts';
import { cpuWeight, decimal, ioWeight, v2Limit } from './format.ts';
import { applyRdma, fileWord, refuseBelowUsage } from './v1-limits.ts';

export function applyLimits(dir: string, resources: Resources): void {
  applyPids(dir, resources);
  applyMemory(dir, resources.memory ?? {});
  applyCpu(dir, resources.cpu ?? {});
  applyIo(dir, resources.blockIO ?? {});
  for (const [index, { pageSize, limit }] of (resources.hugepageLimits ?? []).entries()) {
    const file = `hugetlb.${fileWord(pageSize, `hugepageLimits[${index}].pageSize`)}`;
    const field = `hugepageLimits[${index}].limit`;
    writeLimit(dir, `${file}.max`, v2Limit(limit), field);
    // Reserved pages are counted apart since Linux 5.7; unlimited, they would pass by the limit.
    if (existsSync(join(dir, `${file}.rsvd.max`))) writeLimit(dir, `${file}.rsvd.max`, v2Limit(limit), field);
  }
  if (resources.network?.classID || resources.network?.priorities?.length) {
    throw new RunncError(
      'UNSUPPORTED',
      'linux.resources.network: cgroup v2 has no class ids and no priorities',
    );
  }
  applyRdma(dir, resources);
  applyUnified(dir, resources.unified ?? {});
}

function applyPids(dir: string, { pids }: Resources): void {
  if (pids?.limit) writeLimit(dir, 'pids.max', v2Limit(pids.limit), 'pids.limit');
}

function applyMemory(dir: string, memory: MemoryResources): void {
  const { limit = 0, reservation = 0 } = memory;
  if (memory.checkBeforeUpdate && limit > 0) refuseBelowUsage(dir, 'memory.current', limit);
  const swap = swapAlone(memory);
  if (swap !== undefined) writeLimit(dir, 'memory.swap.max', v2Limit(swap), 'memory.swap');
  if (limit !== 0) writeLimit(dir, 'memory.max', v2Limit(limit), 'memory.limit');
  if (reservation !== 0) writeLimit(dir, 'memory.low', v2Limit(reservation), 'memory.reservation');
}

/** config.json counts memory and swap together, cgroup v2 counts swap alone. */
export function swapAlone({ limit = 0, swap = 0 }: MemoryResources): number | undefined {
  // Memory without a limit lifts a limit on swap as well, as on cgroup v1.
  if (swap === 0) return limit < 0 ? -1 : undefined;
  if (swap < 0) return -1;
  if (limit <= 0) {
    throw new RunncError(
      'INVALID',
      'linux.resources.memory.swap: needs memory.limit as well, it counts both together',
    );
  }
  if (swap < limit) {
    throw new RunncError(
      'INVALID',
      'linux.resources.memory.swap: must not be less than memory.limit, it counts both together',
    );
  }
  return swap - limit;
}

function applyCpu(dir: string, cpu: CpuResources): void {
  const { shares = 0, quota = 0, period = 0, burst } = cpu;
  if (cpu.realtimePeriod || cpu.realtimeRuntime) {
    throw new RunncError(
      'UNSUPPORTED',
      'linux.resources.cpu.realtimeRuntime: cgroup v2 has no realtime limits',
    );
  }
  if (shares !== 0) writeLimit(dir, 'cpu.weight', decimal(cpuWeight(shares)), 'cpu.shares');
  if (cpu.idle !== undefined) writeLimit(dir, 'cpu.idle', decimal(cpu.idle), 'cpu.idle');
  if (quota !== 0 || period !== 0) {
    // A smaller quota may be too small for the old burst.
    if (burst !== undefined) writeLimit(dir, 'cpu.max.burst', '0', 'cpu.burst');
    const [oldQuota = 'max', oldPeriod = '100000'] = (readFileIn(dir, 'cpu.max') ?? '').trim().split(' ');
    const max = `${quota === 0 ? oldQuota || 'max' : v2Limit(quota)} ${period === 0 ? oldPeriod : decimal(period)}`;
    writeLimit(dir, 'cpu.max', max, quota === 0 ? 'cpu.period' : 'cpu.quota');
  }
  if (burst !== undefined) writeLimit(dir, 'cpu.max.burst', decimal(burst), 'cpu.burst');
  if (cpu.cpus) writeLimit(dir, 'cpuset.cpus', cpu.cpus, 'cpu.cpus');
  if (cpu.mems) writeLimit(dir, 'cpuset.mems', cpu.mems, 'cpu.mems');
}

function applyIo(dir: string, io: BlockIoResources): void {
  if (io.leafWeight || io.weightDevice?.some(({ leafWeight }) => leafWeight)) {
    throw new RunncError('UNSUPPORTED', 'linux.resources.blockIO.leafWeight: cgroup v2 has no leaf weights');
  }
  // BFQ's file takes cgroup v1's range as it is.
  const bfq = existsSync(join(dir, 'io.bfq.weight'));
  const [file, scale] = bfq ? ['io.bfq.weight', decimal] : ['io.weight', (w: number) => decimal(ioWeight(w))];
  if (io.weight) writeLimit(dir, file, `default ${scale(io.weight)}`, 'blockIO.weight');
  for (const [index, { major, minor, weight }] of (io.weightDevice ?? []).entries()) {
    if (!weight) continue;
    writeLimit(dir, file, `${major}:${minor} ${scale(weight)}`, `blockIO.weightDevice[${index}].weight`);
  }
  const throttles = [
    ['throttleReadBpsDevice', 'rbps'],
    ['throttleWriteBpsDevice', 'wbps'],
    ['throttleReadIOPSDevice', 'riops'],
    ['throttleWriteIOPSDevice', 'wiops'],
  ] as const;
  for (const [name, key] of throttles) {
    for (const [index, { major, minor, rate }] of (io[name] ?? []).entries()) {
      // To cgroup v1 a rate of 0 is no limit; cgroup v2 has a word for it.
      const limit = rate === 0 ? 'max' : decimal(rate);
      writeLimit(dir, 'io.max', `${major}:${minor} ${key}=${limit}`, `blockIO.${name}[${index}].rate`);
    }
  }
}

function applyUnified(dir: string, unified: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(unified)) {
    const field = `unified[${JSON.stringify(file)}]`;
    // A controller's file: never a path, and never one that says who is in the cgroup.
    if (!/^[a-z]\w*\.[\w.-]+$/.test(file) || file.startsWith('cgroup.')) {
      throw new RunncError('INVALID', `linux.resources.${field}: is not the name of a controller's file`);
    }
    writeLimit(dir, file, text, field);
  }
}
