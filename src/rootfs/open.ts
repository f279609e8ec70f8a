/** From a rootfs to its image: carried by it, found in the cache, or built now. */
import { RunncError } from '../errors.ts';
import { closeSync } from '../files.ts';
import type { Build } from './cache.ts';
import { defaultCacheDir, openEntry, type OpenedEntry } from './cache-entry.ts';
import { openCarried } from './carried.ts';
import { readDelta } from './delta.ts';
import { idTranslation } from './id-map.ts';
import type { LayerEntry, OpenRootfsOptions, RootfsImage } from './rootfs-image.ts';
import {
  checkUnchanged,
  hasContent,
  isIndirect,
  layerIdentity,
  mergeScanned,
  openSource,
  ownIdentity,
  scanLayer,
  scanSettled,
  settledFingerprint,
  type Fingerprint,
  type Layer,
  type RootfsSource,
  type ScannedLayer,
  whenUnchanged,
} from './source.ts';
import { sha256 } from './sha256.ts';
import type { TreeEntry } from './tree.ts';

/** Part of every key: raise it when equal trees give other images than before. */
const IMAGE_VERSION = 4;

/**
 * The image of a rootfs. The caller closes its descriptors.
 *
 * Throws NOT_FOUND and INVALID for a rootfs that is none, UNSUPPORTED for one that cannot be packed, HOST when the
 * disk is full, a file unreadable or changing, a tool missing; then nothing partial is left. Aborted, it throws the
 * signal's reason.
 */
export async function openRootfsImage(options: OpenRootfsOptions): Promise<RootfsImage> {
  const opened: number[] = [];
  try {
    const source = openSource(options.rootfs, opened);
    const carried = openCarried(source.rootfs.fd, options);
    if (carried !== undefined) return carried;
    if (options.contentId !== undefined) return await openKnown(source.rootfs, options.contentId, options);
    if (!source.isOverlay) return await openPlain(source.rootfs, options);
    try {
      return await openOverlay(source, options);
    } catch (error) {
      if (!(error instanceof IndirectLayersError)) throw error;
      return await openPlain(source.rootfs, options);
    }
  } finally {
    opened.forEach((fd) => closeSync(fd));
  }
}

/** Names or contents of a layer are in another one (overlayfs redirect_dir, metacopy): only the mount shows them. */
class IndirectLayersError extends RunncError {
  constructor() {
    super('UNSUPPORTED', 'the layers of the rootfs refer to each other');
  }
}

/** A folder like any other, named by a scan of it. */
async function openPlain(rootfs: Layer, options: OpenRootfsOptions): Promise<RootfsImage> {
  return whenUnchanged(async () => {
    const found = await settledFingerprint(rootfs);
    const build = buildOf(rootfs, [found], () => scanLayer(rootfs, { overlay: false }).tree, options);
    return toImage(await openFromCache('plain', found.scan.records, build, options), []);
  });
}

/** A folder of the caller's own, whose content has a name already. */
async function openKnown(rootfs: Layer, contentId: string, options: OpenRootfsOptions): Promise<RootfsImage> {
  const build: Build = async (folder) => {
    const found = await settledFingerprint(rootfs);
    return buildOf(rootfs, [found], () => scanLayer(rootfs, { overlay: false }).tree, options)(folder);
  };
  return toImage(await openFromCache('known', contentId, build, options), []);
}

/** An engine's overlay mount: the image named by its layers, what is the container's own apart from it. */
async function openOverlay(source: RootfsSource, options: OpenRootfsOptions): Promise<RootfsImage> {
  const overlay = { overlay: true };
  let own = source.own.map((layer) => scanLayer(layer, overlay));
  if (isIndirect(own)) throw new IndirectLayersError();
  const delta = deltaFor(own, options);
  if (delta !== undefined) {
    // Without contents nothing was read but the scan.
    if (own.some(hasContent)) checkUnchanged(own);
    const build = buildLayers(source, [], options);
    return toImage(await openFromCache('layers', layerIdentity(source.image), build, options), delta);
  }
  if (own.some(hasContent)) own = await Promise.all(source.own.map((layer) => scanSettled(layer, overlay)));
  const identity = `${layerIdentity(source.image)}\n${ownIdentity(own)}`;
  const build = buildLayers(source, own, options);
  return toImage(await openFromCache('merged', identity, build, options), []);
}

/** undefined: the container's own layers must be in the image itself. */
function deltaFor(own: readonly ScannedLayer[], options: OpenRootfsOptions): LayerEntry[] | undefined {
  if (options.format === 'iso9660') return undefined;
  return own.length === 0
    ? []
    : readDelta(mergeScanned(own, 'keep'), {
        ...idTranslation(options),
        isServed: options.isServed ?? false,
      });
}

/** `kind`: what the identity is made of, and what is made of it. */
export async function openFromCache(
  kind: 'plain' | 'known' | 'layers' | 'merged' | 'folder',
  identity: string | Uint8Array,
  build: Build,
  options: Omit<OpenRootfsOptions, 'rootfs'>,
): Promise<OpenedEntry> {
  const { format, uidMappings, gidMappings } = options;
  const settings = JSON.stringify([IMAGE_VERSION, format, uidMappings ?? [], gidMappings ?? [], kind]);
  const isText = typeof identity === 'string';
  // A scan may be megabytes: its own hash, instead of a copy behind the settings.
  const key = await sha256(`${settings}\n${isText ? identity : await sha256(identity)}`);
  const dir = options.cacheDir ?? defaultCacheDir();
  const found = await openEntry(dir, key);
  if (typeof found === 'object' && 'imageFd' in found) return found;
  // Not there or damaged: the cache says so, and builds it.
  const { Cache } = await import('./cache.ts');
  const cache = new Cache(dir, { limitBytes: options.cacheLimitBytes, onWarning: options.onWarning });
  return cache.openOrBuild(key, build);
}

function toImage({ entry, imageFd }: OpenedEntry, delta: readonly LayerEntry[]): RootfsImage {
  const { format, image, segmentsArea } = entry;
  const { sizeBytes } = image;
  const segments = segmentsArea === undefined ? {} : { segments: segmentsArea };
  return { format, fd: imageFd, sizeBytes, ...segments, delta };
}

/** The image's layers are scanned only if there is something to build. */
function buildLayers(source: RootfsSource, own: readonly ScannedLayer[], options: OpenRootfsOptions): Build {
  return async (folder) => {
    const overlay = { overlay: true };
    const layers = [...source.image.map((layer) => scanLayer(layer, overlay)), ...own];
    if (isIndirect(layers)) throw new IndirectLayersError();
    const tree = (): TreeEntry => mergeScanned(layers, 'drop');
    return buildOf(source.rootfs, layers, tree, options)(folder);
  };
}

/**
 * `layers`: all that `tree`, which may look at them later, is made of. `segments`: false for files that no program is
 * run from, or seldom.
 */
export function buildOf(
  rootfs: Layer,
  layers: readonly Fingerprint[],
  tree: () => TreeEntry,
  options: Omit<OpenRootfsOptions, 'rootfs'>,
  segments = true,
): Build {
  return async (folder) => {
    const { buildErofs, buildIso } = await import('./build.ts');
    const context = { ...idTranslation(options), signal: options.signal, onProgress: options.onProgress };
    try {
      const built =
        options.format === 'erofs'
          ? await buildErofs(tree(), folder, context, { segments })
          : { image: await buildIso(rootfs.path, tree(), folder, context) };
      return { format: options.format, source: rootfs.path, ...built };
    } finally {
      // Whatever the builder made of it, or failed by: this is what is to be told.
      if (options.signal?.aborted !== true) checkUnchanged(layers);
    }
  };
}
