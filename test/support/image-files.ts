/** What an image holds, read by the layers' archives themselves and not by the code under test. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import type { Descriptor, ImageConfig } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { ImageStore } from '../../src/image/store.ts';
import { succeed } from './command.ts';

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
  const merged = await mergeLayers(manifest.layers.map(({ digest }) => readFileSync(store.blobPath(digest))));
  return { config: store.readConfig(manifest), annotations: manifest.annotations ?? {}, ...merged };
}

/** What `docker save` writes, or `runnc build --output type=docker`; of one image. Files have their times then. */
export async function readDockerArchive(file: string): Promise<Pick<ReadImage, 'config' | 'files'>> {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-archive-'));
  try {
    await succeed('tar', ['-C', folder, '-xf', file]);
    const read = (name: string): Buffer => readFileSync(join(folder, name));
    const [image] = JSON.parse(read('manifest.json').toString()) as { Config: string; Layers: string[] }[];
    const config = JSON.parse(read(image?.Config ?? '').toString()) as ImageConfig;
    const { files } = await mergeLayers((image?.Layers ?? []).map(read), { withTimes: true });
    return { config, files };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface LineOptions {
  /** Of files, in seconds: those of folders change with what is put into them. */
  readonly withTimes?: boolean;
}

async function mergeLayers(
  blobs: readonly Buffer[],
  options: LineOptions = {},
): Promise<Pick<ReadImage, 'files' | 'layers'>> {
  const files: Record<string, string> = {};
  const layers: string[][] = [];
  for (const blob of blobs) {
    const paths: string[] = [];
    const tar = blob[0] === 0x1f && blob[1] === 0x8b ? gunzipSync(blob) : blob;
    for (const [path, line] of await readLayer(tar, options)) {
      paths.push(path);
      const [, folder = '', name = ''] = /^(.*\/)?([^/]*)$/.exec(path) ?? [];
      if (name === '.wh..wh..opq') removeInside(files, folder);
      else if (name.startsWith('.wh.')) remove(files, `${folder}${name.slice('.wh.'.length)}`);
      else files[path] = line;
    }
    layers.push(paths);
  }
  return { files, layers };
}

function removeInside(files: Record<string, string>, folder: string): void {
  for (const name of Object.keys(files)) if (name.startsWith(folder)) Reflect.deleteProperty(files, name);
}

function remove(files: Record<string, string>, path: string): void {
  for (const name of Object.keys(files)) {
    if (name === path || name.startsWith(`${path}/`)) Reflect.deleteProperty(files, name);
  }
}

/** `-644 0:0 text`, `l777 0:0 target`; of content beyond 200 bytes length and digest. */
async function readLayer(
  tar: Buffer,
  { withTimes = false }: LineOptions,
): Promise<(readonly [string, string])[]> {
  const entries: (readonly [string, string])[] = [];
  const archive = extract();
  Readable.from([tar]).pipe(archive as unknown as NodeJS.WritableStream);
  for await (const entry of archive) {
    const { header } = entry;
    const pax = (header.pax ?? {}) as Readonly<Record<string, string>>;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks);
    const shown =
      content.length > 200 ? `${String(content.length)} bytes, ${digestOf(content)}` : content.toString();
    const owner = `${pax['uid'] ?? String(header.uid)}:${pax['gid'] ?? String(header.gid)}`;
    const type = TYPES[header.type] ?? '?';
    const end = type === '-' ? shown : ((header.linkname as string | null) ?? '');
    const time = withTimes && type === '-' ? `${String(Math.floor(header.mtime.getTime() / 1000))} ` : '';
    entries.push([
      header.name.replace(/^\.\//, '').replace(/\/$/, ''),
      `${type}${(header.mode & 0o7777).toString(8)} ${owner} ${time}${end}`.trimEnd(),
    ]);
  }
  return entries;
}
