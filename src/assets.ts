/**
 * The native parts that runnc carries: the sandbox's first stage, the tender, the Linux guest kernel, the host's end of
 * its control channel.
 *
 * In a checkout and in the npm package they are files in dist/; in the one-file program they are embedded,
 * and runnc/bundle.ts registers where. They are read into memory and executed from sealed memfds, so the
 * folder they come from may be read-only or noexec.
 */
import { existsSync, readFileSync } from 'node:fs';
import { RunncError } from './errors.ts';

export type AssetName =
  'init' | 'tender-spt' | 'fileserver' | 'linux.spt' | 'control' | 'runnc.node' | 'network.node';

const registered = new Map<AssetName, string>();

/** Tells where the bundler put the embedded parts. Called once, before anything else. */
export function registerAssets(paths: Readonly<Partial<Record<AssetName, string>>>): void {
  for (const [name, path] of Object.entries(paths)) registered.set(name as AssetName, path);
}

/** True in the one-file program. */
export function isBundled(): boolean {
  return registered.size > 0;
}

/** A path that node:fs can read; inside the one-file program it is virtual and cannot be executed or opened by others. */
export function assetPath(name: AssetName): string {
  const embedded = registered.get(name);
  if (embedded !== undefined) return embedded;
  const path = `${distFolder()}/${name}`;
  if (!existsSync(path)) {
    throw new RunncError('INTERNAL', `${name} is missing beside the program (${path}): run "npm run build"`);
  }
  return path;
}

/** Whole content of a part. */
export function readAsset(name: AssetName): Buffer {
  return readFileSync(assetPath(name));
}

/**
 * dist/, seen from src/ in a checkout and from dist/lib/src/ in the package. Without node:path, which every call of the
 * command would load.
 */
function distFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(`${folder}/package.json`)) {
    if (folder === '') throw new RunncError('INTERNAL', 'package.json of runnc is not above its sources');
    folder = folder.slice(0, folder.lastIndexOf('/'));
  }
  return `${folder}/dist`;
}
