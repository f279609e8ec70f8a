/**
 * The build context: a folder of the user's, whose content may come from anywhere. It is scanned once, without following
 * a link; a file is read only if it is still the one that was scanned.
 */
import dockerignore from '@balena/dockerignore';
import { createHash } from 'node:crypto';
import { closeSync, read, realpathSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorMessage, RunncError, shorten } from '../../errors.ts';
import { openFolder, openScanned, parseScan, scan, type TreeEntry } from '../../rootfs/tree.ts';
import type { BuildCache } from './build-cache.ts';
import { type Content, FileTree } from './file-tree.ts';
import { attributesOf, decode, nodeOf } from './scanned-node.ts';

const readFile = promisify(read);

/** Whoever builds owns the files; in the image it is root, unless an instruction says otherwise. */
const BUILDER = { uid: 0, gid: 0 } as const;

const CHUNK_BYTES = 64 * 1024;
/**
 * ctime is stamped with the kernel's last tick (10 ms at the slowest): what was changed a moment before it was read could
 * be changed again without a trace, so its content is not remembered.
 */
const SETTLED_MS = 40;

export class BuildContext {
  readonly tree: FileTree;
  readonly #folder: string;
  readonly #fd: number;
  readonly #cache: BuildCache;
  readonly #known: Readonly<Record<string, string>>;
  readonly #seen: Record<string, string> = {};
  #isNew = false;

  private constructor(folder: string, fd: number, tree: FileTree, cache: BuildCache) {
    this.#folder = folder;
    this.#fd = fd;
    this.tree = tree;
    this.#cache = cache;
    this.#known = cache.readContents(folder);
  }

  /** `ignored` is the text of a .dockerignore. Throws NOT_FOUND, INVALID, HOST. */
  static open(
    path: string,
    ignored: string | undefined,
    cache: BuildCache,
    onWarning: (message: string) => void,
  ): BuildContext {
    const fd = openFolder(path, 'the build context');
    try {
      const root = parseScan(scan(fd, path), fd, path);
      return new BuildContext(realpathSync(path), fd, toTree(root, ignoreRule(ignored), onWarning), cache);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  close(): void {
    if (this.#isNew) this.#cache.writeContents(this.#folder, { ...this.#known, ...this.#seen });
    closeSync(this.#fd);
  }

  /** SHA-256 of a file, read only if nobody has read it before. */
  async hash(content: Content): Promise<string> {
    if (content.sha256 !== undefined) return content.sha256;
    if (content.origin.type !== 'scanned') throw new RunncError('INTERNAL', 'a content without its hash');
    const { entry } = content.origin;
    const identity = [entry.dev, entry.ino, entry.ctimeNs, entry.sizeBytes].map(String).join(':');
    let sha256 = this.#known[identity];
    if (sha256 === undefined) {
      const isSettled = Date.now() - Number(entry.ctimeNs / 1_000_000n) > SETTLED_MS;
      const hash = createHash('sha256');
      for await (const chunk of readScanned(entry)) hash.update(chunk);
      sha256 = hash.digest('hex');
      if (isSettled) {
        this.#seen[identity] = sha256;
        this.#isNew = true;
      }
    }
    content.sha256 = sha256;
    return sha256;
  }
}

/** Throws HOST when it is not the file that was scanned any more, also while it is read. */
export async function* readScanned(entry: TreeEntry): AsyncGenerator<Uint8Array> {
  const { fd } = openScanned(entry);
  try {
    for (let position = 0; ;) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, entry.sizeBytes - position + 1));
      const { bytesRead } = await readFile(fd, buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    closeSync(fd);
  }
}

interface IgnoreRule {
  readonly isIgnored: (path: string) => boolean;
  /** What is in an ignored folder may be wanted nevertheless. */
  readonly hasExceptions: boolean;
}

function ignoreRule(text: string | undefined): IgnoreRule {
  if (text === undefined) return { isIgnored: () => false, hasExceptions: false };
  const lines = text.split('\n').map((line) => line.trim());
  try {
    const rules = dockerignore.default({ ignorecase: false }).add(text);
    return {
      isIgnored: (path) => rules.ignores(path),
      hasExceptions: lines.some((line) => line.startsWith('!')),
    };
  } catch (error) {
    throw new RunncError('INVALID', `.dockerignore: ${errorMessage(error)}`);
  }
}

function toTree(root: TreeEntry, rule: IgnoreRule, onWarning: (message: string) => void): FileTree {
  const tree = new FileTree(attributesOf(root, BUILDER));
  const linked = new Map<string, Content>();

  function contentOf(entry: TreeEntry): Content {
    const content: Content = { sizeBytes: entry.sizeBytes, origin: { type: 'scanned', entry } };
    if (entry.links < 2) return content;
    const inode = `${String(entry.dev)}:${String(entry.ino)}`;
    const known = linked.get(inode) ?? content;
    linked.set(inode, known);
    return known;
  }

  /** True if anything of it is wanted. */
  function add(entry: TreeEntry, folder: string): boolean {
    const path = folder === '' ? utf8(entry) : `${folder}/${utf8(entry)}`;
    const isIgnored = rule.isIgnored(path);
    if (isIgnored && (entry.kind !== 'folder' || !rule.hasExceptions)) return false;
    if (entry.kind === 'socket') {
      onWarning(`${shorten(path)} is a socket: it is left out`);
      return false;
    }
    const node = nodeOf(entry, BUILDER, contentOf);
    if (!isIgnored) tree.put(path, node);
    let isWanted = !isIgnored;
    for (const child of entry.children) isWanted = add(child, path) || isWanted;
    // Made for what is in it: now with its own attributes.
    if (isIgnored && isWanted) tree.put(path, node);
    return isWanted;
  }

  for (const child of root.children) add(child, '');
  return tree;
}

function utf8(entry: TreeEntry): string {
  return decode(Buffer.from(entry.name, 'latin1'), entry);
}
