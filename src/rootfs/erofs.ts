/**
 * Writes EROFS (Linux: fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst), uncompressed, as the Linux guest
 * wants it: every regular file lies in one piece from a page border on, so that it can be mapped where it is; folders
 * and links stand beside their inodes.
 *
 * Why not mkfs.erofs: it opens what it packs by path, so a file or folder that is swapped for a link while it runs
 * takes the host's bytes into the image; it writes holes out (Debian 12's takes 22 s for 3 GB of them); it cannot
 * translate owners; and it does not say which inode number a file got, which the segments companion needs. Its
 * checker, fsck.erofs, and the kernel's own reader are what the tests hold this file against.
 *
 * Layout: block 0 holds the superblock and, from byte 1152 on, the inodes in the order of the tree; then, from a
 * block border on, the data: full blocks of folders, long links, files. Equal trees give equal bytes: there is no
 * time of making and no random identity in an image.
 */
import { closeSync } from 'node:fs';
import { RunncError } from '../errors.ts';
import { nextData } from '../native.ts';
import type { ImageWriter } from './image-writer.ts';
import { changedError, displayPath, openScanned, type EntryKind, type TreeEntry } from './tree.ts';

export interface ErofsOptions {
  readonly toUid: (hostId: number) => number;
  readonly toGid: (hostId: number) => number;
  /** Called between pieces of work: throws to stop, gives a promise now and then to let others run. */
  readonly onStep: (doneBytes: number, totalBytes: number) => Promise<void> | undefined;
}

/** A regular file of a finished image. */
export interface ErofsFile {
  readonly nid: number;
  /** Bytes from the start of the image. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** False: it does not begin as ELF does. */
  readonly mayBeElf: boolean;
}

/** The first byte of ELF. */
const ELF_BEGIN = 0x7f;

const BLOCK_BYTES = 4096;
const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 128;
const INODE_BYTES = 64;
/** Inode numbers count slots of this size from the start of the image. */
const SLOT_BYTES = 32;
const DIRENT_BYTES = 12;
const MAX_BLOCKS = 2 ** 32 - 1;
/** Copied in one go: between two steps. */
const SLICE_BYTES = 2 ** 21;

const MAGIC = 0xe0f5e1e2;
/** The inodes' times are modification times. */
const FEATURE_COMPAT_MTIME = 2;
/** i_format: an inode of 64 bytes; its data lies apart, or ends beside the inode. */
const FORMAT_EXTENDED_PLAIN = 1;
const FORMAT_EXTENDED_INLINE = 1 | (2 << 1);

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
}

/** A folder's entries with "." and "..", and how many of them go into each block. */
interface Listing {
  readonly names: readonly { readonly name: string; readonly inode: Inode }[];
  readonly perBlock: readonly number[];
}

/** Writes the image; returns its regular files that are not empty, in the order of their data. */
export async function writeErofs(
  root: TreeEntry,
  writer: ImageWriter,
  options: ErofsOptions,
): Promise<ErofsFile[]> {
  const inodes = collectInodes(root);
  const totalBlocks = layOut(inodes);
  const totalBytes = totalBlocks * BLOCK_BYTES;

  writer.write(metadata(inodes, totalBlocks, options));
  const files: ErofsFile[] = [];
  for (const inode of inodes) {
    if (inode.blocks === 0) continue;
    const { entry, listing } = inode;
    if (listing !== undefined) writer.write(folderBlocks(listing).subarray(0, inode.blocks * BLOCK_BYTES));
    else if (entry.kind === 'symlink') writer.write(entry.target);
    else {
      const copying = copyFile(entry, writer, () => options.onStep(writer.position, totalBytes));
      if (copying !== undefined) await copying;
      const [nid, offset] = [inode.nid, inode.block * BLOCK_BYTES];
      const mayBeElf = (writer.byteAt(offset) ?? ELF_BEGIN) === ELF_BEGIN;
      files.push({ nid, offset, sizeBytes: inode.sizeBytes, mayBeElf });
    }
    writer.align(BLOCK_BYTES);
    const turn = options.onStep(writer.position, totalBytes);
    if (turn !== undefined) await turn;
  }
  if (writer.position !== totalBytes)
    throw new RunncError('INTERNAL', 'an EROFS image is not as long as planned');
  return files;
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

/** Gives every inode its place and its data theirs; returns the blocks of the whole image. */
function layOut(inodes: readonly Inode[]): number {
  let end = SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES;
  for (const inode of inodes) {
    inode.sizeBytes = dataBytes(inode);
    const tail = inode.sizeBytes % BLOCK_BYTES;
    // What stands beside an inode must end in the inode's own block.
    const fits = inode.entry.kind !== 'file' && INODE_BYTES + tail <= BLOCK_BYTES;
    inode.inlineBytes = fits ? tail : 0;
    inode.blocks = Math.ceil((inode.sizeBytes - inode.inlineBytes) / BLOCK_BYTES);
    const length = INODE_BYTES + inode.inlineBytes;
    end = roundUp(end, SLOT_BYTES);
    if ((end % BLOCK_BYTES) + length > BLOCK_BYTES) end = roundUp(end, BLOCK_BYTES);
    inode.nid = end / SLOT_BYTES;
    end += length;
  }
  let block = Math.ceil(end / BLOCK_BYTES);
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

/** The superblock and all inodes with what stands beside them, up to the first data block. */
function metadata(inodes: readonly Inode[], totalBlocks: number, options: ErofsOptions): Buffer {
  const [root] = inodes;
  const last = inodes.at(-1);
  if (root === undefined || last === undefined) throw new RunncError('INTERNAL', 'an image without inodes');
  const end = last.nid * SLOT_BYTES + INODE_BYTES + last.inlineBytes;
  const area = Buffer.alloc(roundUp(end, BLOCK_BYTES));

  const superblock = area.subarray(SUPERBLOCK_OFFSET);
  superblock.writeUInt32LE(MAGIC, 0);
  superblock.writeUInt32LE(FEATURE_COMPAT_MTIME, 8);
  superblock.writeUInt8(Math.log2(BLOCK_BYTES), 12);
  superblock.writeUInt16LE(root.nid, 14);
  superblock.writeBigUInt64LE(BigInt(inodes.length), 16);
  superblock.writeUInt32LE(totalBlocks, 36);

  for (const inode of inodes) {
    const at = inode.nid * SLOT_BYTES;
    writeInode(area.subarray(at, at + INODE_BYTES), inode, options);
    if (inode.inlineBytes > 0) inlineData(inode).copy(area, at + INODE_BYTES);
  }
  return area;
}

function writeInode(out: Buffer, inode: Inode, { toUid, toGid }: ErofsOptions): void {
  const { entry } = inode;
  const seconds = floorDivide(entry.mtimeNs, 1_000_000_000n);
  out.writeUInt16LE(inode.inlineBytes > 0 ? FORMAT_EXTENDED_INLINE : FORMAT_EXTENDED_PLAIN, 0);
  out.writeUInt16LE(TYPES[entry.kind].mode | entry.mode, 4);
  out.writeBigUInt64LE(BigInt(inode.sizeBytes), 8);
  const isDevice = entry.kind === 'char' || entry.kind === 'block';
  out.writeUInt32LE(isDevice ? encodeDevice(entry) : inode.block, 16);
  out.writeUInt32LE(inode.number, 20);
  out.writeUInt32LE(toUid(entry.uid), 24);
  out.writeUInt32LE(toGid(entry.gid), 28);
  out.writeBigInt64LE(seconds, 32);
  out.writeUInt32LE(Number(entry.mtimeNs - seconds * 1_000_000_000n), 40);
  out.writeUInt32LE(inode.links, 44);
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

/** Waits only where there is something to wait for: a tree has tens of thousands of files. */
function copyFile(
  entry: TreeEntry,
  writer: ImageWriter,
  onStep: () => Promise<void> | undefined,
): Promise<void> | undefined {
  const { fd, hasHoles } = openScanned(entry);
  if (entry.sizeBytes > SLICE_BYTES || hasHoles || writer.isAhead) {
    return copySlices(entry, writer, fd, hasHoles, onStep).finally(() => closeSync(fd));
  }
  try {
    if (!writer.copy(fd, 0, entry.sizeBytes)) throw changedError(entry);
    return undefined;
  } finally {
    closeSync(fd);
  }
}

async function copySlices(
  entry: TreeEntry,
  writer: ImageWriter,
  fd: number,
  hasHoles: boolean,
  onStep: () => Promise<void> | undefined,
): Promise<void> {
  for (let position = 0; position < entry.sizeBytes;) {
    const [start, end] = (hasHoles ? nextData(fd, position) : [position, entry.sizeBytes]) ?? [
      entry.sizeBytes,
      Infinity,
    ];
    const from = Math.min(start, entry.sizeBytes);
    const to = Math.min(end, entry.sizeBytes, from + SLICE_BYTES);
    writer.skip(from - position);
    if (!writer.copy(fd, from, to - from)) throw changedError(entry);
    position = to;
    await writer.drain();
    await onStep();
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}
