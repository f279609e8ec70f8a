/** Makes the files of a cache entry out of a scanned tree. */
import { closeSync, constants, fdatasyncSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { RunncError } from '../errors.ts';
import type { CachedFile } from './cache-entry.ts';
import { writeErofs } from './erofs.ts';
import { contentHash, ImageWriter } from './image-writer.ts';
import { ownerCommands, writeIso } from './iso.ts';
import type { BuildProgress } from './rootfs-image.ts';
import type { SegmentsArea } from './segments.ts';
import { openScanned, walk, type TreeEntry } from './tree.ts';

export interface BuildContext {
  readonly toUid: (hostId: number) => number;
  readonly toGid: (hostId: number) => number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
}

/** Between two looks at the signal, and two reports of progress. */
const STEP_MS = 50;

/** `segments`: an image that programs are to be run from where they lie. */
export async function buildErofs(
  tree: TreeEntry,
  folder: string,
  context: BuildContext,
  { segments }: { segments: boolean },
): Promise<{ image: CachedFile; segmentsArea?: SegmentsArea }> {
  const { toUid, toGid } = context;
  const fd = openSync(join(folder, 'image'), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  const writer = new ImageWriter(fd, 'the EROFS image');
  try {
    const onStep = stepper(context);
    const segmentsArea = await writeErofs(tree, writer, { toUid, toGid, segments, onStep });
    const sizeBytes = writer.position;
    const contentHash = await writer.finish(() => onStep(writer.writtenBytes, sizeBytes));
    context.onProgress?.({ doneBytes: sizeBytes, totalBytes: sizeBytes });
    const image = { sizeBytes, contentHash };
    return segmentsArea === undefined ? { image } : { image, segmentsArea };
  } finally {
    await writer.settle();
    closeSync(fd);
  }
}

export async function buildIso(
  rootfs: string,
  tree: TreeEntry,
  folder: string,
  { toUid, toGid, signal, onProgress }: BuildContext,
): Promise<CachedFile> {
  let totalBytes = 0;
  const isRoot = process.geteuid?.() === 0;
  for (const entry of walk(tree)) {
    if (entry.kind !== 'file') continue;
    totalBytes += entry.sizeBytes;
    // xorriso does not name the file that it may not read. Root may read all.
    if (!isRoot) closeSync(openScanned(entry).fd);
  }
  await writeIso({
    rootfs,
    folder,
    owners: ownerCommands(tree, { toUid, toGid }, { seenAsTheyAre: isRoot }),
    signal,
    onProgress: (doneBytes) => onProgress?.({ doneBytes: Math.min(doneBytes, totalBytes), totalBytes }),
  });
  const fd = openSync(join(folder, 'image'), constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    fdatasyncSync(fd);
    return { sizeBytes: fstatSync(fd).size, contentHash: contentHash(fd) };
  } finally {
    closeSync(fd);
  }
}

/** Lets timers and signals have their turn; reports; throws the reason when it was aborted. */
function stepper({
  signal,
  onProgress,
}: BuildContext): (doneBytes: number, totalBytes: number) => Promise<void> | undefined {
  const throwIfAborted = (): void => {
    if (signal?.aborted !== true) return;
    const { reason } = signal as { reason: unknown };
    throw reason instanceof Error
      ? reason
      : new RunncError('HOST', 'building the image of the rootfs was cancelled');
  };
  // The first step reports, however short the work is: who watches may want to stop it.
  let next = 0;
  const takeTurn = async (doneBytes: number, totalBytes: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    throwIfAborted();
    onProgress?.({ doneBytes, totalBytes });
    next = performance.now() + STEP_MS;
  };
  return (doneBytes, totalBytes) => {
    throwIfAborted();
    return performance.now() < next ? undefined : takeTurn(doneBytes, totalBytes);
  };
}
