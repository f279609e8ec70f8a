/** A folder and all that is in it, also where folders inside are closed to their owner, who is not root. */
import { chmodSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from './errors.ts';

/** No error if it is not there. Nobody else may change it meanwhile. Throws HOST. */
export function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
    return;
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'EPERM') throw error;
  }
  openFolders(path);
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    throw new RunncError('HOST', `${path} cannot be removed: ${errorMessage(error)}`, { cause: error });
  }
}

function openFolders(path: string | Buffer): void {
  if (!lstatSync(path).isDirectory()) return;
  chmodSync(path, 0o700);
  for (const name of readdirSync(path, { encoding: 'buffer' })) {
    openFolders(Buffer.concat([Buffer.from(path), Buffer.from('/'), name]));
  }
}
