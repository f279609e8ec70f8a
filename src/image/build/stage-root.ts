/**
 * The files of a stage in a folder, for its RUN instructions: unpacked when the first of them runs, then kept in step with
 * the layers. What a program has changed is found by comparing scans before and after it.
 */
import { createHash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { RunncError } from '../../errors.ts';
import { openFolder, parseScan, scan, type TreeEntry, walk } from '../../rootfs/tree.ts';
import type { Changes } from './changes.ts';
import { readScanned } from './context.ts';
import { type Content, type Node, parentOf, type TreePath } from './file-tree.ts';
import type { Layer } from './layer-writer.ts';
import { decode, nodeOf } from './scanned-node.ts';
import type { Session } from './session.ts';
import { unpackStage } from './unpack-stage.ts';
import { containerIdOf, WorkFolder } from './work-folder.ts';

/** Folders that a runtime makes for its mounts where they are missing. */
const MOUNT_POINTS: readonly TreePath[] = [
  'proc',
  'sys',
  'dev',
  'etc/hosts',
  'etc/hostname',
  'etc/resolv.conf',
];

export class StageRoot {
  readonly #session: Session;
  readonly #work: WorkFolder;
  readonly #isRoot = process.geteuid?.() === 0;
  readonly #opened: number[] = [];
  #layers = 0;

  private constructor(session: Session, work: WorkFolder) {
    this.#session = session;
    this.#work = work;
  }

  static open(session: Session): StageRoot {
    return new StageRoot(session, WorkFolder.open(session));
  }

  /** A folder of its own, with `rootfs` in it. */
  get folder(): string {
    return this.#work.path;
  }

  get rootfs(): string {
    return `${this.#work.path}/rootfs`;
  }

  /** Of the container that runs in it: known to whoever finds the folder after a crash. */
  get containerId(): string {
    return containerIdOf(this.#work.path);
  }

  /** Brings the folder to the state of these layers, runs `work`, and notes what it has changed. */
  async change(layers: readonly Layer[], changes: Changes, work: () => Promise<void>): Promise<void> {
    await unpackStage(this.#session, layers.slice(this.#layers), this.rootfs);
    const before = this.#scan();
    let after: ScannedFolder | undefined;
    try {
      await work();
      after = this.#scan();
      await this.#compare(before.tree, after.tree, changes);
    } finally {
      closeSync(before.fd);
      // The contents are read later, when the layer is written.
      if (after !== undefined) this.#opened.push(after.fd);
    }
  }

  /** What the last change() left here is what so many layers hold. */
  isAt(layers: number): void {
    this.#layers = layers;
  }

  close(): void {
    for (const fd of this.#opened) closeSync(fd);
    this.#work.remove();
  }

  #scan(): ScannedFolder {
    const fd = openFolder(this.rootfs, 'the stage');
    return { fd, tree: parseScan(scan(fd, this.rootfs), fd, this.rootfs) };
  }

  async #compare(before: TreeEntry, after: TreeEntry, changes: Changes): Promise<void> {
    const old = new Map([...walk(before)].map((entry) => [pathOf(entry), entry]));
    const current = new Map([...walk(after)].map((entry) => [pathOf(entry), entry]));
    for (const path of old.keys()) {
      // With a folder goes what was in it.
      if (!current.has(path) && current.has(parentOf(path))) changes.remove(path);
    }
    const touched = touchedInodes(old, current);
    const contents = new Map<string, Content>();
    for (const [path, entry] of current) {
      if (path === '' || entry.kind === 'socket') continue;
      const there = old.get(path);
      if (there === undefined && isMountPoint(path, entry)) continue;
      if (there !== undefined && !isTouched(there, entry) && !touched.has(inodeOf(entry))) continue;
      changes.put(path, await this.#nodeOf(entry, contents));
    }
  }

  async #nodeOf(entry: TreeEntry, contents: Map<string, Content>): Promise<Node> {
    // Without root there is one user, who is root in the container.
    const owner = this.#isRoot ? entry : { uid: 0, gid: 0 };
    if (entry.kind !== 'file') return nodeOf(entry, owner, noContent);
    const content = contents.get(inodeOf(entry)) ?? (await hashed(entry));
    contents.set(inodeOf(entry), content);
    return nodeOf(entry, owner, () => content);
  }
}

function noContent(): never {
  throw new RunncError('INTERNAL', 'only files have a content');
}

interface ScannedFolder {
  readonly fd: number;
  readonly tree: TreeEntry;
}

/** All names of an inode that got a new name or content go into the layer together: a layer links to nothing below it. */
function touchedInodes(
  old: ReadonlyMap<TreePath, TreeEntry>,
  current: ReadonlyMap<TreePath, TreeEntry>,
): ReadonlySet<string> {
  const touched = new Set<string>();
  for (const [path, entry] of current) {
    if (entry.kind !== 'file' || entry.links < 2) continue;
    const there = old.get(path);
    if (there === undefined || isTouched(there, entry)) touched.add(inodeOf(entry));
  }
  return touched;
}

/** ctime tells of every change of content and attributes, and of some that are none. */
function isTouched(before: TreeEntry, after: TreeEntry): boolean {
  const hasAttributes =
    before.kind === after.kind &&
    before.mode === after.mode &&
    before.uid === after.uid &&
    before.gid === after.gid &&
    before.mtimeNs === after.mtimeNs;
  if (!hasAttributes) return true;
  if (after.kind === 'folder') return false;
  return before.dev !== after.dev || before.ino !== after.ino || before.ctimeNs !== after.ctimeNs;
}

function isMountPoint(path: TreePath, entry: TreeEntry): boolean {
  if (path === 'etc' && entry.children.every(({ name }) => MOUNT_POINTS.includes(`etc/${name}`))) return true;
  return MOUNT_POINTS.includes(path) && entry.sizeBytes * (entry.kind === 'file' ? 1 : 0) === 0;
}

async function hashed(entry: TreeEntry): Promise<Content> {
  const hash = createHash('sha256');
  for await (const chunk of readScanned(entry)) hash.update(chunk);
  return { sizeBytes: entry.sizeBytes, sha256: hash.digest('hex'), origin: { type: 'scanned', entry } };
}

function inodeOf({ dev, ino }: TreeEntry): string {
  return `${String(dev)}:${String(ino)}`;
}

function pathOf(entry: TreeEntry): TreePath {
  return decode(Buffer.from(entry.path.slice(1), 'latin1'), entry);
}
