/** What cgroup v2 counted, in cgroup v1's terms, which are those of `runc events --stats`. */
import { readFileIn } from './file.ts';
import { lines, parseFlat, parseList, parseNumber } from './format.ts';
import { hugePageSizes } from './hugetlb.ts';
import { NO_LIMIT, type BlkioEntry, type CgroupStats, type HugetlbEntry, type MemoryEntry } from './stats.ts';

const NS_PER_US = 1000;
const NOTHING: MemoryEntry = { limit: 0, failcnt: 0 };

export function readStats(dir: string | undefined): CgroupStats {
  const cpu = parseFlat(read(dir, 'cpu.stat'));
  return {
    cpu: {
      usage: {
        total: (cpu['usage_usec'] ?? 0) * NS_PER_US,
        kernel: (cpu['system_usec'] ?? 0) * NS_PER_US,
        user: (cpu['user_usec'] ?? 0) * NS_PER_US,
      },
      throttling: {
        periods: cpu['nr_periods'] ?? 0,
        throttledPeriods: cpu['nr_throttled'] ?? 0,
        throttledTime: (cpu['throttled_usec'] ?? 0) * NS_PER_US,
      },
    },
    cpuset: cpuset(dir),
    memory: memory(dir),
    pids: pids(dir),
    blkio: blkio(read(dir, 'io.stat')),
    hugetlb: hugetlb(dir),
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

/** cgroup v2 has none of the switches; 0 is what they stand at. */
function cpuset(dir: string | undefined): CgroupStats['cpuset'] {
  return {
    cpus: parseList(read(dir, 'cpuset.cpus.effective')),
    cpu_exclusive: 0,
    mems: parseList(read(dir, 'cpuset.mems.effective')),
    mem_hardwall: 0,
    mem_exclusive: 0,
    memory_migrate: 0,
    memory_spread_page: 0,
    memory_spread_slab: 0,
    memory_pressure: 0,
    sched_load_balance: 0,
    sched_relax_domain_level: 0,
  };
}

function memory(dir: string | undefined): CgroupStats['memory'] {
  const raw = parseFlat(read(dir, 'memory.stat'));
  const usage: MemoryEntry = {
    limit: numberIn(dir, 'memory.max'),
    usage: numberIn(dir, 'memory.current'),
    max: numberIn(dir, 'memory.peak'),
    failcnt: parseFlat(read(dir, 'memory.events'))['max'] ?? 0,
  };
  const swapLimit = parseNumber(read(dir, 'memory.swap.max')) ?? 0;
  return {
    cache: raw['file'] ?? 0,
    usage,
    // Readers know cgroup v1's sum of memory and swap.
    swap: {
      limit: swapLimit === NO_LIMIT ? NO_LIMIT : Math.min(swapLimit + usage.limit, NO_LIMIT),
      usage: numberIn(dir, 'memory.swap.current') + (usage.usage ?? 0),
      max: numberIn(dir, 'memory.swap.peak') + (usage.max ?? 0),
      failcnt: parseFlat(read(dir, 'memory.swap.events'))['max'] ?? 0,
    },
    kernel: NOTHING,
    kernelTCP: NOTHING,
    raw,
  };
}

function pids(dir: string | undefined): CgroupStats['pids'] {
  const limit = numberIn(dir, 'pids.max');
  return { current: numberIn(dir, 'pids.current'), limit: limit === NO_LIMIT ? 0 : limit };
}

const IO_KEYS: Readonly<Record<string, readonly [table: 'bytes' | 'serviced', op: string]>> = {
  rbytes: ['bytes', 'Read'],
  wbytes: ['bytes', 'Write'],
  dbytes: ['bytes', 'Discard'],
  rios: ['serviced', 'Read'],
  wios: ['serviced', 'Write'],
  dios: ['serviced', 'Discard'],
};

/** "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" for each device. */
function blkio(text: string | undefined): CgroupStats['blkio'] {
  const tables: Record<'bytes' | 'serviced', BlkioEntry[]> = { bytes: [], serviced: [] };
  for (const line of lines(text)) {
    const [device = '', ...pairs] = line.split(' ');
    const [major, minor] = device.split(':').map(Number);
    if (major === undefined || minor === undefined) continue;
    for (const pair of pairs) {
      const [key = '', value] = pair.split('=');
      const known = IO_KEYS[key];
      if (known) tables[known[0]].push({ major, minor, op: known[1], value: Number(value) });
    }
  }
  return { ioServiceBytesRecursive: tables.bytes, ioServicedRecursive: tables.serviced };
}

function hugetlb(dir: string | undefined): Readonly<Record<string, HugetlbEntry>> {
  const result: Record<string, HugetlbEntry> = {};
  for (const size of hugePageSizes(dir, '.max')) {
    result[size] = {
      usage: numberIn(dir, `hugetlb.${size}.current`),
      failcnt: parseFlat(read(dir, `hugetlb.${size}.events`))['max'] ?? 0,
    };
  }
  return result;
}
