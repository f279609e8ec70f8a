/**
 * Where the native parts are that runnc carries: the sandbox's first stage, the tender, the Linux guest kernel, the host's
 * end of its control channel, the addons.
 *
 * In a checkout and in the npm package they are files in dist/; in the one-file program they are embedded,
 * and runnc/bundle.ts registers where.
 */
import { RunncError } from './errors.ts';

export type AddonName = 'runnc.node' | 'network.node';
export type AssetName = 'init' | 'tender-spt' | 'fileserver' | 'linux.spt' | 'control';

type PartName = AddonName | AssetName;

const registered = new Map<PartName, string>();

/** Tells where the bundler put the embedded parts. Called once, before anything else. */
export function registerParts(paths: Readonly<Record<PartName, string>>): void {
  for (const name in paths) registered.set(name as PartName, paths[name as PartName]);
}

/** Where the one-file program has it: a virtual path. Undefined in a checkout and in the package. */
export function embeddedPath(name: PartName): string | undefined {
  return registered.get(name);
}

/** By Bun's own way: node:fs would be one more module to load, and one more copy. */
export function readEmbedded(path: string): Promise<Uint8Array> {
  return (globalThis as unknown as { readonly Bun: BunFiles }).Bun.file(path).bytes();
}

/** The file in dist/, in a checkout and in the package. */
export function partPath(name: PartName): string {
  return `${distFolder()}/${name}`;
}

export function missing(name: PartName): RunncError {
  return new RunncError(
    'INTERNAL',
    `${name} is missing beside the program (${partPath(name)}): run "npm run build"`,
  );
}

/** The piece of Bun that is used here; its types are not installed for Node. */
interface BunFiles {
  file(path: string): { bytes(): Promise<Uint8Array> };
}

/** dist/, seen from src/ in a checkout and from dist/lib/src/ in the package. */
function distFolder(): string {
  const folder = import.meta.dirname;
  const root = folder.slice(0, folder.lastIndexOf('/'));
  return root.endsWith('/dist/lib') ? root.slice(0, -'/lib'.length) : `${root}/dist`;
}
