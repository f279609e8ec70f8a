/**
 * The content of the native parts (parts.ts) that are not addons. They are read into memory and executed from sealed
 * memfds, so the folder they come from may be read-only or noexec.
 */
import { existsSync, readFileSync } from './files.ts';
import { type AssetName, embeddedPath, missing, partPath, readEmbedded } from './parts.ts';

export async function readAsset(name: AssetName): Promise<Uint8Array> {
  const embedded = embeddedPath(name);
  if (embedded !== undefined) return readEmbedded(embedded);
  const path = partPath(name);
  if (!existsSync(path)) throw missing(name);
  return readFileSync(path);
}
