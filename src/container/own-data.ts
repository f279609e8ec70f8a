/**
 * What a container of an image keeps on disk, beside its folder in a tmpfs: the log of one in the background, volumes
 * without a name. A folder that goes with the container.
 *
 *     STATE/data       in the container's own folder: the path of FOLDER, written before that is made
 *     FOLDER/owner     the path of the container's own folder: after a crash of the host, that one is gone
 *     FOLDER/log, FOLDER/volumes/N
 */
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { mkdirSync, readdirSync, readIfThere, writeFileSync } from '../files.ts';

const POINTER = 'data';

/** Throws HOST. What is made then goes with the container's own folder. */
export function makeOwnData(stateFolder: string, folder: string): void {
  try {
    writeFileSync(`${stateFolder}/${POINTER}`, folder, { mode: 0o600 });
    mkdirSync(`${folder}/volumes`, { recursive: true, mode: 0o700 });
    writeFileSync(`${folder}/owner`, stateFolder, { mode: 0o600 });
  } catch (error) {
    throw new RunncError('HOST', `${folder}: cannot make the container's folder: ${errorMessage(error)}`);
  }
}

/** undefined for a container that has none. */
export function ownData(stateFolder: string): string | undefined {
  return readText(`${stateFolder}/${POINTER}`);
}

/** Throws HOST. */
export async function removeOwnData(stateFolder: string): Promise<void> {
  const folder = ownData(stateFolder);
  if (folder === undefined) return;
  // Only here: every deletion comes by, and hardly any container has such data.
  const { removeTree } = await import('../remove-tree.ts');
  removeTree(folder);
}

/** Removes those in `parent` whose container is no more. */
export async function sweepOwnData(parent: string): Promise<void> {
  const { removeTree } = await import('../remove-tree.ts');
  for (const name of namesIn(parent)) {
    const folder = `${parent}/${name}`;
    const owner = readText(`${folder}/owner`);
    // Without one it is being made, or removed.
    if (owner !== undefined && ownData(owner) !== folder) removeTree(folder);
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw new RunncError('HOST', `${folder} cannot be read: ${errorMessage(error)}`);
  }
}

function readText(file: string): string | undefined {
  try {
    return readIfThere(file, 'utf8');
  } catch (error) {
    throw new RunncError('HOST', `${file} cannot be read: ${errorMessage(error)}`);
  }
}
