/** ADD of a tar archive: what is in it goes into a folder of the stage. The archive's author is nobody's friend. */
import { createHash } from 'node:crypto';
import { RunncError, shorten } from '../../errors.ts';
import { type ArchiveEntry, compressedArchive, readArchive } from './archive.ts';
import { type Changes, ROOT_OWNER } from './changes.ts';
import { type CopyTarget, withTarget } from './copy.ts';
import { type Archive, baseName, type Content, type Node, parentOf } from './file-tree.ts';

const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/** The file as an archive, compressed or not; undefined: it is none. */
export async function openArchive(
  name: string,
  read: () => AsyncIterable<Uint8Array>,
): Promise<Archive | undefined> {
  const archive = compressedArchive(name, read);
  let start: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of archive.read()) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= BLOCK_BYTES) break;
    }
  } catch (error) {
    // What only begins as compressed data does is a file like others.
    if (error instanceof RunncError && error.code === 'INVALID') return undefined;
    throw error;
  }
  return isTarHeader(start.subarray(0, BLOCK_BYTES)) ? archive : undefined;
}

/** By its checksum, which counts its own field as blanks. */
function isTarHeader(block: Buffer): boolean {
  if (block.length < BLOCK_BYTES) return false;
  const field = block.toString('latin1', CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES);
  const [, digits] = /^[ \0]*([0-7]+)[ \0]*$/.exec(field) ?? [];
  if (digits === undefined) return false;
  let sum = CHECKSUM_BYTES * 0x20;
  for (const [i, byte] of block.entries()) {
    if (i < CHECKSUM_AT || i >= CHECKSUM_AT + CHECKSUM_BYTES) sum += byte;
  }
  return sum === parseInt(digits, 8);
}

/** Throws INVALID for an archive that is damaged, too large, or leads out of its folder. */
export async function unpackArchive(archive: Archive, target: CopyTarget, changes: Changes): Promise<void> {
  const root = changes.makeFolder(target.path, target.owner ?? ROOT_OWNER);
  for await (const entry of readArchive(archive)) {
    checkTarget(entry, archive.name);
    const parent = changes.makeFolder(below(root, parentOf(entry.path)), target.owner ?? ROOT_OWNER);
    const path = entry.path === '' ? root : below(parent, baseName(entry.path));
    if (path !== '') changes.put(path, withTarget(await nodeOf(entry, archive, root, changes), target));
  }
}

function checkTarget({ path, kind, target }: ArchiveEntry, what: string): void {
  const bad = (why: string): RunncError => new RunncError('INVALID', `${what}: ${shorten(path)}: ${why}`);
  if (kind === 'char' || kind === 'block') {
    throw bad('is a device: leave it out, each container has devices of its own');
  }
  if (kind !== 'symlink' || target.startsWith('/')) return;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth--;
    else if (part !== '' && part !== '.') depth++;
    if (depth < 0) throw bad(`is a link to ${shorten(target)}, which leads out of the archive`);
  }
}

async function nodeOf(entry: ArchiveEntry, archive: Archive, root: string, changes: Changes): Promise<Node> {
  const { kind, mode, uid, gid, mtime, target, at, size } = entry;
  if (kind === 'link') {
    const linked = changes.tree.locate(below(root, target), { followLast: false }).node;
    if (linked !== undefined && linked.kind !== 'folder') return linked;
    throw new RunncError(
      'INVALID',
      `${archive.name}: ${shorten(entry.path)}: is a hard link to ${shorten(target)}, which is no file before it`,
    );
  }
  // Linux knows no other mode of a link.
  const attributes = {
    kind,
    mode: kind === 'symlink' ? 0o777 : mode,
    uid,
    gid,
    mtime,
    children: new Map<string, Node>(),
  };
  if (kind === 'symlink') return { ...attributes, target };
  if (kind !== 'file') return attributes;
  const hash = createHash('sha256');
  for await (const chunk of entry.content) hash.update(chunk);
  const origin: Content['origin'] = { type: 'archive', archive, at };
  return { ...attributes, content: { sizeBytes: size, sha256: hash.digest('hex'), origin } };
}

function below(folder: string, path: string): string {
  return folder === '' || path === '' ? `${folder}${path}` : `${folder}/${path}`;
}
