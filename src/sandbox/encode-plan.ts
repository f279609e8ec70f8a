/**
 * A launch plan as the bytes that init reads (tender/init/plan.c), field by field in the same order. Descriptors of
 * this process become numbers of init: 0, 1, 2, then the tender's from 3 on, then init's own.
 */
import { readlinkSync } from '../files.ts';
import { RunncError } from '../errors.ts';
import {
  initSteps,
  rlimitNames,
  type HookPlan,
  type LaunchPlan,
  type NamespaceKind,
  type NamespacePlan,
} from './launch-plan.ts';

export interface EncodedPlan {
  readonly bytes: Buffer;
  /** Element i is to become descriptor i of init. The plan itself must follow as the next one. */
  readonly descriptors: readonly number[];
}

const magic = 0x504e5552;
const version = 1;

/** CLONE_NEW* of linux/sched.h. */
const namespaceFlags: Readonly<Record<NamespaceKind, number>> = {
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
  mount: 0x00020000,
  ipc: 0x08000000,
  uts: 0x04000000,
  cgroup: 0x02000000,
  time: 0x00000080,
};

/** `syncFd`: init's end of the socket pair. */
export function encodePlan(plan: LaunchPlan, syncFd: number): EncodedPlan {
  const descriptors = [...plan.stdio, ...plan.descriptors];
  const numberOf = (fd: number): number => descriptors.push(fd) - 1;
  const joined = plan.namespaces.filter((namespace) => namespace.fd !== undefined);
  const made = plan.namespaces.filter((namespace) => namespace.fd === undefined);

  const out = new Writer();
  out.u32(magic);
  out.u32(version);
  out.u32(plan.descriptors.length);
  out.u32(numberOf(plan.executableFd));
  out.u32(numberOf(syncFd));
  out.u32(numberOf(plan.startSocketFd));
  out.u32(numberOf(plan.rootfsFd));
  // A mount of this namespace cannot be mounted again from another, so init goes by the path and compares.
  out.string(readlinkSync(`/proc/self/fd/${String(plan.rootfsFd)}`));
  out.strings(plan.argv);
  out.bool(plan.reopenStdio);
  out.optional(plan.terminal, (terminal) => {
    out.u32(numberOf(terminal.consoleSocketFd));
    out.u32(terminal.columns);
    out.u32(terminal.rows);
    out.bool(terminal.raw);
  });

  out.list(plan.cgroup?.taskFds ?? [], (fd) => out.u32(numberOf(fd)));
  out.optional(plan.cgroup?.cloneFd, (fd) => out.u32(numberOf(fd)));
  out.u32(made.reduce((flags, namespace) => flags | namespaceFlags[namespace.kind], 0));
  out.list(joined, (namespace: NamespacePlan) => {
    out.u32(namespaceFlags[namespace.kind]);
    out.u32(numberOf(namespace.fd ?? -1));
  });
  out.list(plan.timeOffsets, (offset) => {
    out.bool(offset.clock === 'boottime');
    out.u64(BigInt.asUintN(64, offset.seconds));
    out.u32(offset.nanoseconds);
  });
  out.optional(plan.hostname, (hostname) => out.string(hostname));
  out.optional(plan.domainname, (domainname) => out.string(domainname));
  out.list(plan.sysctls, (sysctl) => {
    out.string(sysctlPath(sysctl.key));
    out.string(sysctl.value);
  });

  out.list(plan.createContainerHooks, (hook) => writeHook(out, hook));
  out.list(plan.startContainerHooks, (hook) => writeHook(out, hook));
  out.u32(plan.hookCredentials.uid);
  out.u32(plan.hookCredentials.gid);
  out.list(plan.hookCredentials.additionalGids, (gid) => out.u32(gid));
  out.u64(plan.hookCredentials.capabilities);
  out.u32(plan.hookCredentials.umask);

  out.list(plan.fileServer?.mounts ?? [], ({ fd, recursive, readonly, noatime }) => {
    out.u32(numberOf(fd));
    out.string(readlinkSync(`/proc/self/fd/${String(fd)}`));
    out.bool(recursive);
    out.bool(readonly);
    out.bool(noatime);
  });
  if (plan.fileServer !== undefined) {
    out.u32(numberOf(plan.fileServer.executableFd));
    out.u32(numberOf(plan.fileServer.channelFd));
    out.u32(numberOf(plan.fileServer.windowFd));
    out.list(plan.fileServer.pipeFds, (fd) => out.u32(numberOf(fd)));
    out.bool(plan.fileServer.onDemand);
  }

  out.optional(plan.oomScoreAdj, (value) => out.u32(value));
  out.list(plan.rlimits, (rlimit) => {
    out.u32(rlimitNames.indexOf(rlimit.type));
    out.u64(rlimit.soft);
    out.u64(rlimit.hard);
  });
  out.optional(plan.scheduler, (scheduler) => {
    out.u32(scheduler.policy);
    out.u64(scheduler.flags);
    out.u32(scheduler.nice);
    out.u32(scheduler.priority);
    out.u64(scheduler.runtimeNs);
    out.u64(scheduler.deadlineNs);
    out.u64(scheduler.periodNs);
  });
  out.optional(plan.ioPriority, ({ class: ioClass, priority }) => out.u32((ioClass << 13) | priority));
  out.bool(plan.newKeyring);
  out.u32(plan.jail.uid);
  out.u32(plan.jail.gid);
  out.bool(plan.jail.noPivot);
  out.u32(plan.fault === undefined ? 0 : initSteps.indexOf(plan.fault.step) + 1);
  out.bool(plan.fault?.victim === 'runtime');
  return { bytes: out.bytes(), descriptors };
}

/** A list of strings alone, as plan_read_tender() of tender/init/plan.c reads it. */
export function encodeStrings(values: readonly string[]): Buffer {
  const out = new Writer();
  out.strings(values);
  return out.bytes();
}

/**
 * Where a sysctl is below /proc/sys. As sysctl(8): dots separate, unless a slash comes first, then slashes do and dots
 * belong to the name ("net/ipv4/conf/eth0.100/forwarding").
 */
function sysctlPath(key: string): string {
  const dot = key.indexOf('.');
  const slash = key.indexOf('/');
  if (slash !== -1 && (dot === -1 || slash < dot)) return key;
  return key.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

function writeHook(out: Writer, hook: HookPlan): void {
  out.string(hook.path);
  out.strings(hook.args);
  out.strings(hook.env);
  out.u32(hook.timeoutMs ?? 0);
}

class Writer {
  readonly #parts: Buffer[] = [];

  u32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeInt32LE(value | 0);
    this.#parts.push(part);
  }

  u64(value: bigint): void {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(value);
    this.#parts.push(part);
  }

  bool(value: boolean): void {
    this.u32(value ? 1 : 0);
  }

  string(value: string): void {
    if (value.includes('\0')) {
      throw new RunncError('INVALID', `${JSON.stringify(value.slice(0, 80))} holds a NUL character`);
    }
    const part = Buffer.from(`${value}\0`, 'utf8');
    this.u32(part.length - 1);
    this.#parts.push(part);
  }

  list<T>(values: readonly T[], write: (value: T) => void): void {
    this.u32(values.length);
    for (const value of values) write(value);
  }

  strings(values: readonly string[]): void {
    this.list(values, (value) => this.string(value));
  }

  optional<T>(value: T | undefined, write: (value: T) => void): void {
    this.bool(value !== undefined);
    if (value !== undefined) write(value);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
