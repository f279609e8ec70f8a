/** Lets the program of a created container run. */
import { closeSync } from '../files.ts';
import { errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { start } from '../sandbox/start.ts';
import { openCgroup } from '../sandbox/cgroups/index.ts';
import type { ContainerRecord } from './record.ts';
import { ociState, statusOf } from './status.ts';
import { type LockedContainer, START_SOCKET } from './store.ts';

/** The lock must be held. */
export async function startLocked(locked: LockedContainer, record: ContainerRecord): Promise<void> {
  const status = await statusOf(record);
  switch (status) {
    case 'created':
      break;
    case 'stopped':
      throw new RunncError('STATE', 'cannot start a container that has stopped');
    case 'running':
      throw new RunncError('STATE', 'cannot start an already running container');
    default:
      throw new RunncError('STATE', `cannot start a container in the ${status} state`);
  }
  const opened: number[] = [];
  try {
    const { tenderArgv } = record;
    const late =
      tenderArgv === undefined
        ? undefined
        : await (
            await import('./join-at-start.ts')
          ).joinAtStart(locked, record, tenderArgv, (fd) => {
            opened.push(fd);
            return fd;
          });
    await start(locked.fd, START_SOCKET, late);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
  reached('started');
  if (record.hooks.poststart.length === 0) return;
  const { runHooks } = await import('../oci/hooks.ts');
  try {
    await runHooks('poststart', record.hooks.poststart, ociState(record, 'running'));
    reached('poststart-hooks-run');
  } catch (error) {
    // As runc: a container that what comes with it does not know of must not go on.
    await (await openCgroup(record.cgroup)).killAll();
    throw new RunncError('HOOK', errorMessage(error), { cause: error });
  }
}
