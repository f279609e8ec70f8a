import { closeSync } from 'node:fs';
import { waitReadable } from '../native.ts';
import { openCgroup } from '../sandbox/cgroups/index.ts';
import { openProcess } from '../sandbox/process.ts';
import type { ContainerEvent } from './container.ts';
import type { ContainerRecord } from './record.ts';

/** Until the end of the container's process; nothing if it has ended. */
export async function* watchEvents(
  record: ContainerRecord,
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
  const oom = cgroup.watchOom(tellOom);
  const timer = setInterval(() => {
    cgroup.stats().then(
      (data) => {
        push({ type: 'stats', id, data });
      },
      // The cgroup goes with the container: the end itself is seen below.
      () => undefined,
    );
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
