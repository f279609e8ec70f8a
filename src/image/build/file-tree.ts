/**
 * The files of a stage, an image or a build context as a tree in memory: what there is and where its content can be
 * read, but no content. Nothing is unpacked to look at it, so owners need no root, and no path of an image is ever one
 * of the host: links are followed here, inside the tree.
 */
import { RunncError, shorten } from '../../errors.ts';
import type { TreeEntry } from '../../rootfs/tree.ts';

export type NodeKind = 'file' | 'folder' | 'symlink' | 'char' | 'block' | 'fifo';

export interface Attributes {
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the last modification, in seconds. */
  readonly mtime: number;
}

/** A tar archive that can be read more than once. */
export interface Archive {
  /** For errors. */
  readonly name: string;
  /** Uncompressed. */
  readonly read: () => AsyncIterable<Uint8Array>;
}

/** Where the content of a file is. Hard links of each other share one of these. */
export interface Content {
  readonly sizeBytes: number;
  /** SHA-256, hexadecimal. Unknown until somebody has read a scanned file. */
  sha256?: string;
  readonly origin:
    /** A file of a scanned folder. */
    | { readonly type: 'scanned'; readonly entry: TreeEntry }
    /** The entry of a layer, counted from 0. */
    | { readonly type: 'layer'; readonly diffId: string; readonly at: number }
    /** The same of an archive that ADD unpacks. */
    | { readonly type: 'archive'; readonly archive: Archive; readonly at: number }
    | { readonly type: 'stream'; readonly read: () => AsyncIterable<Uint8Array> };
}

export interface Node extends Attributes {
  readonly kind: NodeKind;
  /** Of a file. */
  readonly content?: Content;
  /** Of a symlink. */
  readonly target?: string;
  /** Of a char or block device. */
  readonly major?: number;
  readonly minor?: number;
  /** Of a folder, else empty. */
  readonly children: ReadonlyMap<string, Node>;
}

/** A path below the root: "" is the root, "a/b" has no slash at either end. */
export type TreePath = string;

/** What a layer puts at a path. */
export interface PresentEntry extends Attributes {
  readonly path: TreePath;
  readonly kind: NodeKind;
  /** Of a file, as the next two. */
  readonly size?: number;
  readonly sha256?: string;
  /** Its place among the entries of the layer's archive, from 0. */
  readonly at?: number;
  readonly target?: string;
  readonly major?: number;
  readonly minor?: number;
  /** A hard link: the path of the file whose content and attributes it shares, in this layer or below it. */
  readonly link?: TreePath;
}

/** What a layer does with a path: it may also take away what is there below it, or in it. */
export type LayerEntry = PresentEntry | { readonly path: TreePath; readonly kind: 'whiteout' | 'opaque' };

export function isPresent(entry: LayerEntry): entry is PresentEntry {
  return entry.kind !== 'whiteout' && entry.kind !== 'opaque';
}

/** What a path leads to, links followed. */
export interface Located {
  /** Without links and "..", also of what does not exist. */
  readonly path: TreePath;
  readonly node?: Node;
}

interface MutableNode extends Node {
  readonly children: Map<string, Node>;
}

/** As Linux's MAXSYMLINKS. */
const MAX_LINKS = 40;

/** Of folders that nobody describes. */
export const FOLDER_MODE = 0o755;

export class FileTree {
  #root: MutableNode;

  constructor(root: Attributes = { mode: FOLDER_MODE, uid: 0, gid: 0, mtime: 0 }) {
    this.#root = folder(root);
  }

  get root(): Node {
    return this.#root;
  }

  /** A tree of its own with the same nodes. */
  clone(): FileTree {
    const tree = new FileTree();
    tree.#root = cloneFolders(this.#root);
    return tree;
  }

  /** What is at this very path; no link is followed. */
  get(path: TreePath): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of names(path)) node = node?.children.get(name);
    return node;
  }

  /**
   * Follows `path`, which may be absolute, through links and "..", never above the root. Throws INVALID for more links
   * than Linux follows.
   */
  locate(path: string, { followLast = true }: { readonly followLast?: boolean } = {}): Located {
    let links = 0;
    const pending = path.split('/').reverse();
    const real: string[] = [];
    const nodes: (Node | undefined)[] = [this.#root];
    while (pending.length > 0) {
      const name = pending.pop() ?? '';
      if (name === '' || name === '.') continue;
      if (name === '..') {
        real.pop();
        if (nodes.length > 1) nodes.pop();
        continue;
      }
      const node = nodes.at(-1)?.children.get(name);
      const isLast = pending.every((rest) => rest === '' || rest === '.');
      if (node?.kind === 'symlink' && (!isLast || followLast)) {
        if (++links > MAX_LINKS)
          throw new RunncError('INVALID', `${shorten(path)} has too many symbolic links`);
        const target = node.target ?? '';
        if (target.startsWith('/')) {
          real.length = 0;
          nodes.length = 1;
        }
        pending.push(...target.split('/').reverse());
        continue;
      }
      real.push(name);
      nodes.push(node);
    }
    const node = nodes.at(-1);
    return { path: real.join('/'), ...(node === undefined ? {} : { node }) };
  }

  /** Puts a node at this very path, in the place of what is there; a folder keeps what is in it. */
  put(path: TreePath, node: Node): void {
    const all = names(path);
    const name = all.pop();
    if (name === undefined) {
      this.#root = { ...node, children: this.#root.children };
      return;
    }
    const parent = this.#folderAt(all);
    const before = parent.children.get(name);
    const children = node.kind === 'folder' && before?.kind === 'folder' ? before.children : new Map();
    parent.children.set(name, { ...node, children });
  }

  remove(path: TreePath): void {
    const all = names(path);
    const name = all.pop();
    const parent = this.get(all.join('/')) as MutableNode | undefined;
    if (name !== undefined) parent?.children.delete(name);
  }

  /**
   * Lays a layer over the tree. What it removes is of layers below it, wherever in it that stands. As when it is unpacked,
   * links of folders on the way are followed.
   */
  apply(layer: readonly LayerEntry[], diffId: string): void {
    for (const entry of layer) {
      if (entry.kind === 'whiteout') this.remove(entry.path);
      else if (entry.kind === 'opaque') (this.get(entry.path) as MutableNode | undefined)?.children.clear();
    }
    for (const entry of layer) {
      if (!isPresent(entry)) continue;
      const parent = this.locate(parentOf(entry.path)).path;
      const name = baseName(entry.path);
      this.put(parent === '' ? name : `${parent}/${name}`, this.#nodeOf(entry, diffId));
    }
  }

  #nodeOf(entry: PresentEntry, diffId: string): Node {
    const { kind, mode, uid, gid, mtime, target, major, minor, link, size = 0, sha256 = '', at = 0 } = entry;
    const linked = link === undefined ? undefined : this.get(link);
    if (linked !== undefined) return linked;
    return {
      ...{ kind, mode, uid, gid, mtime, children: new Map() },
      ...(kind === 'file'
        ? { content: { sizeBytes: size, sha256, origin: { type: 'layer', diffId, at } } }
        : {}),
      ...(target === undefined ? {} : { target }),
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
    };
  }

  /** Makes it, and folders above it, if missing or something else. */
  #folderAt(path: readonly string[]): MutableNode {
    let current = this.#root;
    for (const name of path) {
      let next = current.children.get(name);
      if (next?.kind !== 'folder') {
        next = folder({ mode: FOLDER_MODE, uid: 0, gid: 0, mtime: 0 });
        current.children.set(name, next);
      }
      current = next as MutableNode;
    }
    return current;
  }
}

/** A folder and all that is in it, in the order of names, folders before their content. */
export function* walkNodes(node: Node, path: TreePath): Generator<readonly [TreePath, Node]> {
  yield [path, node];
  for (const name of [...node.children.keys()].sort()) {
    yield* walkNodes(node.children.get(name) as Node, path === '' ? name : `${path}/${name}`);
  }
}

export function folder(attributes: Attributes): MutableNode {
  const { mode, uid, gid, mtime } = attributes;
  return { kind: 'folder', mode, uid, gid, mtime, children: new Map() };
}

export function names(path: TreePath): string[] {
  return path === '' ? [] : path.split('/');
}

export function parentOf(path: TreePath): TreePath {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

export function baseName(path: TreePath): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function cloneFolders(node: Node): MutableNode {
  const children = new Map<string, Node>();
  for (const [name, child] of node.children) {
    children.set(name, child.kind === 'folder' ? cloneFolders(child) : child);
  }
  return { ...node, children };
}
