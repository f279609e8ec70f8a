/**
 * Overlay mounts (Linux: Documentation/filesystems/overlayfs.rst) taken apart: which folders a rootfs is made of,
 * and what they give when laid one over the other.
 *
 * Only the layers of the engines' own stores are taken apart. Those are written once, before they are first used,
 * and nobody but the engine can write there; so device, inode and ctime of a layer's folder name its whole content.
 * With any other overlay mount somebody may have edited a lower folder between two mounts: it is read as one tree.
 */
import { realpathSync } from '../files.ts';
import { dirname } from '../path.ts';
import { type MountInfo, unescape } from './mountinfo.ts';
import type { TreeEntry } from './tree.ts';

export interface OverlayFolders {
  /** Of the image; the topmost first, as in the mount option. Absolute, without links. */
  readonly lower: readonly string[];
  /** Of this container alone; the topmost first. */
  readonly own: readonly string[];
}

/**
 * Docker's overlay2; containers/storage (Podman, CRI-O); containerd's snapshotter. The likeliest first, and each by itself:
 * all in one would take ten times as long to compile.
 */
const STORES = [
  /\/overlay2\/[0-9a-f]{64}\/diff$/,
  /\/overlay\/[0-9a-f]{64}\/diff$/,
  /\/io\.containerd\.snapshotter\.v1\.overlayfs\/snapshots\/[0-9]+\/fs$/,
  /\/overlay2\/[0-9a-z]{25}\/diff$/,
];
/** What Docker puts over the image of every container: empty files to mount its own over. */
const DOCKER_INIT = /\/overlay2\/[0-9a-f]{64}-init\/diff$/;

/** The folders of an overlay mount of an engine; undefined for any other mount. */
export function overlayFolders(mount: MountInfo): OverlayFolders | undefined {
  if (mount.fileSystem !== 'overlay') return undefined;
  const options = splitEscaped(mount.superOptions, ',');
  // Since Linux 6.8 a mount may have several of these, and data-only layers, which hold content under other names.
  if (options.some((option) => option.startsWith('lowerdir+=') || option.startsWith('datadir+=')))
    return undefined;
  const lowerOption = optionValue(options, 'lowerdir=');
  const upperOption = optionValue(options, 'upperdir=');
  if (lowerOption === undefined || lowerOption.includes('::')) return undefined;
  const upper = upperOption === undefined ? [] : [unescape(upperOption)];

  // A long chain is given relative to a folder that the engine had gone to: its store, which is the parent of the
  // parent of both the upper folder and (Docker) the mount point.
  const bases = [...upper, mount.mountPoint]
    .filter((path) => path.startsWith('/'))
    .map((path) => dirname(dirname(path)));
  for (const base of bases) {
    const lower = stored(splitEscaped(lowerOption, ':').map(unescape), base);
    const own = stored(upper, base);
    const init = lower?.findIndex(({ isInit }) => !isInit) ?? -1;
    if (lower === undefined || own === undefined || init < 0) continue;
    const paths = [...own, ...lower].map(({ path }) => path);
    return { lower: paths.slice(own.length + init), own: paths.slice(0, own.length + init) };
  }
  return undefined;
}

/** Where they really are; undefined if any is not in a store. */
function stored(paths: readonly string[], base: string): { path: string; isInit: boolean }[] | undefined {
  const found = [];
  for (const given of paths) {
    try {
      const path = realpathSync(given.startsWith('/') ? given : `${base}/${given}`);
      const isInit = path.endsWith('-init/diff') && DOCKER_INIT.test(path);
      if (!isInit && !STORES.some((store) => store.test(path))) return undefined;
      found.push({ path, isInit });
    } catch {
      return undefined;
    }
  }
  return found;
}

/** Splits where the separator is not escaped by a backslash. */
function splitEscaped(text: string, separator: string): string[] {
  if (!text.includes('\\')) return text.split(separator);
  const parts = [''];
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === separator) parts.push('');
    else {
      const taken = char === '\\' && text.charAt(i + 1) === separator ? text.charAt(++i) : char;
      parts[parts.length - 1] += taken;
    }
  }
  return parts;
}

function optionValue(options: readonly string[], prefix: string): string | undefined {
  return options.find((option) => option.startsWith(prefix))?.slice(prefix.length);
}

/** A character device 0:0 stands for "not there any more". */
export function isWhiteout(entry: TreeEntry): boolean {
  return entry.kind === 'char' && entry.major === 0 && entry.minor === 0;
}

/**
 * Layers, the lowest first, as one tree. 'drop': nothing is below them, whiteouts have done their work. 'keep': the
 * result is itself a layer.
 */
export function mergeLayers(layers: readonly TreeEntry[], whiteouts: 'drop' | 'keep'): TreeEntry {
  const merged = layers.reduce(overlay);
  return whiteouts === 'drop' ? withoutWhiteouts(merged) : merged;
}

function overlay(lower: TreeEntry, upper: TreeEntry): TreeEntry {
  if (upper.kind !== 'folder' || upper.opaque) return upper;
  // A folder over a file or whiteout hides what still lower layers have under that name.
  if (lower.kind !== 'folder') return { ...upper, opaque: true };
  if (upper.children.length === 0) return { ...upper, opaque: lower.opaque, children: lower.children };
  const children = new Map(lower.children.map((child) => [child.name, child]));
  for (const child of upper.children) {
    const below = children.get(child.name);
    children.set(child.name, below === undefined ? child : overlay(below, child));
  }
  return {
    ...upper,
    opaque: lower.opaque,
    children: [...children.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function withoutWhiteouts(entry: TreeEntry): TreeEntry {
  if (entry.kind !== 'folder') return entry;
  return { ...entry, children: entry.children.filter((child) => !isWhiteout(child)).map(withoutWhiteouts) };
}
