/** What one instruction changes in the files of a stage: noted while the tree is changed, then written as a layer. */
import { RunncError, shorten } from '../../errors.ts';
import { filesOf } from './archive.ts';
import { readScanned } from './context.ts';
import {
  type Archive,
  type Attributes,
  baseName,
  type Content,
  type FileTree,
  folder,
  FOLDER_MODE,
  names,
  type Node,
  parentOf,
  type PresentEntry,
  type TreePath,
} from './file-tree.ts';
import type { LayerItem } from './layer-writer.ts';
import type { Layers } from './layers.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT_OWNER: Owner = { uid: 0, gid: 0 };

export class Changes {
  readonly tree: FileTree;
  /** Of folders that are made on the way, in seconds. */
  readonly #now: number;
  readonly #latest: number;
  readonly #changed = new Set<TreePath>();
  readonly #removed = new Set<TreePath>();

  /** `latest`: no file may be younger, in seconds; without it all keep their times. */
  constructor(
    tree: FileTree,
    { now, latest = Infinity }: { readonly now: number; readonly latest?: number },
  ) {
    this.tree = tree;
    this.#now = now;
    this.#latest = latest;
  }

  get isEmpty(): boolean {
    return this.#changed.size === 0 && this.#removed.size === 0;
  }

  /** The folder above it must be there. */
  put(path: TreePath, node: Node): void {
    this.tree.put(path, node.mtime > this.#latest ? { ...node, mtime: this.#latest } : node);
    this.#changed.add(path);
  }

  remove(path: TreePath): void {
    this.tree.remove(path);
    this.#changed.delete(path);
    this.#removed.add(path);
  }

  /**
   * Makes the folder and those above it if they are missing; returns where it is, links followed. Throws INVALID if a
   * file is in the way.
   */
  makeFolder(path: string, owner: Owner, attributes: Partial<Attributes> = {}): TreePath {
    const located = this.tree.locate(path);
    if (located.node?.kind === 'folder') return located.path;
    if (located.node !== undefined) throw notAFolder(located.path);
    let current = '';
    const all = names(located.path);
    for (const [i, name] of all.entries()) {
      current = current === '' ? name : `${current}/${name}`;
      const node = this.tree.get(current);
      if (node !== undefined && node.kind !== 'folder') throw notAFolder(current);
      if (node !== undefined) continue;
      const own = i === all.length - 1 ? attributes : {};
      this.put(current, folder({ mode: FOLDER_MODE, mtime: this.#now, ...owner, ...own }));
    }
    return located.path;
  }

  /**
   * The entries of the layer. Folders above what is changed go with it, for a layer's folder has the last word on its
   * attributes. Hard links follow their file, and files of one layer come in that layer's order, so that it is read once.
   */
  async *items(layers: Layers, hash: (content: Content) => Promise<string>): AsyncGenerator<LayerItem> {
    const paths = new Set<TreePath>();
    for (const path of this.#changed) {
      for (let at = path; at !== '' && !paths.has(at); at = parentOf(at)) paths.add(at);
    }
    for (const path of [...this.#removed].sort()) {
      if (!this.#changed.has(path)) yield { entry: { path, kind: 'whiteout' } };
      for (let at = parentOf(path); at !== '' && !paths.has(at); at = parentOf(at)) paths.add(at);
    }
    const files: FileToWrite[] = [];
    const links: PresentEntry[] = [];
    const written = new Map<Content, TreePath>();
    for (const path of [...paths].sort()) {
      const node = this.tree.get(path);
      if (node === undefined) continue;
      const { content } = node;
      if (content === undefined) {
        yield { entry: entryOf(path, node) };
        continue;
      }
      const first = written.get(content);
      if (first !== undefined) {
        links.push({ ...entryOf(path, node), link: first });
        continue;
      }
      written.set(content, path);
      const sha256 = await hash(content);
      files.push({ content, entry: { ...entryOf(path, node), size: content.sizeBytes, sha256 } });
    }
    yield* filesOfTheirOwn(files);
    yield* filesOfArchives(files, layers);
    for (const entry of links) yield { entry };
  }
}

interface FileToWrite {
  readonly content: Content;
  readonly entry: PresentEntry;
}

async function* filesOfTheirOwn(files: readonly FileToWrite[]): AsyncGenerator<LayerItem> {
  for (const { entry, content } of files) {
    const { origin } = content;
    if (origin.type === 'scanned') yield { entry, content: readScanned(origin.entry) };
    else if (origin.type === 'stream') yield { entry, content: origin.read() };
  }
}

/** Each archive is read once, whatever is wanted of it. */
async function* filesOfArchives(files: readonly FileToWrite[], layers: Layers): AsyncGenerator<LayerItem> {
  const wanted = new Map<Archive, Map<number, PresentEntry>>();
  for (const { entry, content } of files) {
    const { origin } = content;
    if (origin.type !== 'layer' && origin.type !== 'archive') continue;
    const archive = origin.type === 'layer' ? layers.archive(origin.diffId) : origin.archive;
    const ofArchive = wanted.get(archive) ?? new Map<number, PresentEntry>();
    wanted.set(archive, ofArchive.set(origin.at, entry));
  }
  for (const [archive, entries] of wanted) {
    for await (const { at, content } of filesOf(archive, new Set(entries.keys()))) {
      const entry = entries.get(at);
      if (entry !== undefined) yield { entry, content };
      entries.delete(at);
    }
    const [missing] = entries.values();
    if (missing !== undefined)
      throw new RunncError('HOST', `${archive.name} changed while it was read: try again`);
  }
}

function entryOf(path: TreePath, node: Node): PresentEntry {
  if (baseName(path).startsWith('.wh.')) {
    throw new RunncError(
      'INVALID',
      `/${path}: a name that begins with ".wh." would remove files of the image`,
    );
  }
  const { kind, mode, uid, gid, mtime, target, major, minor } = node;
  return {
    ...{ path, kind, mode, uid, gid, mtime },
    ...(target === undefined ? {} : { target }),
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
  };
}

function notAFolder(path: TreePath): RunncError {
  return new RunncError('INVALID', `/${shorten(path).slice(1, -1)} is there and no folder`);
}
