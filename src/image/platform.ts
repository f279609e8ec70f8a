/** From an image in the store, by whatever name, to the manifest and configuration for one platform. */
import { RunncError, shorten } from '../errors.ts';
import {
  type Descriptor,
  type ImageConfig,
  type ImageIndex,
  type ImageManifest,
  isIndex,
  isManifest,
  type Platform,
} from './descriptor.ts';
import { parseReference } from './reference.ts';
import type { ImageStore, StoredImage } from './store.ts';

export interface Image {
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

export const HOST_PLATFORM: Platform = { os: 'linux', architecture: 'amd64' };

/** "linux/arm64/v8", "amd64". Throws INVALID. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  const [os = '', architecture = '', variant] = parts.length === 1 ? ['linux', ...parts] : parts;
  if (parts.length > 3 || !parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) {
    throw new RunncError('INVALID', `platform: expected one such as linux/amd64, got ${shorten(text)}`);
  }
  return {
    os,
    architecture: ALIASES[architecture] ?? architecture,
    ...(variant === undefined ? {} : { variant }),
  };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined || variant === '' ? [] : [variant])].join('/');
}

const ALIASES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' };

/** The manifest of the platform. Throws NOT_FOUND naming those that there are. */
export function choosePlatform({ manifests }: ImageIndex, wanted: Platform, where: string): Descriptor {
  const images = manifests.filter(
    ({ mediaType, platform }) => (isManifest(mediaType) || isIndex(mediaType)) && platform?.os !== 'unknown',
  );
  const found =
    images.find(({ platform }) => platform !== undefined && matches(platform, wanted)) ??
    // One that says nothing about itself, and is alone, is meant.
    (images.length === 1 && images[0]?.platform === undefined ? images[0] : undefined);
  if (found !== undefined) return found;
  const there = images.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]));
  throw new RunncError(
    'NOT_FOUND',
    `${where}: an image for ${formatPlatform(wanted)} does not exist${there.length === 0 ? '' : `, only for ${there.join(', ')}`}`,
  );
}

/** Every part is in the store. Throws NOT_FOUND, INVALID. */
export function openImage(store: ImageStore, descriptor: Descriptor, wanted = HOST_PLATFORM): Image {
  let chosen = descriptor;
  for (let depth = 0; isIndex(chosen.mediaType); depth++) {
    if (depth === 4) throw new RunncError('INVALID', `index ${descriptor.digest}: is nested too deep`);
    chosen = choosePlatform(store.readIndex(chosen), wanted, `index ${descriptor.digest}`);
  }
  const manifest = store.readManifest(chosen);
  const config = store.readConfig(manifest);
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw new RunncError(
      'INVALID',
      `manifest ${chosen.digest}: has ${String(manifest.layers.length)} layers, its configuration names ${String(config.rootfs.diff_ids.length)}`,
    );
  }
  return { descriptor: chosen, manifest, config };
}

/**
 * What a user names: an image by its name, or by the beginning of its id (the digest of its manifest, or of its
 * configuration, which is Docker's id), with 4 digits at least. undefined: there is none. Throws INVALID for what may be
 * neither, and for an id that several images begin with.
 */
export async function findImage(store: ImageStore, text: string): Promise<StoredImage | undefined> {
  const id = /^(?:sha256:)?([0-9a-f]{4,64})$/.exec(text)?.[1];
  if (id !== undefined) {
    const found = byId(store, id);
    const [first] = found;
    if (
      first !== undefined &&
      found.some(({ descriptor }) => descriptor.digest !== first.descriptor.digest)
    ) {
      throw new RunncError('INVALID', `image ${text}: several begin so, give more digits`);
    }
    if (first !== undefined) return first;
    if (text.startsWith('sha256:') || id.length === 64) return undefined;
  }
  const reference = parseReference(text);
  const descriptor = await store.resolve(text);
  if (descriptor !== undefined) return { reference: text, descriptor };
  if (reference.digest === undefined) return undefined;
  // By what it is, wherever it came from.
  return store.list().find((image) => image.descriptor.digest === reference.digest);
}

function byId(store: ImageStore, hex: string): StoredImage[] {
  const begins = (digest: string): boolean => digest.startsWith(`sha256:${hex}`);
  return store.list().filter(({ descriptor }) => {
    if (begins(descriptor.digest)) return true;
    if (!isManifest(descriptor.mediaType)) return false;
    return begins(store.readManifest(descriptor).config.digest);
  });
}

function matches(platform: Platform, wanted: Platform): boolean {
  return (
    platform.os === wanted.os &&
    platform.architecture === wanted.architecture &&
    (wanted.variant === undefined || (platform.variant ?? '') === wanted.variant)
  );
}
