/**
 * How the one-file program comes to its addons. An addon must be a file to be loaded. Bun would extract it into TMPDIR,
 * trust what it finds there and leave it behind; ours is kept in the folder of the containers' records, for this boot: to
 * make a file of it at every call takes longer than all that a short verb does. That folder is to be trusted as the
 * records are, which name programs that the runtime runs (hooks).
 *
 * Where it cannot be kept, or may not be executed there (noexec), it goes through a file without a name.
 */
import { RunncError } from './errors.ts';
import { dlopen } from './native.ts';
import { type AddonName, embeddedPath } from './parts.ts';

/** No container id can be "@native": in the default root it is nobody's folder. */
export const KEPT_FOLDER = '@native';

export async function loadEmbedded(name: AddonName): Promise<unknown> {
  const path = embeddedPath(name);
  if (path === undefined) throw new RunncError('INTERNAL', `${name} is not embedded`);
  const kept = keptPath(path);
  if (kept !== undefined) {
    try {
      return dlopen(kept);
    } catch {
      // Not kept yet, or not to be executed there.
    }
  }
  const { loadAndKeep } = await import('./keep-addon.ts');
  return loadAndKeep(path, kept);
}

/** Its virtual name has a hash of its content. Undefined: this user has no such folder. */
function keptPath(embedded: string): string | undefined {
  const folder = recordsFolder();
  return folder === undefined
    ? undefined
    : `${folder}/${KEPT_FOLDER}${embedded.slice(embedded.lastIndexOf('/'))}`;
}

/**
 * stateFolder() of host-user.ts, as far as it can be told without reading a file: root of a user namespace that it sends
 * to XDG_RUNTIME_DIR comes to the host's, whose addons are as good.
 */
function recordsFolder(): string | undefined {
  if (process.geteuid?.() === 0) return '/run/runnc';
  const runtimeDir = process.env.XDG_RUNTIME_DIR;
  return runtimeDir?.startsWith('/') === true ? `${runtimeDir}/runnc` : undefined;
}
