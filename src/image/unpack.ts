/**
 * Unpacks the layers of an image, one over the other, into a folder (image-spec layer.md). The layers are hostile: every
 * path is resolved by the kernel inside the folder, nothing is written through a link, and the folder is nobody else's
 * while this runs. Extended attributes are dropped, as in the images that guests get.
 */
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { O_PATH } from '../files.ts';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import { makeNode, openInRoot } from '../native.ts';
import { storeError } from './store-folder.ts';
import { DEFAULT_LIMITS, readTar, type TarAttributes, type TarEntry, type TarLimits } from './tar.ts';

export interface UnpackOptions {
  readonly limits?: TarLimits;
  /** Owners are given and devices made; default: for root. */
  readonly privileged?: boolean;
  /** Told once of each kind of thing that was left out. */
  readonly onWarning?: (message: string) => void;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** The kernel's types of files, stat(2). */
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

const ROOT = Buffer.alloc(0);

export class Unpacker {
  readonly #rootFd: number;
  readonly #limits: TarLimits;
  readonly #privileged: boolean;
  readonly #warn: (message: string) => void;
  readonly #warned = new Set<string>();
  /** Modes and times of folders, which are set when nothing more goes into them. By path, as latin1. */
  readonly #folders = new Map<string, TarAttributes>();
  #entries = 0;
  #bytes = 0;
  /** The last entry's folder: most entries share it. */
  #parent: { readonly path: string; readonly fd: number } | undefined;

  /** The folder must exist, be empty and belong to nobody else. close() is the caller's duty. */
  constructor(folder: string, options: UnpackOptions = {}) {
    this.#rootFd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#privileged = options.privileged ?? process.geteuid?.() === 0;
    this.#warn = options.onWarning ?? (() => undefined);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Lays one layer, uncompressed, over those before. `where` names it in errors. Throws INVALID and HOST; what is in the
   * folder then is of no use.
   */
  async layer(source: AsyncIterable<Uint8Array>, where: string): Promise<void> {
    const limits = {
      maxEntries: this.#limits.maxEntries - this.#entries,
      maxBytes: this.#limits.maxBytes - this.#bytes,
    };
    /** What this layer itself has, which its whiteouts do not hide. */
    const own = new Set<string>();
    for await (const entry of readTar(source, where, limits)) {
      this.#entries++;
      if (entry.type === 'file') this.#bytes += entry.size;
      try {
        await this.#add(entry, own);
      } catch (error) {
        const shown = shorten(entry.path.toString('utf8'));
        if (error instanceof RunncError && error.message.startsWith(`${where}: `)) throw error;
        if (error instanceof RunncError)
          throw new RunncError(error.code, `${where}: entry ${shown} ${error.message}`);
        if (errnoOf(error) === undefined) throw error;
        if (errnoOf(error) === 'ENOSPC') throw storeError(where, error);
        throw new RunncError('HOST', `${where}: entry ${shown} cannot be unpacked: ${errorMessage(error)}`, {
          cause: error,
        });
      }
    }
  }

  /** After the last layer: folders get their modes and times. */
  finish(): void {
    // The deepest first: a time set is not to be changed by what is done inside.
    const paths = [...this.#folders.keys()].sort((a, b) => (a < b ? 1 : -1));
    for (const path of paths) {
      const attributes = this.#folders.get(path);
      if (attributes === undefined) continue;
      const { parent, name } = split(Buffer.from(path, 'latin1'));
      try {
        const at =
          path === '' ? `/proc/self/fd/${String(this.#rootFd)}/.` : this.#at(this.#open(parent, false), name);
        if (!lstatSync(at).isDirectory()) continue;
        chmodSync(at, attributes.mode);
        lutimesSync(at, attributes.mtime, attributes.mtime);
      } catch (error) {
        // A later layer took it away.
        if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
      }
    }
    this.#forgetParent();
  }

  close(): void {
    this.#forgetParent();
    closeSync(this.#rootFd);
  }

  async #add(entry: TarEntry, own: Set<string>): Promise<void> {
    const { parent, name } = split(entry.path);
    const text = name.toString('latin1');
    if (entry.path.length === 0) {
      if (entry.type !== 'folder') throw new RunncError('INVALID', 'is the root, but no folder');
      this.#describeFolder(ROOT, entry);
      return;
    }
    if (text.startsWith(WHITEOUT)) {
      this.#whiteOut(parent, text, own);
      return;
    }
    rememberOwn(own, entry.path);
    const folderFd = this.#open(parent, true);
    const at = this.#at(folderFd, name);
    const replaced = this.#makeRoom(at, entry.type === 'folder');
    try {
      await this.#make(entry, folderFd, at);
    } finally {
      // The way to the last parent may have led through it.
      if (replaced) this.#forgetParent();
    }
  }

  async #make(entry: TarEntry, folderFd: number, at: Buffer): Promise<void> {
    const { name } = split(entry.path);
    switch (entry.type) {
      case 'folder':
        mkdirIfMissing(at);
        this.#setOwner(at, entry);
        this.#describeFolder(entry.path, entry);
        return;
      case 'file':
        await writeFile(at, entry.body);
        break;
      case 'symlink':
        symlinkSync(entry.target, at);
        break;
      case 'hardlink':
        this.#link(entry.to, at);
        return; // its attributes are those of the other name
      case 'fifo':
        makeNode(folderFd, name, S_IFIFO | 0o600);
        break;
      default:
        if (!this.#makeDevice(folderFd, name, entry)) return;
    }
    this.#setOwner(at, entry);
    if (entry.type !== 'symlink') chmodSync(at, entry.mode);
    lutimesSync(at, entry.mtime, entry.mtime);
  }

  /** Only a folder over a folder keeps what is there. True if something was removed. */
  #makeRoom(at: Buffer, isFolder: boolean): boolean {
    const there = lstatSync(at, { throwIfNoEntry: false });
    if (there === undefined || (isFolder && there.isDirectory())) return false;
    rmSync(at, { recursive: true, force: true });
    return true;
  }

  #whiteOut(parent: Buffer, name: string, own: ReadonlySet<string>): void {
    const prefix = parent.toString('latin1');
    if (name === OPAQUE) {
      this.#clear(prefix, own);
      return;
    }
    // Book-keeping of aufs.
    if (name.startsWith(WHITEOUT + WHITEOUT)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === '' || hidden === '.' || hidden === '..') {
      throw new RunncError('INVALID', 'is a whiteout of nothing');
    }
    this.#hide(prefix, hidden, own);
  }

  /** Takes away all that older layers have in a folder. */
  #clear(path: string, own: ReadonlySet<string>): void {
    let fd: number;
    try {
      fd = this.#open(Buffer.from(path, 'latin1'), false);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return;
      throw error;
    }
    for (const name of readdirSync(`/proc/self/fd/${String(fd)}/.`, { encoding: 'buffer' })) {
      this.#hide(path, name.toString('latin1'), own);
    }
  }

  /** Takes away what older layers have of that name. */
  #hide(parent: string, name: string, own: ReadonlySet<string>): void {
    const path = parent === '' ? name : `${parent}/${name}`;
    if (own.has(path)) {
      this.#clear(path, own);
      return;
    }
    try {
      const fd = this.#open(Buffer.from(parent, 'latin1'), false);
      rmSync(this.#at(fd, Buffer.from(name, 'latin1')), { recursive: true, force: true });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
    }
    this.#forgetParent();
  }

  #link(to: Buffer, at: Buffer): void {
    const target = split(to);
    const fd = this.#openFresh(target.parent, false);
    try {
      linkSync(this.#at(fd, target.name), at);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EPERM') {
        throw new RunncError(
          'INVALID',
          `is a hard link to ${shorten(to.toString('utf8'))}, which is not there or no file`,
        );
      }
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  #makeDevice(
    folderFd: number,
    name: Buffer,
    entry: Extract<TarEntry, { readonly type: 'char' | 'block' }>,
  ): boolean {
    try {
      if (this.#privileged) {
        const type = entry.type === 'char' ? S_IFCHR : S_IFBLK;
        makeNode(folderFd, name, type | 0o600, entry.major, entry.minor);
        return true;
      }
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw error;
    }
    this.#warnOnce('device files are left out: only root can make them');
    return false;
  }

  #setOwner(at: Buffer, { uid, gid }: TarAttributes): void {
    if (!this.#privileged) return;
    try {
      lchownSync(at, uid, gid);
    } catch (error) {
      // Root of a user namespace that does not have this id.
      if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'EPERM') throw error;
      this.#warnOnce('files keep their owner only where this user namespace has such an id');
    }
  }

  #describeFolder(path: Buffer, { mode, uid, gid, mtime }: TarAttributes): void {
    this.#folders.set(path.toString('latin1'), { path, mode, uid, gid, mtime });
  }

  #warnOnce(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#warn(message);
  }

  /** The folder of that path, links resolved inside the root. The descriptor stays ours, until the next call. */
  #open(path: Buffer, create: boolean): number {
    const text = path.toString('latin1');
    if (this.#parent?.path === text) return this.#parent.fd;
    const fd = this.#openFresh(path, create);
    this.#forgetParent();
    this.#parent = { path: text, fd };
    return fd;
  }

  #openFresh(path: Buffer, create: boolean): number {
    const flags = O_PATH | constants.O_DIRECTORY;
    try {
      return openInRoot(this.#rootFd, path.length === 0 ? '/' : path, flags);
    } catch (error) {
      if (errnoOf(error) === 'ELOOP') throw new RunncError('INVALID', 'lies behind a circle of links');
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
      if (!create || path.length === 0) throw error;
    }
    // Folders that the archive takes for granted.
    const { parent, name } = split(path);
    const parentFd = this.#openFresh(parent, true);
    try {
      const at = this.#at(parentFd, name);
      const there = lstatSync(at, { throwIfNoEntry: false });
      // A link that leads nowhere, or a file: what lies "in" it takes its place.
      if (there !== undefined && !there.isDirectory()) rmSync(at);
      if (there?.isDirectory() !== true) {
        mkdirSync(at, { mode: 0o755 });
        chmodSync(at, 0o755);
      }
    } finally {
      closeSync(parentFd);
    }
    return openInRoot(this.#rootFd, path, flags);
  }

  /** A path that node:fs takes: an open folder and one name in it. */
  #at(folderFd: number, name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${String(folderFd)}/`), name]);
  }

  #forgetParent(): void {
    if (this.#parent !== undefined) closeSync(this.#parent.fd);
    this.#parent = undefined;
  }
}

function split(path: Buffer): { parent: Buffer; name: Buffer } {
  const slash = path.lastIndexOf('/');
  return slash < 0
    ? { parent: ROOT, name: path }
    : { parent: path.subarray(0, slash), name: path.subarray(slash + 1) };
}

/** With the folders it lies in. */
function rememberOwn(own: Set<string>, path: Buffer): void {
  let text = path.toString('latin1');
  while (text !== '' && !own.has(text)) {
    own.add(text);
    text = text.slice(0, Math.max(text.lastIndexOf('/'), 0));
  }
}

function mkdirIfMissing(at: Buffer): void {
  try {
    mkdirSync(at, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

async function writeFile(at: Buffer, body: AsyncIterable<Uint8Array>): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(at, flags, 0o600);
  try {
    for await (const chunk of body) {
      for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done);
    }
  } finally {
    closeSync(fd);
  }
}
