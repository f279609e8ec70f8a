/** What an image holds, read by the layers' archives themselves and not by the code under test. */
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import type { Descriptor, ImageConfig } from '../../src/image/descriptor.ts';
import type { ImageStore } from '../../src/image/store.ts';

/** By path, one line: type and mode, owner, and content or target. */
export type Files = Readonly<Record<string, string>>;

export interface ReadImage {
  readonly config: ImageConfig;
  readonly annotations: Readonly<Record<string, string>>;
  /** Of all layers, later ones over earlier ones. */
  readonly files: Files;
  /** Of each layer, in the order of its archive. */
  readonly layers: readonly (readonly string[])[];
}

const TYPES: Readonly<Record<string, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  link: 'h',
  fifo: 'p',
  'character-device': 'c',
  'block-device': 'b',
};

export async function readImage(store: ImageStore, descriptor: Descriptor): Promise<ReadImage> {
  const manifest = store.readManifest(descriptor);
  const files: Record<string, string> = {};
  const layers: string[][] = [];
  for (const layer of manifest.layers) {
    const paths: string[] = [];
    for (const [path, line] of await readLayer(gunzipSync(readFileSync(store.blobPath(layer.digest))))) {
      paths.push(path);
      const [, folder = '', name = ''] = /^(.*\/)?([^/]*)$/.exec(path) ?? [];
      if (name.startsWith('.wh.')) remove(files, `${folder}${name.slice('.wh.'.length)}`);
      else files[path] = line;
    }
    layers.push(paths);
  }
  return { config: store.readConfig(manifest), annotations: manifest.annotations ?? {}, files, layers };
}

function remove(files: Record<string, string>, path: string): void {
  for (const name of Object.keys(files)) {
    if (name === path || name.startsWith(`${path}/`)) Reflect.deleteProperty(files, name);
  }
}

/** `-644 0:0 text`, `l777 0:0 target`; of content beyond 200 bytes the length. */
async function readLayer(tar: Buffer): Promise<(readonly [string, string])[]> {
  const entries: (readonly [string, string])[] = [];
  const archive = extract();
  Readable.from([tar]).pipe(archive as unknown as NodeJS.WritableStream);
  for await (const entry of archive) {
    const { header } = entry;
    const pax = (header.pax ?? {}) as Readonly<Record<string, string>>;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks);
    const shown = content.length > 200 ? `${String(content.length)} bytes` : content.toString();
    const owner = `${pax['uid'] ?? String(header.uid)}:${pax['gid'] ?? String(header.gid)}`;
    const type = TYPES[header.type] ?? '?';
    const end = type === '-' ? shown : ((header.linkname as string | null) ?? '');
    entries.push([
      header.name.replace(/\/$/, ''),
      `${type}${header.mode.toString(8)} ${owner} ${end}`.trimEnd(),
    ]);
  }
  return entries;
}
