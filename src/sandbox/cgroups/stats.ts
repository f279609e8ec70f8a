/**
 * What a cgroup counted, in the shape that `runc events --stats` prints under "data" (runc/types/events.go), so
 * that JSON.stringify gives what its readers parse. Times in nanoseconds, sizes in bytes. A limit that is not
 * set is NO_LIMIT, except in pids, where it is 0 as in runc.
 */
export interface CgroupStats {
  readonly cpu: {
    readonly usage: {
      readonly total: number;
      /** By CPU number; absent on cgroup v2, which does not count it. */
      readonly percpu?: readonly number[];
      readonly percpu_kernel?: readonly number[];
      readonly percpu_user?: readonly number[];
      readonly kernel: number;
      readonly user: number;
    };
    readonly throttling: {
      readonly periods?: number;
      readonly throttledPeriods?: number;
      readonly throttledTime?: number;
    };
  };
  readonly cpuset: {
    readonly cpus?: readonly number[];
    readonly cpu_exclusive: number;
    readonly mems?: readonly number[];
    readonly mem_hardwall: number;
    readonly mem_exclusive: number;
    readonly memory_migrate: number;
    readonly memory_spread_page: number;
    readonly memory_spread_slab: number;
    readonly memory_pressure: number;
    readonly sched_load_balance: number;
    readonly sched_relax_domain_level: number;
  };
  readonly memory: {
    readonly cache?: number;
    readonly usage: MemoryEntry;
    readonly swap: MemoryEntry;
    readonly kernel: MemoryEntry;
    readonly kernelTCP: MemoryEntry;
    /** memory.stat. */
    readonly raw?: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current?: number; readonly limit?: number };
  readonly blkio: {
    readonly ioServiceBytesRecursive?: readonly BlkioEntry[];
    readonly ioServicedRecursive?: readonly BlkioEntry[];
    readonly ioQueueRecursive?: readonly BlkioEntry[];
    readonly ioServiceTimeRecursive?: readonly BlkioEntry[];
    readonly ioWaitTimeRecursive?: readonly BlkioEntry[];
    readonly ioMergedRecursive?: readonly BlkioEntry[];
    readonly ioTimeRecursive?: readonly BlkioEntry[];
    readonly sectorsRecursive?: readonly BlkioEntry[];
  };
  /** By page size, for example 2MB. */
  readonly hugetlb: Readonly<Record<string, HugetlbEntry>>;
  /** Resource control groups are never made. */
  readonly intel_rdt: Readonly<Record<string, never>>;
  readonly network_interfaces: null;
}

/**
 * Stands for every limit of 2^63 or more ("max", or cgroup v1's 2^63 less a page). Printed by JavaScript it
 * still fits the uint64 that Go programs parse it into; 2^64-1, which runc prints on cgroup v2, would not.
 */
export const NO_LIMIT = 2 ** 63;

export interface MemoryEntry {
  readonly limit: number;
  readonly usage?: number;
  readonly max?: number;
  readonly failcnt: number;
}

export interface BlkioEntry {
  readonly major?: number;
  readonly minor?: number;
  readonly op?: string;
  readonly value?: number;
}

export interface HugetlbEntry {
  readonly usage?: number;
  readonly max?: number;
  readonly failcnt: number;
}
