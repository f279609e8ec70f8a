/**
 * As whom runnc runs: root of the whole host, an ordinary user, or root of a user namespace only, as podman calls it
 * for ordinary users. What the last may do lies between the others: it can make namespaces without a user namespace more,
 * but the host's cgroups and folders are closed to it.
 */
import { readFileSync } from './files.ts';
import { RunncError } from './errors.ts';
import type { UidRange } from './host-config.ts';

export function isHostRoot(): boolean {
  return process.geteuid?.() === 0 && isInitialUserNamespace();
}

/** Where containers are kept when nothing else is said: /run/runnc, for other users a folder of theirs. Throws HOST. */
export function stateFolder(): string {
  const runtimeDir = process.env.XDG_RUNTIME_DIR;
  const isSet = runtimeDir?.startsWith('/') === true;
  if (process.geteuid?.() === 0) {
    // As runc: a container's own root has the first, whoever became root of a namespace the second.
    const isRoot = !isSet || process.env.USER === 'root' || isInitialUserNamespace();
    if (isRoot) return '/run/runnc';
  }
  if (isSet) return `${runtimeDir}/runnc`;
  throw new RunncError('HOST', 'XDG_RUNTIME_DIR is not set: set it or give --root');
}

/** How many of a user namespace's ids are for sandboxes at most. */
const SANDBOX_IDS = 1024;

/**
 * The ids that sandboxes may run as in this user namespace: the last ones, which images use least. Only id 0 where
 * that is all there is.
 */
export function mappedIds(folder = '/proc/self'): UidRange {
  const [uids, gids] = (['uid_map', 'gid_map'] as const).map((name) => extents(`${folder}/${name}`));
  const largest = uids?.reduce((a, b) => (b.size > a.size ? b : a));
  const isInBoth = gids?.some(({ start, size }) => start === largest?.start && size === largest.size);
  if (largest === undefined || largest.size < 2 || isInBoth !== true) return { start: 0, size: 1 };
  const size = Math.min(SANDBOX_IDS, largest.size - 1);
  return { start: largest.start + largest.size - size, size };
}

function extents(file: string): readonly UidRange[] {
  return readFileSync(file, 'latin1')
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([start = 0, , size = 0]) => ({ start, size }));
}

function isInitialUserNamespace(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
  } catch {
    return true; // a kernel without user namespaces
  }
}
