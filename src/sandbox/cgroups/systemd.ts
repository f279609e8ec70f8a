/**
 * The scope that systemd makes for a container (--systemd-cgroup).
 *
 * systemd is asked through busctl, which is part of systemd itself: wherever there is a systemd to ask, its
 * busctl is there, speaks the same D-Bus, and costs nobody else a library.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { delay } from '../../delay.ts';
import type { Resources } from '../../oci/spec.ts';
import { RunncError, errnoOf } from '../../errors.ts';
import { cpuWeight, decimal } from './format.ts';
import type { CgroupState } from './index.ts';
import { swapAlone } from './v2-limits.ts';

/** How long systemd may take to put the process into the scope; runc's value. */
const START_TIMEOUT_MS = 30_000;

const SYSTEMD = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];

interface Scope {
  readonly unit: string;
  readonly slice: string;
  readonly user: boolean;
}

/** A D-Bus property: name, signature, and its value in busctl's words. */
type Property = readonly [name: string, signature: string, ...value: string[]];

/** Makes the scope with the process in it; returns when the process is there. */
export async function startScope(state: CgroupState, pid: number, resources: Resources): Promise<void> {
  const scope = scopeOf(state);
  const isSlice = scope.unit.endsWith('.slice');
  const properties: readonly Property[] = [
    ['Description', 's', `runnc container ${scope.unit}`],
    // A slice holds no processes and is in the slice that its name says.
    ...(isSlice
      ? []
      : ([
          ['Slice', 's', scope.slice],
          ['PIDs', 'au', '1', String(pid)],
        ] as const)),
    // The limits are ours to write, and systemd must not tidy them away at a daemon-reload.
    ...(isSlice ? [] : ([['Delegate', 'b', 'true']] as const)),
    ['DefaultDependencies', 'b', 'false'],
    ...['CPUAccounting', 'MemoryAccounting', 'TasksAccounting', 'IOAccounting'].map(
      (name) => [name, 'b', 'true'] as const,
    ),
    ...limitProperties(state.version, resources),
  ];
  const start = (): Promise<void> =>
    busctl(scope, 'StartTransientUnit', 'ssa(sv)a(sa(sv))', [
      scope.unit,
      'fail',
      ...propertyWords(properties),
      '0',
    ]);
  try {
    await start();
  } catch (error) {
    // A scope of that name that failed earlier is still loaded; forgotten, the name is free.
    if (!/already (exists|loaded)|has a fragment file/.test(String(error))) throw error;
    await busctl(scope, 'ResetFailedUnit', 's', [scope.unit]).catch(() => undefined);
    await start();
  }
  if (!isSlice) await arrival(state, scope, pid);
}

/** Tells systemd the new limits too, or it would bring back its own at the next daemon-reload. */
export async function setScopeLimits(state: CgroupState, resources: Resources): Promise<void> {
  const properties = limitProperties(state.version, resources);
  if (properties.length === 0) return;
  const scope = scopeOf(state);
  await busctl(scope, 'SetUnitProperties', 'sba(sv)', [scope.unit, 'true', ...propertyWords(properties)]);
}

/** Ends the scope; one that is gone is fine. */
export async function stopScope(state: CgroupState): Promise<void> {
  const scope = scopeOf(state);
  try {
    await busctl(scope, 'StopUnit', 'ss', [scope.unit, 'replace']);
  } catch (error) {
    // systemd drops a scope by itself when its last process has ended.
    if (!/not loaded|not found/.test(String(error))) throw error;
  }
  // A scope whose processes were killed may count as failed and would stay listed.
  await busctl(scope, 'ResetFailedUnit', 's', [scope.unit]).catch(() => undefined);
}

function scopeOf(state: CgroupState): Scope {
  if (state.systemd) return state.systemd;
  throw new RunncError('INTERNAL', 'cgroups: systemd is asked about a container without a scope');
}

/** Those of the limits that systemd knows; all of them are written to the cgroup's files as well. */
export function limitProperties(
  version: 1 | 2,
  { memory, cpu, pids, blockIO }: Resources,
): readonly Property[] {
  const properties: Property[] = [];
  const limit = (name: string, value: number | undefined): void => {
    // systemd's "infinity" is 2^64-1.
    if (value) properties.push([name, 't', value < 0 ? '18446744073709551615' : decimal(value)]);
  };
  limit(version === 2 ? 'MemoryMax' : 'MemoryLimit', memory?.limit);
  if (version === 2) {
    const swap = swapAlone(memory ?? {});
    // None is a limit too.
    if (swap === 0) properties.push(['MemorySwapMax', 't', '0']);
    else limit('MemorySwapMax', swap);
    limit('MemoryLow', memory?.reservation);
  }
  if (cpu?.shares) {
    if (version === 2) limit('CPUWeight', cpuWeight(cpu.shares));
    else limit('CPUShares', cpu.shares);
  }
  if (cpu?.quota) {
    const period = cpu.period || 100_000;
    // systemd counts in whole hundredths of a CPU: rounded up, so as not to give less than was asked.
    const perSecond = Math.ceil((cpu.quota * 1_000_000) / period / 10_000) * 10_000;
    limit('CPUQuotaPerSecUSec', cpu.quota < 0 ? -1 : perSecond);
    if (cpu.period) limit('CPUQuotaPeriodUSec', cpu.period);
  }
  limit('TasksMax', pids?.limit);
  if (version === 1) limit('BlockIOWeight', blockIO?.weight);
  return properties;
}

function propertyWords(properties: readonly Property[]): readonly string[] {
  return [String(properties.length), ...properties.flat()];
}

/**
 * systemd answers when the job is queued, not when it is done, and nothing announces that a process changed
 * its cgroup: /proc is asked until it shows.
 */
async function arrival(state: CgroupState, { unit }: Scope, pid: number): Promise<void> {
  const hierarchy = state.version === 2 ? '0::' : 'name=systemd:';
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (let waitMs = 1; performance.now() < deadline; waitMs = Math.min(2 * waitMs, 50)) {
    const arrived = cgroupOf(pid)
      .split('\n')
      .some((line) => line.includes(hierarchy) && posix.basename(line) === unit);
    if (arrived) return;
    await delay(waitMs);
  }
  throw new RunncError('HOST', `cgroups: systemd did not put process ${pid} into ${unit} within 30 s`);
}

function cgroupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch (error) {
    throw new RunncError('HOST', `cgroups: process ${pid} ended before systemd took it over`, {
      cause: error,
    });
  }
}

function busctl(scope: Scope, method: string, signature: string, words: readonly string[]): Promise<void> {
  const bus = scope.user ? '--user' : '--system';
  const options = ['--quiet', '--no-pager', bus, '--', 'call', ...SYSTEMD, method, signature, ...words];
  // Callers such as conmon give no PATH.
  const env = { PATH: '/usr/bin:/bin:/usr/local/bin', ...process.env, LC_ALL: 'C' };
  return new Promise((resolve, reject) => {
    execFile('busctl', options, { env, timeout: START_TIMEOUT_MS }, (error, _stdout, stderr) => {
      if (!error) {
        resolve();
        return;
      }
      const missing = errnoOf(error) === 'ENOENT';
      const reason = missing
        ? 'there is no busctl'
        : stderr.trim().replace(/\s*\n\s*/g, ' ') || error.message;
      reject(
        new RunncError(
          missing ? 'UNSUPPORTED' : 'HOST',
          `--systemd-cgroup: cannot ask systemd for ${method} of ${scope.unit}: ${reason}`,
          { cause: error },
        ),
      );
    });
  });
}
