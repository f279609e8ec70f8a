/** What a container uses, once and again and again. */
import { RunncError } from '../errors.ts';
import { closeSync } from '../files.ts';
import { waitReadable } from '../native.ts';
import { type CgroupManager, openCgroup } from '../sandbox/cgroups/index.ts';
import { openProcess } from '../sandbox/process.ts';
import type { ContainerEvent, ContainerStats } from './container.ts';
import type { ContainerRecord } from './record.ts';
import { canBeAsked } from './status.ts';

/** Of the cgroup, and of the guest where it can be asked. `folder` is the container's. */
export async function readStats(
  record: ContainerRecord,
  folder: string,
  cgroup: CgroupManager,
): Promise<ContainerStats> {
  const stats = await cgroup.stats();
  if (!(await canBeAsked(record))) return stats;
  const { askMemory } = await import('./ask-guest.ts');
  try {
    return { ...stats, guest: await askMemory(record, folder) };
  } catch (error) {
    // It ends or is paused just now, or may not be traced by this user: what the host counted is still true.
    if (error instanceof RunncError) return stats;
    throw error;
  }
}

/** Until the end of the container's process; nothing if it has ended. */
export async function* watchEvents(
  record: ContainerRecord,
  folder: string,
  intervalMs: number,
): AsyncGenerator<ContainerEvent> {
  const pidfd = openProcess(record.pid, BigInt(record.startTime));
  if (pidfd === undefined) return;
  const cgroup = await openCgroup(record.cgroup);
  const { id } = record;
  const queue: ContainerEvent[] = [];
  let ended = false;
  let wake = (): void => undefined;
  const push = (event: ContainerEvent): void => {
    queue.push(event);
    wake();
  };
  let told = cgroup.oomKills();
  const tellOom = (oomKills: number): void => {
    if (oomKills > told) push({ type: 'oom', id });
    told = Math.max(told, oomKills);
  };
  // The guest's own killer is known by its count alone.
  let killed = (await readStats(record, folder, cgroup)).guest?.memory.oomKills ?? 0;
  const oom = await cgroup.watchOom(tellOom);
  let reading = false;
  const tellStats = async (): Promise<void> => {
    const data = await readStats(record, folder, cgroup);
    const kills = data.guest?.memory.oomKills ?? killed;
    if (kills > killed) push({ type: 'oom', id });
    killed = kills;
    push({ type: 'stats', id, data });
  };
  const timer = setInterval(() => {
    if (reading) return;
    reading = true;
    tellStats()
      // The cgroup goes with the container: the end itself is seen below.
      .catch(() => undefined)
      .finally(() => (reading = false));
  }, intervalMs);
  void waitReadable(pidfd).then(() => {
    // It may be what ended it, and the watch may not have told yet.
    tellOom(cgroup.oomKills());
    ended = true;
    wake();
  });
  try {
    for (;;) {
      for (let event = queue.shift(); event !== undefined; event = queue.shift()) yield event;
      if (ended) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    clearInterval(timer);
    oom.close();
    closeSync(pidfd);
  }
}
