/** What cgroup v1 counted, read file by file; what a host does not have is left out. */
import { readFileIn } from './file.ts';
import { lines, parseFlat, parseList, parseNumber } from './format.ts';
import { NO_LIMIT, type BlkioEntry, type CgroupStats, type HugetlbEntry, type MemoryEntry } from './stats.ts';
import { hugePageSizes } from './hugetlb.ts';

type Paths = Readonly<Record<string, string>>;

/** cpuacct.stat counts in USER_HZ, which is 100 on x86-64. */
const NS_PER_TICK = 10_000_000;

export function readStats(paths: Paths): CgroupStats {
  return {
    cpu: { usage: cpuUsage(paths['cpuacct']), throttling: throttling(paths['cpu']) },
    cpuset: cpuset(paths['cpuset']),
    memory: memory(paths['memory']),
    pids: pids(paths['pids']),
    blkio: blkio(paths['blkio']),
    hugetlb: hugetlb(paths['hugetlb']),
    intel_rdt: {},
    network_interfaces: null,
  };
}

function read(dir: string | undefined, file: string): string | undefined {
  return dir === undefined ? undefined : readFileIn(dir, file);
}

function numberIn(dir: string | undefined, file: string): number {
  return parseNumber(read(dir, file)) ?? 0;
}

function cpuUsage(dir: string | undefined): CgroupStats['cpu']['usage'] {
  const ticks = parseFlat(read(dir, 'cpuacct.stat'));
  // "cpu user system", a header and one line for each CPU.
  const perCpu = lines(read(dir, 'cpuacct.usage_all'))
    .slice(1)
    .map((line) => line.split(' ').map(Number));
  return {
    total: numberIn(dir, 'cpuacct.usage'),
    percpu: (read(dir, 'cpuacct.usage_percpu') ?? '').trim().split(' ').filter(Boolean).map(Number),
    percpu_kernel: perCpu.map(([, , system = 0]) => system),
    percpu_user: perCpu.map(([, user = 0]) => user),
    kernel: (ticks['system'] ?? 0) * NS_PER_TICK,
    user: (ticks['user'] ?? 0) * NS_PER_TICK,
  };
}

function throttling(dir: string | undefined): CgroupStats['cpu']['throttling'] {
  const stat = parseFlat(read(dir, 'cpu.stat'));
  return {
    periods: stat['nr_periods'] ?? 0,
    throttledPeriods: stat['nr_throttled'] ?? 0,
    throttledTime: stat['throttled_time'] ?? 0,
  };
}

function cpuset(dir: string | undefined): CgroupStats['cpuset'] {
  return {
    cpus: parseList(read(dir, 'cpuset.cpus')),
    cpu_exclusive: numberIn(dir, 'cpuset.cpu_exclusive'),
    mems: parseList(read(dir, 'cpuset.mems')),
    mem_hardwall: numberIn(dir, 'cpuset.mem_hardwall'),
    mem_exclusive: numberIn(dir, 'cpuset.mem_exclusive'),
    memory_migrate: numberIn(dir, 'cpuset.memory_migrate'),
    memory_spread_page: numberIn(dir, 'cpuset.memory_spread_page'),
    memory_spread_slab: numberIn(dir, 'cpuset.memory_spread_slab'),
    memory_pressure: numberIn(dir, 'cpuset.memory_pressure'),
    sched_load_balance: numberIn(dir, 'cpuset.sched_load_balance'),
    sched_relax_domain_level: numberIn(dir, 'cpuset.sched_relax_domain_level'),
  };
}

function memory(dir: string | undefined): CgroupStats['memory'] {
  const raw = parseFlat(read(dir, 'memory.stat'));
  const entry = (name: string): MemoryEntry => ({
    limit: numberIn(dir, `memory.${name}limit_in_bytes`),
    usage: numberIn(dir, `memory.${name}usage_in_bytes`),
    max: numberIn(dir, `memory.${name}max_usage_in_bytes`),
    failcnt: numberIn(dir, `memory.${name}failcnt`),
  });
  return {
    cache: raw['cache'] ?? 0,
    usage: entry(''),
    swap: entry('memsw.'),
    kernel: entry('kmem.'),
    kernelTCP: entry('kmem.tcp.'),
    raw,
  };
}

function pids(dir: string | undefined): CgroupStats['pids'] {
  const limit = numberIn(dir, 'pids.max');
  return { current: numberIn(dir, 'pids.current'), limit: limit === NO_LIMIT ? 0 : limit };
}

/**
 * With the BFQ scheduler it counts by queue; without it its files are there and empty, and those of the
 * throttling layer count. "Total" lines without a device are sums and left out, as in runc.
 */
function blkio(dir: string | undefined): CgroupStats['blkio'] {
  const entries = (...files: readonly string[]): readonly BlkioEntry[] => {
    for (const file of files) {
      const found = lines(read(dir, file))
        .map(parseBlkio)
        .flatMap((entry) => entry ?? []);
      if (found.length > 0) return found;
    }
    return [];
  };
  return {
    ioServiceBytesRecursive: entries(
      'blkio.bfq.io_service_bytes_recursive',
      'blkio.throttle.io_service_bytes_recursive',
      'blkio.throttle.io_service_bytes',
    ),
    ioServicedRecursive: entries(
      'blkio.bfq.io_serviced_recursive',
      'blkio.throttle.io_serviced_recursive',
      'blkio.throttle.io_serviced',
    ),
    ioQueueRecursive: entries('blkio.bfq.io_queued_recursive'),
    ioServiceTimeRecursive: entries('blkio.bfq.io_service_time_recursive'),
    ioWaitTimeRecursive: entries('blkio.bfq.io_wait_time_recursive'),
    ioMergedRecursive: entries('blkio.bfq.io_merged_recursive'),
    ioTimeRecursive: entries('blkio.bfq.time_recursive'),
    sectorsRecursive: entries('blkio.bfq.sectors_recursive'),
  };
}

/** "8:0 Read 4096", or "8:0 4096" in files that do not tell operations apart. */
function parseBlkio(line: string): BlkioEntry | undefined {
  const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line);
  if (!match) return undefined;
  const [, major, minor, op = '', value] = match;
  return { major: Number(major), minor: Number(minor), op, value: Number(value) };
}

function hugetlb(dir: string | undefined): Readonly<Record<string, HugetlbEntry>> {
  const result: Record<string, HugetlbEntry> = {};
  for (const size of hugePageSizes(dir, '.limit_in_bytes')) {
    result[size] = {
      usage: numberIn(dir, `hugetlb.${size}.usage_in_bytes`),
      max: numberIn(dir, `hugetlb.${size}.max_usage_in_bytes`),
      failcnt: numberIn(dir, `hugetlb.${size}.failcnt`),
    };
  }
  return result;
}
