/**
 * Writes EROFS (Linux: fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst), uncompressed, as the Linux guest
 * wants it: every regular file begins at a page border and nearly every one lies in one piece, so that it can be mapped
 * where it is; folders and links stand beside their inodes.
 *
 * Why not mkfs.erofs: it opens what it packs by path, so a file or folder that is swapped for a link while it runs
 * takes the host's bytes into the image; it writes holes out (Debian 12's takes 22 s for 3 GB of them); it cannot
 * translate owners; and it knows nothing of segments. Its checker, fsck.erofs, and the kernel's own reader are what the
 * tests hold this file against.
 *
 * Layout, each from a block border on: the superblock, in block 0; the segments area, if there is one (segments.ts); the
 * inodes in the order of the tree; the data: full blocks of folders, long links, files. The blocks of a program or library
 * are those of its span in the segments area wherever the two are equal ("chunk based", with a block number for each page
 * behind the inode), so that it is in the image, on disk and in the page cache, once. Equal trees give equal bytes: there
 * is no time of making and no random identity in an image.
 */
import { RunncError } from '../errors.ts';
import { ContentCopier } from './content.ts';
import { findObjects } from './elf-objects.ts';
import type { ImageWriter } from './image-writer.ts';
import {
  pagesInSpan,
  placeObjects,
  type PlacedObject,
  type SegmentsArea,
  segmentsIndex,
} from './segments.ts';
import { SEGMENTS_OFFSET } from './segments-file.ts';
import { displayPath, type EntryKind, type TreeEntry } from './tree.ts';

export interface ErofsOptions {
  readonly toUid: (hostId: number) => number;
  readonly toGid: (hostId: number) => number;
  /** With a segments area, if there is any program or library. */
  readonly segments: boolean;
  /** Called between pieces of work: throws to stop, gives a promise now and then to let others run. */
  readonly onStep: (doneBytes: number, totalBytes: number) => Promise<void> | undefined;
}

const BLOCK_BYTES = 4096;
const SUPERBLOCK_OFFSET = 1024;
const INODE_BYTES = 64;
/** Inode numbers count slots of this size from the start of the image. */
const SLOT_BYTES = 32;
const DIRENT_BYTES = 12;
const MAX_BLOCKS = 2 ** 32 - 1;
/** Of the list of a file's blocks. */
const CHUNK_BYTES = 4;
/** A file is laid out block by block only if that saves a good part of it: the list is to be small, whatever is in the tree. */
const MIN_SHARED_PART = 1 / 4;

const MAGIC = 0xe0f5e1e2;
/** The inodes' times are modification times. */
const FEATURE_COMPAT_MTIME = 2;
const FEATURE_INCOMPAT_CHUNKED_FILE = 4;
/** i_format: an inode of 64 bytes; its data lies apart in one piece, or ends beside the inode, or lies block by block. */
const FORMAT_EXTENDED_PLAIN = 1;
const FORMAT_EXTENDED_INLINE = 1 | (2 << 1);
const FORMAT_EXTENDED_CHUNKS = 1 | (4 << 1);
/** Inode numbers begin with this one: 0 is none. */
const FIRST_NID = 1;

const TYPES: Readonly<Record<EntryKind, { readonly mode: number; readonly dirent: number }>> = {
  file: { mode: 0o100000, dirent: 1 },
  folder: { mode: 0o040000, dirent: 2 },
  char: { mode: 0o020000, dirent: 3 },
  block: { mode: 0o060000, dirent: 4 },
  fifo: { mode: 0o010000, dirent: 5 },
  socket: { mode: 0o140000, dirent: 6 },
  symlink: { mode: 0o120000, dirent: 7 },
};

interface Inode {
  readonly entry: TreeEntry;
  readonly number: number;
  links: number;
  nid: number;
  sizeBytes: number;
  /** Bytes of the data that stand behind the inode: the last ones. */
  inlineBytes: number;
  /** First block of the data that lies apart, and their number. */
  block: number;
  blocks: number;
  /** Of a folder. */
  listing?: Listing;
  /** Of a file whose blocks do not lie in one piece: the block of each page; -1: the next one of those that lie apart. */
  chunks?: Int32Array;
}

/** A folder's entries with "." and "..", and how many of them go into each block. */
interface Listing {
  readonly names: readonly { readonly name: string; readonly inode: Inode }[];
  readonly perBlock: readonly number[];
}

/** Writes the image; returns where its segments are. */
export async function writeErofs(
  root: TreeEntry,
  writer: ImageWriter,
  options: ErofsOptions,
): Promise<SegmentsArea | undefined> {
  const inodes = collectInodes(root);
  const objects = options.segments ? await findObjects(inodes, () => options.onStep(0, 1)) : [];
  const { placed, sizeBytes } = placeObjects(objects);
  for (const object of placed) shareBlocks(object);
  const firstBlock = (SEGMENTS_OFFSET + sizeBytes) / BLOCK_BYTES;
  const totalBlocks = layOut(inodes, firstBlock);
  const totalBytes = totalBlocks * BLOCK_BYTES;
  const copier = new ContentCopier(writer, (doneBytes) => options.onStep(doneBytes, totalBytes));

  writer.write(superblock(inodes, totalBlocks, firstBlock));
  await writeSegments(placed, sizeBytes, writer, copier);
  writer.skip(firstBlock * BLOCK_BYTES - writer.position);
  writer.write(metadata(inodes, options));
  for (const inode of inodes) {
    if (inode.blocks === 0) continue;
    const { entry, listing, block } = inode;
    if (entry.kind === 'file') {
      const turn = addContent(inode, copier);
      if (turn !== undefined) await turn;
      continue;
    }
    await copier.flush();
    writer.skip(block * BLOCK_BYTES - writer.position);
    writer.write(
      listing === undefined ? entry.target : folderBlocks(listing).subarray(0, inode.blocks * BLOCK_BYTES),
    );
  }
  await copier.flush();
  writer.align(BLOCK_BYTES);
  if (writer.position !== totalBytes)
    throw new RunncError('INTERNAL', 'an EROFS image is not as long as planned');
  return placed.length === 0 ? undefined : { offset: SEGMENTS_OFFSET, sizeBytes };
}

/** The pages that lie in memory as they lie in the file are in the image once. */
function shareBlocks({ file, offset, ...object }: PlacedObject<Inode>): void {
  const pages = pagesInSpan({ ...object }, file.entry.sizeBytes);
  const shared = pages.reduce((sum, page) => sum + (page < 0 ? 0 : 1), 0);
  if (shared < pages.length * MIN_SHARED_PART || shared === 0) return;
  const start = (SEGMENTS_OFFSET + offset) / BLOCK_BYTES;
  file.chunks = pages.map((page) => (page < 0 ? -1 : start + page));
}

async function writeSegments(
  placed: readonly PlacedObject<Inode>[],
  areaBytes: number,
  writer: ImageWriter,
  copier: ContentCopier,
): Promise<void> {
  if (placed.length === 0) return;
  writer.write(segmentsIndex(placed, areaBytes));
  for (const { file, offset, segments } of placed) {
    for (const { fileOffset, spanOffset, bytes } of segments) {
      const position = SEGMENTS_OFFSET + offset + spanOffset;
      await copier.add({ position, entry: file.entry, offset: fileOffset, length: bytes });
    }
  }
  await copier.flush();
}

/** What of a file lies apart from the segments: all of it, or some runs of pages. */
function addContent(inode: Inode, copier: ContentCopier): Promise<void> | undefined {
  const { entry, chunks, block } = inode;
  if (chunks === undefined) {
    return copier.add({ position: block * BLOCK_BYTES, entry, offset: 0, length: entry.sizeBytes });
  }
  return addRuns(chunks, inode, copier);
}

async function addRuns(chunks: Int32Array, { entry, block }: Inode, copier: ContentCopier): Promise<void> {
  let next = block;
  for (let page = 0; page < chunks.length;) {
    let end = page;
    while (end < chunks.length && chunks[end] === -1) end++;
    if (end > page) {
      const offset = page * BLOCK_BYTES;
      const length = Math.min(end * BLOCK_BYTES, entry.sizeBytes) - offset;
      await copier.add({ position: next * BLOCK_BYTES, entry, offset, length });
      next += end - page;
    }
    page = end + 1;
  }
}

/** Names of one inode meet here; folders come before their content, so the root is first. */
function collectInodes(root: TreeEntry): Inode[] {
  const inodes: Inode[] = [];
  const linked = new Map<string, Inode>();

  const add = (entry: TreeEntry): Inode => {
    const inode: Inode = {
      entry,
      number: inodes.length + 1,
      links: 1,
      nid: 0,
      sizeBytes: entry.sizeBytes,
      inlineBytes: 0,
      block: 0,
      blocks: 0,
    };
    inodes.push(inode);
    return inode;
  };
  const addOrLink = (entry: TreeEntry): Inode => {
    if (entry.kind === 'folder' || entry.links < 2) return add(entry);
    const identity = `${String(entry.dev)}:${String(entry.ino)}`;
    const known = linked.get(identity);
    if (known !== undefined) {
      known.links++;
      return known;
    }
    const inode = add(entry);
    linked.set(identity, inode);
    return inode;
  };

  const rootInode = add(root);
  const folders = [{ inode: rootInode, parent: rootInode }];
  for (;;) {
    const next = folders.pop();
    if (next === undefined) return inodes;
    const { inode, parent } = next;
    const names = inode.entry.children.map((child) => ({ name: child.name, inode: addOrLink(child) }));
    const below = names.filter((child) => child.inode.entry.kind === 'folder');
    inode.links = 2 + below.length;
    names.push({ name: '.', inode }, { name: '..', inode: parent });
    names.sort((a, b) => (a.name < b.name ? -1 : 1));
    inode.listing = { names, perBlock: splitIntoBlocks(names.map(({ name }) => name.length)) };
    for (const child of below.reverse()) folders.push({ inode: child.inode, parent: inode });
  }
}

function splitIntoBlocks(nameLengths: readonly number[]): number[] {
  const perBlock: number[] = [];
  let count = 0;
  let used = 0;
  for (const length of nameLengths) {
    if (used + DIRENT_BYTES + length > BLOCK_BYTES) {
      perBlock.push(count);
      count = 0;
      used = 0;
    }
    count++;
    used += DIRENT_BYTES + length;
  }
  perBlock.push(count);
  return perBlock;
}

/** Gives every inode its place, from `firstBlock` on, and its data theirs; returns the blocks of the whole image. */
function layOut(inodes: readonly Inode[], firstBlock: number): number {
  let end = FIRST_NID * SLOT_BYTES;
  for (const inode of inodes) {
    inode.sizeBytes = dataBytes(inode);
    const tail = inode.sizeBytes % BLOCK_BYTES;
    // What stands beside an inode must end in the inode's own block.
    const fits = inode.entry.kind !== 'file' && INODE_BYTES + tail <= BLOCK_BYTES;
    inode.inlineBytes = fits ? tail : 0;
    inode.blocks =
      inode.chunks?.reduce((sum, page) => sum + (page < 0 ? 1 : 0), 0) ??
      Math.ceil((inode.sizeBytes - inode.inlineBytes) / BLOCK_BYTES);
    const length = INODE_BYTES + inode.inlineBytes;
    end = roundUp(end, SLOT_BYTES);
    if ((end % BLOCK_BYTES) + length > BLOCK_BYTES) end = roundUp(end, BLOCK_BYTES);
    inode.nid = end / SLOT_BYTES;
    end += length + (inode.chunks?.length ?? 0) * CHUNK_BYTES;
  }
  let block = firstBlock + Math.ceil(end / BLOCK_BYTES);
  for (const inode of inodes) {
    inode.block = block;
    block += inode.blocks;
    if (block > MAX_BLOCKS) {
      throw new RunncError(
        'UNSUPPORTED',
        `the rootfs is larger than 16 TiB, the most an image can hold, with ${displayPath(inode.entry)}`,
      );
    }
  }
  return block;
}

function dataBytes({ entry, listing }: Inode): number {
  if (entry.kind === 'symlink') return entry.target.length;
  if (entry.kind === 'file') return entry.sizeBytes;
  if (listing === undefined) return 0;
  const lastCount = listing.perBlock.at(-1) ?? 0;
  const last = listing.names.slice(listing.names.length - lastCount);
  const lastBytes = last.reduce((sum, { name }) => sum + DIRENT_BYTES + name.length, 0);
  return (listing.perBlock.length - 1) * BLOCK_BYTES + lastBytes;
}

/** Block 0. */
function superblock(inodes: readonly Inode[], totalBlocks: number, firstBlock: number): Buffer {
  const [root] = inodes;
  if (root === undefined) throw new RunncError('INTERNAL', 'an image without inodes');
  const block = Buffer.alloc(BLOCK_BYTES);
  const fields = block.subarray(SUPERBLOCK_OFFSET);
  fields.writeUInt32LE(MAGIC, 0);
  fields.writeUInt32LE(FEATURE_COMPAT_MTIME, 8);
  fields.writeUInt8(Math.log2(BLOCK_BYTES), 12);
  fields.writeUInt16LE(root.nid, 14);
  fields.writeBigUInt64LE(BigInt(inodes.length), 16);
  fields.writeUInt32LE(totalBlocks, 36);
  fields.writeUInt32LE(firstBlock, 40);
  const isChunked = inodes.some(({ chunks }) => chunks !== undefined);
  fields.writeUInt32LE(isChunked ? FEATURE_INCOMPAT_CHUNKED_FILE : 0, 80);
  return block;
}

/** All inodes with what stands behind them, up to the first data block. */
function metadata(inodes: readonly Inode[], options: ErofsOptions): Buffer {
  const last = inodes.at(-1);
  if (last === undefined) throw new RunncError('INTERNAL', 'an image without inodes');
  const lastBytes = INODE_BYTES + last.inlineBytes + (last.chunks?.length ?? 0) * CHUNK_BYTES;
  const area = Buffer.alloc(roundUp(last.nid * SLOT_BYTES + lastBytes, BLOCK_BYTES));
  for (const inode of inodes) {
    const at = inode.nid * SLOT_BYTES;
    writeInode(area.subarray(at, at + INODE_BYTES), inode, options);
    if (inode.inlineBytes > 0) inlineData(inode).copy(area, at + INODE_BYTES);
    let [chunkAt, next] = [at + INODE_BYTES, inode.block];
    for (const block of inode.chunks ?? []) {
      area.writeUInt32LE(block < 0 ? next++ : block, chunkAt);
      chunkAt += CHUNK_BYTES;
    }
  }
  return area;
}

function writeInode(out: Buffer, inode: Inode, { toUid, toGid }: ErofsOptions): void {
  const { entry } = inode;
  const seconds = floorDivide(entry.mtimeNs, 1_000_000_000n);
  out.writeUInt16LE(formatOf(inode), 0);
  out.writeUInt16LE(TYPES[entry.kind].mode | entry.mode, 4);
  out.writeBigUInt64LE(BigInt(inode.sizeBytes), 8);
  const isDevice = entry.kind === 'char' || entry.kind === 'block';
  // Of chunks: they are blocks.
  const place = inode.chunks === undefined ? inode.block : 0;
  out.writeUInt32LE(isDevice ? encodeDevice(entry) : place, 16);
  out.writeUInt32LE(inode.number, 20);
  out.writeUInt32LE(toUid(entry.uid), 24);
  out.writeUInt32LE(toGid(entry.gid), 28);
  out.writeBigInt64LE(seconds, 32);
  out.writeUInt32LE(Number(entry.mtimeNs - seconds * 1_000_000_000n), 40);
  out.writeUInt32LE(inode.links, 44);
}

function formatOf({ inlineBytes, chunks }: Inode): number {
  if (chunks !== undefined) return FORMAT_EXTENDED_CHUNKS;
  return inlineBytes > 0 ? FORMAT_EXTENDED_INLINE : FORMAT_EXTENDED_PLAIN;
}

/** As the kernel's new_encode_dev(): 12 bits of major, 20 of minor. */
function encodeDevice(entry: TreeEntry): number {
  if (entry.major > 0xfff || entry.minor > 0xfffff) {
    throw new RunncError(
      'UNSUPPORTED',
      `${displayPath(entry)} is device ${String(entry.major)}:${String(entry.minor)}: Linux has no such number`,
    );
  }
  return ((entry.minor & 0xff) | (entry.major << 8) | ((entry.minor & ~0xff) << 12)) >>> 0;
}

function inlineData({ entry, listing, blocks, sizeBytes }: Inode): Buffer {
  const whole = listing === undefined ? entry.target : folderBlocks(listing);
  return whole.subarray(blocks * BLOCK_BYTES, sizeBytes);
}

/** The content of a folder: in each block the fixed parts of its entries, then their names. */
function folderBlocks({ names, perBlock }: Listing): Buffer {
  const content = Buffer.alloc(perBlock.length * BLOCK_BYTES);
  let next = 0;
  perBlock.forEach((count, index) => {
    const start = index * BLOCK_BYTES;
    let nameOffset = count * DIRENT_BYTES;
    names.slice(next, next + count).forEach(({ name, inode }, position) => {
      const at = start + position * DIRENT_BYTES;
      content.writeBigUInt64LE(BigInt(inode.nid), at);
      content.writeUInt16LE(nameOffset, at + 8);
      content.writeUInt8(TYPES[inode.entry.kind].dirent, at + 10);
      nameOffset += content.write(name, start + nameOffset, 'latin1');
    });
    next += count;
  });
  return content;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}
