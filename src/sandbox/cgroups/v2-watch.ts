/** Changes of a cgroup v2 directory's .events files, as the kernel tells of them. */
import { watch } from 'node:fs';
import { RunncError, errnoOf } from '../../errors.ts';
import { errnoText } from './file.ts';

/** Waits for a condition that a change of the file announces. */
export function happens(path: string, condition: () => boolean, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (value: boolean): void => {
      clearTimeout(timer);
      watcher.close();
      resolve(value);
    };
    const timer = setTimeout(() => finish(condition()), timeoutMs);
    const watcher = watchFile(path, () => {
      if (condition()) finish(true);
    });
    // It may have happened before the watch stood.
    if (condition()) finish(true);
  });
}

/** cgroup v2 tells of a change in its .events files by inotify (cgroup-v2.rst, "Basic Operations"). */
export function watchFile(path: string, onChange: () => void): { close(): void } {
  try {
    const watcher = watch(path, onChange);
    // The cgroup went away; there is nothing more to tell.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { close: () => undefined };
    throw new RunncError('HOST', `cgroups: cannot watch ${path}: ${errnoText(error)}`, { cause: error });
  }
}
