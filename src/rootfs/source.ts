/**
 * What a rootfs is made of, and the name under which its image is kept.
 *
 * The name must be cheap to find, and no image's author may be able to choose it: names, sizes, times, modes and
 * contents are his, but not device, inode and ctime. So
 * - an engine's overlay mount is named by device, inode and ctime of its image's layer folders (overlay.ts);
 * - any other folder by a scan of all its entries, which has those three of every file.
 */
import { delay } from '../delay.ts';
import { errorMessage, RunncError } from '../errors.ts';
import { fstatSync, realpathSync } from '../files.ts';
import { readMounts } from './mountinfo.ts';
import { mergeLayers, overlayFolders } from './overlay.ts';
import {
  ChangedError,
  openFolder,
  parseScan,
  scan,
  walk,
  type Scan,
  type ScanOptions,
  type TreeEntry,
} from './tree.ts';

/** One folder of files. */
export interface Layer {
  readonly fd: number;
  readonly path: string;
}

/** Open descriptors on what a rootfs is made of. closeSource() when done. */
export interface RootfsSource {
  /** The rootfs itself, as it is mounted. Without links. */
  readonly rootfs: Layer;
  /** The image's layers, the lowest first; the rootfs alone if it is no overlay mount that can be taken apart. */
  readonly image: readonly Layer[];
  /** The container's own layers over them, the lowest first. */
  readonly own: readonly Layer[];
  readonly isOverlay: boolean;
}

/**
 * The kernel stamps ctime with the time of its last tick: two changes within one tick look alike. A tree is only
 * vouched for when its latest change is older than the slowest tick (CONFIG_HZ=100), with as much again in reserve.
 */
const TICK_NS = 20_000_000n;
/** To find a tree that is not being written to. */
const MAX_ATTEMPTS = 50;
/** Of what changes while it is read. */
const MAX_READS = 3;

/** Throws NOT_FOUND, INVALID, or UNSUPPORTED where something is mounted below the rootfs. */
export function openSource(rootfs: string, opened: number[]): RootfsSource {
  const open = (path: string, what: string): Layer => {
    const fd = openFolder(path, what);
    opened.push(fd);
    return { fd, path };
  };
  const root = open(realPath(rootfs), 'the rootfs');
  const mounts = readMounts(root.path);
  const below = mounts.find(({ mountPoint }) => mountPoint !== root.path);
  if (below !== undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      `${below.mountPoint} is mounted inside the rootfs ${root.path}: unmount it first`,
    );
  }
  const mount = mounts.findLast(({ mountPoint }) => mountPoint === root.path);
  const folders = mount === undefined ? undefined : overlayFolders(mount);
  if (folders === undefined) return { rootfs: root, image: [root], own: [], isOverlay: false };
  return {
    rootfs: root,
    image: folders.lower.map((path) => open(path, 'the layer')).reverse(),
    own: folders.own.map((path) => open(path, 'the layer')).reverse(),
    isOverlay: true,
  };
}

function realPath(rootfs: string): string {
  try {
    return realpathSync(rootfs);
  } catch (error) {
    throw new RunncError('NOT_FOUND', `the rootfs ${rootfs} does not exist: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** The image's layers by device, inode and ctime of their folders: who they are, not what is in them. */
export function layerIdentity(layers: readonly Layer[]): string {
  return layers
    .map(({ fd }) => {
      const { inode, ctimeNs } = fstatSync(fd);
      return `${inode}:${ctimeNs}`;
    })
    .join(' ');
}

/** A folder as it was at one moment, to be told from any other state of it. */
export interface Fingerprint {
  readonly layer: Layer;
  readonly scan: Scan;
  readonly options: ScanOptions;
}

export interface ScannedLayer extends Fingerprint {
  readonly tree: TreeEntry;
}

export function scanLayer(layer: Layer, { overlay }: { overlay: boolean }): ScannedLayer {
  const scanned = fingerprint(layer, { overlay, targets: true });
  return { ...scanned, tree: parseScan(scanned.scan, layer.fd, layer.path) };
}

/** scanLayer(), but waits, if something changed just now, until a further change would be told from it. */
export async function scanSettled(layer: Layer, { overlay }: { overlay: boolean }): Promise<ScannedLayer> {
  const settled = await settle(layer, { overlay, targets: true });
  return { ...settled, tree: parseScan(settled.scan, layer.fd, layer.path) };
}

/**
 * Of a folder that is no layer, and as settled: all that its image is found by. Nothing is made of the entries.
 * `first`: a plainFingerprint() of just now.
 */
export function settledFingerprint(layer: Layer, first = plainFingerprint(layer)): Promise<Fingerprint> {
  return settle(layer, first.options, first);
}

/** Of a folder that is no layer, which may be changing. */
export function plainFingerprint(layer: Layer): Fingerprint {
  return fingerprint(layer, { overlay: false, targets: false });
}

function fingerprint(layer: Layer, options: ScanOptions): Fingerprint {
  return { layer, scan: scan(layer.fd, layer.path, options), options };
}

async function settle(
  layer: Layer,
  options: ScanOptions,
  first = fingerprint(layer, options),
): Promise<Fingerprint> {
  for (let [found, attempt] = [first, 1]; ; found = fingerprint(layer, options), attempt++) {
    const ageNs = BigInt(Date.now()) * 1_000_000n - found.scan.latestChangeNs;
    if (ageNs < 0n || ageNs > TICK_NS) return found;
    if (attempt === MAX_ATTEMPTS) break;
    await delay(Number((TICK_NS - ageNs) / 1_000_000n) + 1);
  }
  throw new RunncError('HOST', `${layer.path} is being written to: stop what does, then try again`);
}

/**
 * `read` again if it met a change: what is written to now and then, a folder of an orchestrator or the root of another
 * container of the same bundle, is whole a moment later. Throws what the last of three attempts throws.
 */
export async function whenUnchanged<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof ChangedError) || attempt === MAX_READS) throw error;
    }
  }
}

/** Throws if anything in the layers is not as it was scanned. */
export function checkUnchanged(layers: readonly Fingerprint[]): void {
  for (const { layer, scan: before, options } of layers) {
    if (!scan(layer.fd, layer.path, options).records.equals(before.records)) {
      throw new ChangedError(layer.path);
    }
  }
}

/** Does overlayfs keep names or contents of these layers elsewhere? Then only the mount itself shows the truth. */
export function isIndirect(layers: readonly ScannedLayer[]): boolean {
  return layers.some(({ scan }) => scan.isIndirect);
}

export function mergeScanned(layers: readonly ScannedLayer[], whiteouts: 'drop' | 'keep'): TreeEntry {
  return mergeLayers(
    layers.map(({ tree }) => tree),
    whiteouts,
  );
}

/** Is there anything in it that Docker did not put there itself? */
export function hasContent({ scan }: ScannedLayer): boolean {
  return scan.fileBytes > 0;
}

/**
 * What the container's own layers add, as far as an image that holds them merged is concerned. Docker's are made
 * anew for each container, yet nearly always the same: empty files, folders and links. Those count by name, mode,
 * owner and target; a file with content by device, inode and ctime.
 */
export function ownIdentity(own: readonly ScannedLayer[]): string {
  const lines: string[] = [];
  for (const entry of own.length === 0 ? [] : walk(mergeScanned(own, 'keep'))) {
    const { path, kind, mode, uid, gid, opaque, major, minor, target } = entry;
    const inode =
      kind === 'file' && entry.sizeBytes > 0 ? [entry.dev, entry.ino, entry.ctimeNs].map(String) : [];
    lines.push(
      JSON.stringify([path, kind, mode, uid, gid, opaque, major, minor, target.toString('latin1'), inode]),
    );
  }
  return lines.join('\n');
}
