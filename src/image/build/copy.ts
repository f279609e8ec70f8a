/** COPY: which files its sources are, and where they go. */
import { RunncError, shorten } from '../../errors.ts';
import { type Changes, type Owner, ROOT_OWNER } from './changes.ts';
import {
  baseName,
  type Content,
  type FileTree,
  type Node,
  parentOf,
  type TreePath,
  walkNodes,
} from './file-tree.ts';

/** One file or folder that is copied. */
export interface Selected {
  /** Its own name: what it is called in a folder that it is copied into. Empty for a root. */
  readonly name: string;
  /** Not a link: a source that is one stands for what it leads to. */
  readonly node: Node;
}

export interface CopyTarget {
  /** Absolute, normalized; with a slash at the end it is a folder. */
  readonly path: string;
  /** undefined: as in the source. */
  readonly owner?: Owner;
  /** Of files and folders alike; undefined: as in the source. */
  readonly mode?: number;
}

/**
 * What the sources of a COPY are, in their order; those of a pattern in the order of names. Throws INVALID for one that
 * leads out of the tree or that is not there; `where` names the tree.
 */
export function selectSources(tree: FileTree, sources: readonly string[], where: string): Selected[] {
  return sources.flatMap((source) => {
    if (leadsOut(source)) {
      throw new RunncError('INVALID', `${shorten(source)} leads out of ${where}`);
    }
    const paths = /[*?[\\]/.test(source) ? matches(tree, source) : [source];
    return paths.map((path) => {
      const { node, path: real } = tree.locate(path);
      if (node === undefined)
        throw new RunncError('NOT_FOUND', `${shorten(source)} does not exist in ${where}`);
      return { name: baseName(path.replace(/\/+$/, '')) || baseName(real), node };
    });
  });
}

function leadsOut(path: string): boolean {
  let depth = 0;
  for (const part of path.split('/')) {
    if (part === '..') depth--;
    else if (part !== '' && part !== '.') depth++;
    if (depth < 0) return true;
  }
  return false;
}

/** The paths that a pattern with *, ? and [] matches: component by component, as filepath.Match of Go. */
function matches(tree: FileTree, pattern: string): string[] {
  let found = [''];
  for (const part of pattern.split('/')) {
    if (part === '' || part === '.') continue;
    const expression = componentPattern(part, pattern);
    found = found.flatMap((path) => {
      const children = tree.locate(path).node?.children ?? new Map<string, Node>();
      return [...children.keys()]
        .filter((name) => expression.test(name))
        .sort()
        .map((name) => (path === '' ? name : `${path}/${name}`));
    });
  }
  return found;
}

function componentPattern(part: string, pattern: string): RegExp {
  const bad = (): RunncError => new RunncError('INVALID', `${shorten(pattern)} is no valid pattern`);
  let result = '';
  for (let i = 0; i < part.length; i++) {
    const char = part[i] ?? '';
    if (char === '*') result += '.*';
    else if (char === '?') result += '.';
    else if (char === '[') {
      const [whole, negated = '', set] = /^\[(\^?)((?:\\.|[^\]\\])+)\]/s.exec(part.slice(i)) ?? [];
      if (whole === undefined || set === undefined) throw bad();
      result += `[${negated}${set.replace(/\\?([[\]^])/g, '\\$1')}]`;
      i += whole.length - 1;
    } else if (char === '\\') {
      const next = part[++i];
      if (next === undefined) throw bad();
      result += escaped(next);
    } else result += escaped(char);
  }
  try {
    return new RegExp(`^${result}$`, 'su');
  } catch {
    throw bad();
  }
}

function escaped(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

/**
 * All that the copies depend on, one line for each file: names, kinds, modes, contents, but no times, as Docker has it.
 * `withOwners`: the owners are copied too.
 */
export async function describeSources(
  sources: readonly Selected[],
  withOwners: boolean,
  hash: (content: Content) => Promise<string>,
): Promise<string[]> {
  const lines: string[] = [];
  for (const { name, node } of sources) {
    for (const [path, { kind, mode, uid, gid, content, target, major, minor }] of walkNodes(node, '')) {
      const sha256 = content === undefined ? undefined : await hash(content);
      const owner = withOwners ? [uid, gid] : [];
      lines.push(JSON.stringify([name, path, kind, mode, owner, sha256, target, major, minor]));
    }
  }
  return lines;
}

/** Throws INVALID where a folder is to become a file or the other way round. */
export function copySources(sources: readonly Selected[], target: CopyTarget, changes: Changes): void {
  for (const source of sources) {
    if (source.node.kind === 'folder') copyFolder(source.node, target, changes);
    else copyFile(source, target, changes);
  }
}

/** What is in the folder: the folder itself is not copied, one that is made for it is like any other. */
function copyFolder(node: Node, target: CopyTarget, changes: Changes): void {
  const folder = changes.makeFolder(target.path, target.owner ?? ROOT_OWNER);
  copyChildren(node, folder, target, changes);
}

function copyChildren(node: Node, folder: string, target: CopyTarget, changes: Changes): void {
  for (const [name, child] of node.children) {
    const path = folder === '' ? name : `${folder}/${name}`;
    checkPlace(path, child, changes);
    changes.put(path, withTarget(child, target));
    if (child.kind === 'folder') copyChildren(child, path, target, changes);
  }
}

/** A link at the destination is followed, one in a folder that is copied into is replaced. */
function copyFile({ name, node }: Selected, target: CopyTarget, changes: Changes): void {
  const owner = target.owner ?? ROOT_OWNER;
  const located = changes.tree.locate(target.path);
  let path: TreePath;
  if (target.path.endsWith('/') || located.node?.kind === 'folder') {
    const folder = changes.makeFolder(target.path, owner);
    path = folder === '' ? name : `${folder}/${name}`;
  } else {
    changes.makeFolder(parentOf(located.path), owner);
    ({ path } = located);
  }
  checkPlace(path, node, changes);
  changes.put(path, withTarget(node, target));
}

function checkPlace(path: TreePath, node: Node, { tree }: Changes): void {
  const there = tree.get(path);
  if (there === undefined || (there.kind === 'folder') === (node.kind === 'folder')) return;
  const what = { folder: 'a folder', symlink: 'a link' } as Readonly<Record<string, string>>;
  const wanted = node.kind === 'folder' ? 'a folder' : 'a file';
  throw new RunncError(
    'INVALID',
    `/${shorten(path).slice(1, -1)} is ${what[there.kind] ?? 'a file'}: ${wanted} cannot be put in its place`,
  );
}

export function withTarget(node: Node, { owner, mode }: CopyTarget): Node {
  // A link's own mode means nothing.
  const withMode = mode === undefined || node.kind === 'symlink' ? node : { ...node, mode };
  return owner === undefined ? withMode : { ...withMode, ...owner };
}
