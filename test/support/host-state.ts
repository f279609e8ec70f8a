/** What a container can leave behind on the host, so that tests can show that it left nothing. */
import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readHost } from '../../src/sandbox/cgroups/host.ts';

/** The folders of a cgroup parent (for example /runnc-docker-17) in each hierarchy, and all below. */
export function cgroupsBelow(parent: string): readonly string[] {
  return readHost().mounts.flatMap(({ dir }) => foldersBelow(join(dir, parent)));
}

function foldersBelow(dir: string): readonly string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => [join(dir, entry.name), ...foldersBelow(join(dir, entry.name))]);
  } catch {
    return [];
  }
}

/** Removes the then empty cgroup parent. */
export function removeCgroupParent(parent: string): void {
  for (const { dir } of readHost().mounts) {
    try {
      rmdirSync(join(dir, parent));
    } catch {
      // Not every hierarchy need have it; one that is not empty was reported by the tests.
    }
  }
}

/** Mount points that contain this text. */
export function mountsWith(text: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((dir) => dir.includes(text));
}

/** Network interfaces of this network namespace. */
export function interfaces(): readonly string[] {
  return readdirSync('/sys/class/net').sort();
}

/** The value of a field of /proc/PID/status. */
export function procStatus(pid: number, field: string): string {
  const line = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${field}:`));
  return (line ?? '').slice(field.length + 1).trim();
}

/** The folder of a process's cgroup in the hierarchy of a controller. */
export function cgroupFolder(pid: number, controller: string): string {
  const host = readHost();
  const name = host.version === 2 ? 'unified' : controller;
  const mount = host.mounts.find(({ controllers }) => controllers.includes(name));
  const line = readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8')
    .split('\n')
    .find((text) => (text.split(':')[1] ?? '').split(',').includes(name === 'unified' ? '' : name));
  if (!mount || line === undefined) throw new Error(`this host has no ${controller} cgroups`);
  return join(mount.dir, line.split(':').slice(2).join(':'));
}

/** What a limit file of a process's cgroup holds; named as in cgroup v1 and as in v2. */
export function cgroupFile(pid: number, controller: string, v1: string, v2: string): string {
  const file = readHost().version === 2 ? v2 : v1;
  return readFileSync(join(cgroupFolder(pid, controller), file), 'utf8').trim();
}

/** Puts a process beside another, in the cgroups that limit it and that its runtime stops and kills it by. */
export function joinCgroups(pid: number, other: number): void {
  for (const controller of ['memory', 'freezer']) {
    writeFileSync(join(cgroupFolder(other, controller), 'cgroup.procs'), String(pid));
  }
}
