/** Which of a tree's files are programs and libraries that can be laid out as they lie in memory. */
import { closeSync, readSync } from 'node:fs';
import { type FilePart, PartReader } from './content.ts';
import { EHDR_BYTES, type ElfObject, readElf } from './segments.ts';
import { openScanned, type TreeEntry } from './tree.ts';

/** Read of each file at first: program headers follow the ELF header nearly always. */
const HEAD_BYTES = 4096;
const BATCH = 256;

/**
 * Programs may be executed, libraries have a name by which they are found. The loader copies what else turns out to be
 * ELF. To look into all files would be one more pass over the tree.
 */
const LIBRARY = /\.(?:so|node)(?:\.|$)/;

export function mayBeObject({ kind, mode, name, sizeBytes }: TreeEntry): boolean {
  return kind === 'file' && sizeBytes >= EHDR_BYTES && ((mode & 0o111) !== 0 || LIBRARY.test(name));
}

/** In the order of the files. Throws if one has changed since it was scanned. */
export async function findObjects<File extends { readonly entry: TreeEntry }>(
  files: readonly File[],
  onStep: () => Promise<void> | undefined,
): Promise<(ElfObject & { readonly file: File })[]> {
  const found: (ElfObject & { file: File })[] = [];
  const candidates = files.filter(({ entry }) => mayBeObject(entry));
  const heads = Buffer.alloc(BATCH * HEAD_BYTES);
  for (let start = 0; start < candidates.length; start += BATCH) {
    const batch = candidates.slice(start, start + BATCH);
    readHeads(
      batch.map(({ entry }) => entry),
      heads,
    );
    batch.forEach((file, index) => {
      const head = heads.subarray(index * HEAD_BYTES, (index + 1) * HEAD_BYTES);
      const { entry } = file;
      const object = readElf(entry.sizeBytes, (offset, length) =>
        offset + length <= HEAD_BYTES
          ? head.subarray(offset, offset + length)
          : readScanned(entry, offset, length),
      );
      if (object !== undefined) found.push({ ...object, file });
    });
    const turn = onStep();
    if (turn !== undefined) await turn;
  }
  return found;
}

/** The beginning of each, at multiples of HEAD_BYTES. */
function readHeads(entries: readonly TreeEntry[], heads: Buffer): void {
  const parts = entries.map((entry, index): FilePart => ({
    position: index * HEAD_BYTES,
    entry,
    offset: 0,
    length: Math.min(entry.sizeBytes, HEAD_BYTES),
  }));
  const reader = new PartReader(parts, 0);
  for (let filled = 0; filled < heads.length && !reader.isDone;) {
    const { filled: end, outcome: sparse } = reader.read(heads, filled);
    filled = end;
    if (sparse === undefined) continue;
    readScanned(sparse.entry, 0, sparse.length).copy(heads, sparse.position);
    filled = sparse.position + sparse.length;
    reader.skip();
  }
}

function readScanned(entry: TreeEntry, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const { fd } = openScanned(entry);
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
  } finally {
    closeSync(fd);
  }
}
