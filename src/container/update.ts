/** New limits for a container that is there. */
import { RunncError } from '../errors.ts';
import type { Resources } from '../oci/spec.ts';
import { type CgroupManager, openCgroup } from '../sandbox/cgroups/index.ts';
import type { ContainerRecord } from './record.ts';
import { statusOf } from './status.ts';

/** `folder` is the container's, which is locked. */
export async function updateLocked(
  record: ContainerRecord,
  folder: string,
  resources: Resources,
): Promise<void> {
  const status = await statusOf(record);
  if (status === 'stopped') throw new RunncError('STATE', 'container not running');
  const cgroup = await openCgroup(record.cgroup);
  const { limit = 0 } = resources.memory ?? {};
  if (record.controlFd === undefined || limit === 0) {
    await cgroup.update(resources);
    return;
  }
  // Its guest keeps an account of its own, so that a program that wants too much ends and not the container.
  if (status !== 'running') {
    throw new RunncError('STATE', `cannot change the memory limit of a container that is ${status}`);
  }
  await updateGuest(record, folder, cgroup, resources, limit);
}

/** At no time the guest may take more than the host gives. */
async function updateGuest(
  record: ContainerRecord,
  folder: string,
  cgroup: CgroupManager,
  resources: Resources,
  limit: number,
): Promise<void> {
  const [{ totalmem }, { linuxMemoryBytes }, { askMemory, setMemoryLimit }] = await Promise.all([
    import('node:os'),
    import('../sandbox/guest-memory.ts'),
    import('./ask-guest.ts'),
  ]);
  const bytes = linuxMemoryBytes(limit, totalmem(), 'linux.resources.memory.limit');
  const { memory } = await askMemory(record, folder);
  if (bytes >= memory.limit) {
    await cgroup.update(resources);
    await setMemoryLimit(record, folder, bytes);
    return;
  }
  if (!(await setMemoryLimit(record, folder, bytes))) {
    const { memory: now } = await askMemory(record, folder);
    throw new RunncError(
      'STATE',
      `linux.resources.memory.limit: unable to set memory limit to ${String(limit)} (current usage of the guest: ${String(now.used)})`,
    );
  }
  try {
    await cgroup.update(resources);
  } catch (error) {
    await setMemoryLimit(record, folder, memory.limit);
    throw error;
  }
}
