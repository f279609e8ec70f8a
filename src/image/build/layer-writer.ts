/** Writes a layer: entries in the given order as a tar archive, compressed, into the store. Equal entries give equal bytes. */
import { createHash } from 'node:crypto';
import { pack, type Pack } from 'tar-stream';
import { RunncError, shorten } from '../../errors.ts';
import { type Descriptor, mediaTypes } from '../descriptor.ts';
import { finishDigest, startDigest } from '../digest.ts';
import type { ImageStore } from '../store.ts';
import { gzip } from './gzip.ts';
import { baseName, isPresent, parentOf, type LayerEntry, type PresentEntry } from './file-tree.ts';

export interface LayerItem {
  /** Without `at`. */
  readonly entry: LayerEntry;
  /** Of a file that is no hard link: exactly its size. */
  readonly content?: AsyncIterable<Uint8Array>;
}

export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed archive. */
  readonly diffId: string;
}

export interface WrittenLayer extends Layer {
  readonly entries: readonly LayerEntry[];
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** What fits the octal fields of a tar header; pax records hold the rest. */
const MAX_OCTAL_ID = 0o777777;
const MAX_HEADER_TIME = 2 ** 31 - 1;

/** Throws HOST when a file is not what it was when it was hashed, and what the items throw; the store has nothing then. */
export async function writeLayer(
  store: ImageStore,
  items: AsyncIterable<LayerItem>,
  onBytes: (count: number) => void = () => undefined,
): Promise<WrittenLayer> {
  const entries: LayerEntry[] = [];
  const hash = startDigest();
  async function* archive(): AsyncGenerator<Uint8Array> {
    for await (const chunk of tarOf(items, entries)) {
      hash.update(chunk);
      onBytes(chunk.length);
      yield chunk;
    }
  }
  const blob = await store.putBlob(gzip(archive()));
  return {
    descriptor: { mediaType: mediaTypes.layerGzip, ...blob },
    diffId: finishDigest(hash),
    entries,
  };
}

/** `written` gets the entries as they go by. */
async function* tarOf(items: AsyncIterable<LayerItem>, written: LayerEntry[]): AsyncGenerator<Uint8Array> {
  const archive = pack();
  const adding = addAll(archive, items, written).catch((error: unknown) => {
    archive.destroy(error as Error);
  });
  yield* archive as AsyncIterable<Uint8Array>;
  await adding;
}

async function addAll(archive: Pack, items: AsyncIterable<LayerItem>, written: LayerEntry[]): Promise<void> {
  for await (const { entry, content } of items) {
    const at = written.length;
    written.push(hasContent(entry) ? { ...entry, at } : entry);
    await add(archive, entry, content);
  }
  archive.finalize();
}

async function add(archive: Pack, entry: LayerEntry, content: LayerItem['content']): Promise<void> {
  const sink = archive.entry(headerOf(entry));
  const finished = new Promise<void>((resolve, reject) => {
    sink.once('finish', resolve);
    sink.once('close', () => {
      reject(new RunncError('HOST', 'the layer cannot be written'));
    });
  });
  // Nobody waits for it yet.
  finished.catch(() => undefined);
  if (hasContent(entry)) {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of content ?? []) {
      size += chunk.length;
      if (size > (entry.size ?? 0)) throw changed(entry.path);
      hash.update(chunk);
      if (!sink.write(chunk)) await Promise.race([finished, drained(sink)]);
    }
    if (size !== entry.size || hash.digest('hex') !== entry.sha256) throw changed(entry.path);
  }
  sink.end(null);
  await finished;
}

function hasContent(entry: LayerEntry): entry is PresentEntry {
  return entry.kind === 'file' && entry.link === undefined;
}

function drained(sink: Sink): Promise<void> {
  return new Promise((resolve) =>
    sink.once('drain', () => {
      resolve();
    }),
  );
}

type Sink = ReturnType<Pack['entry']>;

function changed(path: string): RunncError {
  return new RunncError('HOST', `${shorten(path)} changed while it was read: try again`);
}

const TYPES = {
  file: 'file',
  folder: 'directory',
  symlink: 'symlink',
  char: 'character-device',
  block: 'block-device',
  fifo: 'fifo',
} as const;

type HeaderToWrite = Parameters<Pack['entry']>[0];

function headerOf(entry: LayerEntry): HeaderToWrite {
  if (!isPresent(entry)) {
    const name =
      entry.kind === 'opaque'
        ? join(entry.path, OPAQUE)
        : join(parentOf(entry.path), `${WHITEOUT}${baseName(entry.path)}`);
    return { name, type: 'file', mode: 0o10000, uid: 0, gid: 0, size: 0, mtime: new Date(0) };
  }
  const { path, kind, mode, uid, gid, mtime, size = 0, target, major = 0, minor = 0, link } = entry;
  const pax = {
    ...(uid > MAX_OCTAL_ID ? { uid: String(uid) } : {}),
    ...(gid > MAX_OCTAL_ID ? { gid: String(gid) } : {}),
    ...(mtime > MAX_HEADER_TIME ? { mtime: String(mtime) } : {}),
  };
  return {
    name: kind === 'folder' ? `${path}/` : path,
    type: link === undefined ? TYPES[kind] : 'link',
    // A bit that is not written: a mode of 0 would be taken for none.
    mode: mode | 0o10000,
    uid,
    gid,
    size: kind === 'file' && link === undefined ? size : 0,
    mtime: new Date(Math.min(mtime, MAX_HEADER_TIME) * 1000),
    ...(link === undefined ? (target === undefined ? {} : { linkname: target }) : { linkname: link }),
    devmajor: major,
    devminor: minor,
    ...(Object.keys(pax).length === 0 ? {} : { pax }),
  };
}

function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
