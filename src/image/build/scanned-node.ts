/** Entries of a scan as nodes of an image's tree. */
import { RunncError, shorten } from '../../errors.ts';
import type { TreeEntry } from '../../rootfs/tree.ts';
import type { Content, Node } from './file-tree.ts';

type Owner = Pick<Node, 'uid' | 'gid'>;

export function attributesOf(
  { mode, mtimeNs }: TreeEntry,
  { uid, gid }: Owner,
): Pick<Node, 'mode' | 'uid' | 'gid' | 'mtime'> {
  return { mode, uid, gid, mtime: Math.max(0, Number(mtimeNs / 1_000_000_000n)) };
}

/** Without its children. `contentOf` is asked for files; sockets are the caller's affair, an image has none. */
export function nodeOf(entry: TreeEntry, owner: Owner, contentOf: (file: TreeEntry) => Content): Node {
  const { kind, target, major, minor } = entry;
  const base = { ...attributesOf(entry, owner), children: new Map<string, Node>() };
  switch (kind) {
    case 'file':
      return { ...base, kind, content: contentOf(entry) };
    case 'symlink':
      return { ...base, kind, target: decode(target, entry) };
    case 'char':
    case 'block':
      return { ...base, kind, major, minor };
    case 'socket':
      throw new RunncError('INTERNAL', 'a socket in a layer');
    default:
      return { ...base, kind };
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A name or a target of `entry`: bytes to the kernel, text to an image. Throws INVALID. */
export function decode(bytes: Uint8Array, { path }: TreeEntry): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new RunncError('INVALID', `${shorten(path)}: its name or target is not UTF-8: rename it`);
  }
}
