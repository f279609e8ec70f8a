/**
 * Where an image comes from, as users write it: for `run` and for FROM of a build file.
 *
 *     NAME                     the store; a registry if it is not there
 *     docker://NAME            a registry
 *     oci:DIR[:NAME]           an OCI image layout in a folder
 *     oci-archive:FILE, docker-archive:FILE    an archive
 *     docker-daemon:NAME       a dockerd of this host
 *     containerd:NAME          a containerd of this host
 */
import { createReadStream } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { loadArchive } from './archive-load.ts';
import { copyImage, type CopyOptions } from './copy.ts';
import type { Descriptor } from './descriptor.ts';
import { findImage } from './platform.ts';
import { normalizeReference } from './reference.ts';
import type { ImageStore } from './store.ts';

export type ImageSource =
  /** A name, or an id of the store. */
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'registry'; readonly name: string }
  | { readonly type: 'layout'; readonly folder: string; readonly name?: string }
  | { readonly type: 'archive'; readonly file: string }
  | { readonly type: 'docker-daemon' | 'containerd'; readonly name: string };

export interface ObtainOptions extends CopyOptions {
  /** Ask the registry always, never, or only for what the store has not (default). */
  readonly pull?: 'always' | 'missing' | 'never';
  /** Registries that may be spoken to without TLS, beside those of this host. */
  readonly insecure?: boolean;
  readonly onWarning?: (message: string) => void;
}

/** Throws INVALID for an empty one. */
export function parseSource(text: string): ImageSource {
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  const transport = text.slice(0, Math.max(colon, 0));
  const needed = (what: string): string => {
    if (rest !== '') return rest;
    throw new RunncError('INVALID', `${text}: ${what} is missing`);
  };
  switch (transport) {
    case 'docker':
      if (rest.startsWith('//')) return { type: 'registry', name: rest.slice(2) };
      break;
    case 'oci': {
      // "oci:12" is version 12 of an image called oci.
      if (!rest.includes('/') && !rest.startsWith('.')) break;
      const at = rest.indexOf(':');
      const folder = at < 0 ? needed('the folder') : rest.slice(0, at);
      return { type: 'layout', folder, ...(at < 0 ? {} : { name: rest.slice(at + 1) }) };
    }
    case 'oci-archive':
    case 'docker-archive':
      return { type: 'archive', file: needed('the file') };
    case 'docker-daemon':
    case 'containerd':
      return { type: transport, name: needed('the name') };
  }
  return { type: 'name', name: text };
}

/**
 * The image's manifest (or index, see CopyOptions); all of it is in the store then, held until that is released. Only what
 * comes from a registry gets its name there. Throws NOT_FOUND, INVALID, HOST, UNSUPPORTED.
 */
export async function obtainImage(
  store: ImageStore,
  source: ImageSource,
  options: ObtainOptions = {},
): Promise<Descriptor> {
  switch (source.type) {
    case 'name': {
      const found = options.pull === 'always' ? undefined : await findImage(store, source.name);
      if (found !== undefined) {
        // Held, with all that it leads to.
        await store.hasBlob(found.descriptor.digest);
        return found.descriptor;
      }
      if (options.pull === 'never') {
        throw new RunncError(
          'NOT_FOUND',
          `image ${source.name} does not exist in the store: see "runnc images"`,
        );
      }
      return pull(store, source.name, options);
    }
    case 'registry':
      return pull(store, source.name, options);
    case 'layout': {
      const { findInLayout, layoutSource } = await import('./layout.ts');
      const entry = findInLayout(source.folder, source.name);
      return copyImage(store, layoutSource(source.folder), entry, options);
    }
    case 'archive':
      return only(await loadArchive(store, readFile(source.file), source.file), source.file);
    case 'docker-daemon': {
      const { readFromDocker } = await import('./engines.ts');
      const where = `docker-daemon:${source.name}`;
      return only(await loadArchive(store, readFromDocker(source.name), where), where);
    }
    case 'containerd': {
      const { readFromContainerd } = await import('./engines.ts');
      const where = `containerd:${source.name}`;
      return only(await loadArchive(store, readFromContainerd(source.name), where), where);
    }
  }
}

async function pull(store: ImageStore, name: string, options: ObtainOptions): Promise<Descriptor> {
  const { pullImage } = await import('./registry/pull.ts');
  return pullImage(store, normalizeReference(name), options);
}

function only(images: readonly { readonly descriptor: Descriptor }[], where: string): Descriptor {
  const [image, ...others] = images;
  if (image !== undefined && others.length === 0) return image.descriptor;
  throw new RunncError(
    'INVALID',
    `${where}: has ${String(images.length)} images: load it with "runnc load" and use one by its name`,
  );
}

/** Throws NOT_FOUND and HOST when it is read. */
export async function* readFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 }))
      yield chunk as Uint8Array;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new RunncError('NOT_FOUND', `${file} does not exist`);
    throw new RunncError('HOST', `${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}
