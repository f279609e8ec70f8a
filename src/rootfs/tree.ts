/**
 * A tree of hostile files, held fast: what the addon's scan saw, and descriptors on exactly those files.
 *
 * Whoever can write to the tree may replace anything at any time. So nothing is believed to be what it was: a file
 * is read only after its descriptor shows the scanned inode, and a second scan after the reading must equal the
 * first one. Names are strings with one character per byte (latin1), for a file name need not be UTF-8.
 */
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { closeSync, constants, fstatSync, O_PATH, openSync, S_IFMT, type Stat } from '../files.ts';
import { openInRoot, scanTree, type TreeScan } from '../native.ts';

export type EntryKind = 'file' | 'folder' | 'symlink' | 'char' | 'block' | 'fifo' | 'socket';

export interface TreeEntry {
  /** Empty for the root. */
  readonly name: string;
  readonly kind: EntryKind;
  /** 0 to 0o7777. */
  readonly mode: number;
  /** The host's. */
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Links to the inode, in this tree or elsewhere. */
  readonly links: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly dev: bigint;
  readonly ino: bigint;
  /** Of a char or block device. */
  readonly major: number;
  readonly minor: number;
  /** Of a symlink: its bytes, else empty. */
  readonly target: Buffer;
  /** overlayfs: hides what lower layers have in this folder. */
  readonly opaque: boolean;
  /** A file system of the kernel's own (proc and the like) is mounted here: what is in it was left out. */
  readonly kernelFs: boolean;
  /** Of a folder, in the order of names. */
  readonly children: readonly TreeEntry[];
  /** Where it can be opened: below this folder, by this path ("" or "/a/b"). */
  readonly rootFd: number;
  readonly path: string;
  /** Of that folder on the host, for errors. */
  readonly rootPath: string;
}

/** What one scan saw. Equal records: nothing has changed in between, as far as ctime can tell. */
export type Scan = TreeScan;

export interface ScanOptions {
  /** The folder is a layer of an overlay mount. */
  readonly overlay: boolean;
  /**
   * Read what links point to: a fifth of the time. Only a parsed tree needs it; to tell one scan from another the link's
   * inode and ctime do, for no link can be given another target.
   */
  readonly targets: boolean;
}

const RECORD_BYTES = 80;
const OPAQUE = 1;
const KERNEL_FS = 4;

/** By the type in a mode (inode(7)). */
const KINDS = new Map<number, EntryKind>([
  [0o100000, 'file'],
  [0o040000, 'folder'],
  [0o120000, 'symlink'],
  [0o020000, 'char'],
  [0o060000, 'block'],
  [0o010000, 'fifo'],
  [0o140000, 'socket'],
]);

/** Opens a folder of the host to be scanned. `what` names it in errors. */
export function openFolder(path: string, what: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT')
      throw new RunncError('NOT_FOUND', `${what} ${path} does not exist`, { cause: error });
    if (code === 'ENOTDIR')
      throw new RunncError('INVALID', `${what} ${path} is not a folder`, { cause: error });
    throw new RunncError('HOST', `${what} ${path} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}

/** `what` names the folder in errors. */
export function scan(
  rootFd: number,
  what: string,
  options: ScanOptions = { overlay: false, targets: true },
): Scan {
  try {
    return scanTree(rootFd, options.overlay, options.targets);
  } catch (error) {
    const path = error instanceof Error && 'path' in error ? String(error.path) : '';
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new ChangedError(`${what}${shorten(path)}`, { cause: error });
    }
    if (code === 'ELOOP') {
      throw new RunncError('UNSUPPORTED', `${what}${shorten(path)} is nested too deep: 512 folders at most`);
    }
    throw new RunncError('HOST', `${what}${shorten(path)} cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** The root and everything below it, folders before their content. */
export function walk(root: TreeEntry): TreeEntry[] {
  // No generator: the first one of a process takes a tenth of a millisecond, and a start has no other.
  const found: TreeEntry[] = [];
  const stack = [root];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    found.push(entry);
    for (let i = entry.children.length - 1; i >= 0; i--) stack.push(entry.children[i] as TreeEntry);
  }
  return found;
}

/** Reads what a scan of the folder that is open as `rootFd` wrote down (struct Record of tender/addon/tree.cc). */
export function parseScan({ records }: Scan, rootFd: number, rootPath: string): TreeEntry {
  /** The open folders from the root to the current one. */
  const parents: { path: string; children: TreeEntry[] }[] = [];
  let root: TreeEntry | undefined;
  let offset = 0;
  while (offset < records.length) {
    const depth = records.readUInt32LE(offset + 64);
    const flags = records.readUInt32LE(offset + 68);
    const nameEnd = offset + RECORD_BYTES + records.readUInt16LE(offset + 72);
    const targetEnd = nameEnd + records.readUInt16LE(offset + 74);
    const mode = records.readUInt32LE(offset + 48);
    const rdev = records.readBigUInt64LE(offset + 24);
    const name = records.toString('latin1', offset + RECORD_BYTES, nameEnd);
    const kind = KINDS.get(mode & S_IFMT);
    if (kind === undefined) throw new RunncError('INTERNAL', `a file of unknown type ${String(mode)}`);
    const parent = parents[depth - 1];
    const path = parent === undefined ? '' : `${parent.path}/${name}`;
    const children: TreeEntry[] = [];
    const entry: TreeEntry = {
      name,
      kind,
      mode: mode & 0o7777,
      uid: records.readUInt32LE(offset + 52),
      gid: records.readUInt32LE(offset + 56),
      links: records.readUInt32LE(offset + 60),
      sizeBytes: Number(records.readBigUInt64LE(offset + 16)),
      mtimeNs: records.readBigInt64LE(offset + 32),
      ctimeNs: records.readBigInt64LE(offset + 40),
      dev: records.readBigUInt64LE(offset),
      ino: records.readBigUInt64LE(offset + 8),
      // As glibc's gnu_dev_major() and gnu_dev_minor().
      major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
      minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
      target: records.subarray(nameEnd, targetEnd),
      opaque: (flags & OPAQUE) !== 0,
      kernelFs: (flags & KERNEL_FS) !== 0,
      children,
      rootFd,
      path,
      rootPath,
    };
    parents.length = depth;
    parent?.children.push(entry);
    root ??= entry;
    if (kind === 'folder') parents.push({ path, children });
    offset = (targetEnd + 7) & ~7;
  }
  if (root === undefined) throw new RunncError('INTERNAL', 'an empty scan');
  return root;
}

/** The caller closes the descriptor. */
export interface ScannedFile {
  readonly fd: number;
  /** It may have: it takes less room on disk than it is long. */
  readonly hasHoles: boolean;
}

/**
 * Opens a scanned file for reading: exactly that inode, unchanged since, or a RunncError. Nothing else is ever
 * opened: a path descriptor touches neither device nor fifo, and only after a look at it the file itself is opened.
 */
export function openScanned(entry: TreeEntry): ScannedFile {
  let pathFd: number | undefined;
  try {
    const path = Buffer.from(entry.path, 'latin1');
    pathFd = openInRoot(entry.rootFd, path, O_PATH | constants.O_NOFOLLOW);
    const stat = fstatSync(pathFd);
    if (!isUnchanged(stat, entry)) throw changedError(entry);
    const hasHoles = stat.blocks * 512 < stat.size;
    return { fd: openSync(`/proc/self/fd/${String(pathFd)}`, constants.O_RDONLY), hasHoles };
  } catch (error) {
    if (error instanceof RunncError) throw error;
    const code = errnoOf(error);
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EAGAIN'].includes(code ?? '')) throw changedError(entry);
    throw new RunncError('HOST', `${displayPath(entry)} cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  } finally {
    if (pathFd !== undefined) closeSync(pathFd);
  }
}

function isUnchanged(stat: Stat, { dev, ino, ctimeNs, sizeBytes }: TreeEntry): boolean {
  return (
    stat.isFile() &&
    stat.inode === `${String(dev)}:${String(ino)}` &&
    stat.ctimeNs === String(ctimeNs) &&
    stat.size === sizeBytes
  );
}

export function changedError(entry: TreeEntry): RunncError {
  return new ChangedError(displayPath(entry));
}

/** Somebody writes to what is being read. It may have ended already. */
export class ChangedError extends RunncError {
  constructor(path: string, options?: ErrorOptions) {
    super('HOST', `${path} changed while it was read: try again`, options);
    this.name = 'ChangedError';
  }
}

/** On the host. For messages: printable, on one line, not endless. */
export function displayPath({ rootPath, path }: TreeEntry): string {
  return `${rootPath}${shorten(Buffer.from(path, 'latin1').toString())}`;
}

function shorten(path: string): string {
  // eslint-disable-next-line no-control-regex -- these are what must not reach a terminal or a log
  const printable = path.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
  return printable.length <= 200 ? printable : `${printable.slice(0, 100)}…${printable.slice(-90)}`;
}
