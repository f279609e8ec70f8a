/**
 * A read-only folder of the host, bound into a container: an image of its own, of what the folder holds now.
 *
 * A small one (configuration, certificates, tokens) is made anew in memory for each container: secrets are often kept in
 * a tmpfs so that no disk ever sees them, and a cache would. A large one is kept in the cache under a name that changes
 * with anything in it, as a rootfs is.
 */
import { closeSync, constants, openSync, realpathSync } from 'node:fs';
import { errorMessage, RunncError } from '../errors.ts';
import { DEFAULT_CACHE_LIMIT_BYTES } from '../host-config.ts';
import { memfd, openTree } from '../native.ts';
import { idTranslation } from './id-map.ts';
import { readMounts } from './mountinfo.ts';
import type { MountedFolder } from './mounts.ts';
import { buildOf, openFromCache } from './open.ts';
import type { OpenRootfsOptions } from './rootfs-image.ts';
import {
  checkUnchanged,
  type Layer,
  plainFingerprint,
  type ScannedLayer,
  scanLayer,
  settledFingerprint,
  whenUnchanged,
} from './source.ts';
import { ChangedError, openFolder, type Scan, walk } from './tree.ts';

export type FolderOptions = Omit<OpenRootfsOptions, 'rootfs' | 'annotations'>;

/** What a folder may have to be held in memory. */
const MAX_MEMORY_BYTES = 16 * 2 ** 20;
const MAX_MEMORY_ENTRIES = 10_000;

const PLAIN = { overlay: false } as const;

/**
 * A descriptor on the image of the folder, which the caller closes.
 *
 * Throws NOT_FOUND, INVALID and HOST for a folder that cannot be read or does not stay as it is, UNSUPPORTED for one
 * that is larger than the whole cache may be, or whose mounts inside cannot be left out or taken along.
 */
export async function openFolderImage(folder: MountedFolder, options: FolderOptions): Promise<number> {
  const name = `${folder.where}: the source`;
  const layer = { fd: openSourceFolder(folder, options, name), path: folder.source };
  try {
    return await whenUnchanged(() => openImage(layer, folder, options));
  } catch (error) {
    if (error instanceof RunncError && !error.message.startsWith(folder.where)) {
      throw new RunncError(error.code, `${folder.where}: ${error.message}`, { cause: error });
    }
    throw error;
  } finally {
    closeSync(layer.fd);
  }
}

async function openImage(layer: Layer, folder: MountedFolder, options: FolderOptions): Promise<number> {
  const first = plainFingerprint(layer);
  const { fileBytes, hasKernelFs } = first.scan;
  if (hasKernelFs) warnOfKernelFs(scanLayer(layer, PLAIN), options);
  if (options.format === 'erofs' && isSmall(first.scan)) {
    const scanned = scanLayer(layer, PLAIN);
    if (!isSmall(scanned.scan)) throw new ChangedError(layer.path);
    return buildInMemory(scanned, options);
  }
  const limit = options.cacheLimitBytes ?? DEFAULT_CACHE_LIMIT_BYTES;
  if (fileBytes > limit) {
    throw new RunncError(
      'UNSUPPORTED',
      `${folder.where}: ${folder.source} has ${String(fileBytes)} bytes, more than the cache of images may take ` +
        `(${String(limit)}): raise cacheLimit in /etc/runnc/config.json or mount a smaller folder`,
    );
  }
  const found = await settledFingerprint(layer, first);
  const build = buildOf(layer, [found], () => scanLayer(layer, PLAIN).tree, options, false);
  return (await openFromCache('folder', found.scan.records, build, options)).imageFd;
}

function isSmall({ fileBytes, entries }: Scan): boolean {
  return fileBytes <= MAX_MEMORY_BYTES && entries <= MAX_MEMORY_ENTRIES;
}

function warnOfKernelFs({ layer, tree }: ScannedLayer, { onWarning }: FolderOptions): void {
  for (const entry of walk(tree)) {
    if (!entry.kernelFs) continue;
    onWarning?.(
      `${layer.path}${entry.path} is left out of the mount: it is a file system of the host's kernel`,
    );
  }
}

/** Read-only, so that not even the sandbox's process could write to it. */
async function buildInMemory(scanned: ScannedLayer, options: FolderOptions): Promise<number> {
  const [{ ImageWriter }, { writeErofs }] = await Promise.all([
    import('./image-writer.ts'),
    import('./erofs.ts'),
  ]);
  const fd = memfd('folder');
  const writer = new ImageWriter(fd, 'the image of the folder');
  try {
    const onStep = (): undefined => {
      options.signal?.throwIfAborted();
    };
    await writeErofs(scanned.tree, writer, { ...idTranslation(options), segments: false, onStep });
    await writer.finish();
    checkUnchanged([scanned]);
    return openSync(`/proc/self/fd/${String(fd)}`, constants.O_RDONLY);
  } finally {
    await writer.settle();
    closeSync(fd);
  }
}

/** As mount(8) binds it: with what is mounted inside, or without. */
function openSourceFolder(
  { source, recursive, where }: MountedFolder,
  { format }: FolderOptions,
  name: string,
): number {
  const fd = openFolder(source, name);
  try {
    const inside = mountInside(realpathSync(`/proc/self/fd/${String(fd)}`));
    if (inside === undefined || (recursive && format === 'erofs')) return fd;
    if (recursive) {
      throw new RunncError(
        'UNSUPPORTED',
        `${where}: ${inside} is mounted inside ${source}, which a block device cannot have: use the option "bind"`,
      );
    }
    const bare = withoutMounts(source, inside, where);
    closeSync(fd);
    return bare;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function mountInside(path: string): string | undefined {
  return readMounts(path).find(({ mountPoint }) => mountPoint !== path)?.mountPoint;
}

function withoutMounts(source: string, inside: string, where: string): number {
  try {
    return openTree(source);
  } catch (error) {
    throw new RunncError(
      'UNSUPPORTED',
      `${where}: ${inside} is mounted inside ${source} and cannot be left out (${errorMessage(error)}): ` +
        'use the option "rbind", which takes it along',
      { cause: error },
    );
  }
}
