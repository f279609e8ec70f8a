/** A container's own layers (Docker's -init and upper) as data to be laid over the image at boot. */
import { closeSync, readSync } from '../files.ts';
import type { LayerEntry } from './rootfs-image.ts';
import { changedError, openScanned, walk, type TreeEntry } from './tree.ts';
import { isWhiteout } from './overlay.ts';

/** A delta lives in guest memory: a layer with more than this goes into an image of its own instead. */
const MAX_ENTRIES = 10_000;
const MAX_CONTENT_BYTES = 16 * 2 ** 20;
/** Where the rest can be served: names take some hundred bytes, larger files nothing. */
const MAX_SERVED_ENTRIES = 200_000;
const MAX_INLINE_BYTES = 64 * 1024;

export interface DeltaOptions {
  readonly toUid: (hostId: number) => number;
  readonly toGid: (hostId: number) => number;
  /** See OpenRootfsOptions. */
  readonly isServed: boolean;
}

/** undefined: too large. */
export function readDelta(layer: TreeEntry, options: DeltaOptions): LayerEntry[] | undefined {
  const entries: LayerEntry[] = [];
  const linked = new Map<string, Buffer>();
  let contentBytes = 0;
  for (const entry of walk(layer)) {
    const isOutside =
      options.isServed &&
      entry.kind === 'file' &&
      (entry.sizeBytes > MAX_INLINE_BYTES || contentBytes + entry.sizeBytes > MAX_CONTENT_BYTES);
    contentBytes += entry.kind === 'file' && !isOutside ? entry.sizeBytes : 0;
    const maxEntries = options.isServed ? MAX_SERVED_ENTRIES : MAX_ENTRIES;
    if (entries.length >= maxEntries || contentBytes > MAX_CONTENT_BYTES) return undefined;
    const path = Buffer.from(entry.path === '' ? '/' : entry.path, 'latin1');
    const attributes = {
      path,
      mode: entry.mode,
      uid: options.toUid(entry.uid),
      gid: options.toGid(entry.gid),
      mtimeNs: entry.mtimeNs,
    };
    const identity = `${String(entry.dev)}:${String(entry.ino)}`;
    const first = entry.kind === 'folder' || entry.links < 2 ? undefined : linked.get(identity);
    if (first !== undefined && !isWhiteout(entry)) {
      entries.push({ ...attributes, type: 'hardlink', to: first });
      continue;
    }
    linked.set(identity, path);
    entries.push({
      ...attributes,
      ...(isOutside ? { type: 'served', sizeBytes: entry.sizeBytes } : content(entry)),
    });
  }
  return entries;
}

type Content = LayerEntry extends infer Entry
  ? Entry extends LayerEntry
    ? Omit<Entry, keyof LayerAttributes>
    : never
  : never;
type LayerAttributes = Pick<LayerEntry, 'path' | 'mode' | 'uid' | 'gid' | 'mtimeNs'>;

function content(entry: TreeEntry): Content {
  switch (entry.kind) {
    case 'folder':
      return { type: 'folder', opaque: entry.opaque };
    case 'file':
      return { type: 'file', content: readScanned(entry) };
    case 'symlink':
      return { type: 'symlink', target: entry.target };
    case 'char':
    case 'block':
      return isWhiteout(entry)
        ? { type: 'whiteout' }
        : { type: entry.kind, major: entry.major, minor: entry.minor };
    case 'fifo':
    case 'socket':
      return { type: entry.kind };
  }
}

function readScanned(entry: TreeEntry): Buffer {
  const content = Buffer.alloc(entry.sizeBytes);
  if (content.length === 0) return content;
  const { fd } = openScanned(entry);
  try {
    let length = 0;
    while (length < content.length) {
      const count = readSync(fd, content, length, content.length - length, length);
      if (count === 0) throw changedError(entry);
      length += count;
    }
    return content;
  } finally {
    closeSync(fd);
  }
}
