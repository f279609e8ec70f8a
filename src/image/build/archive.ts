/**
 * Archives and layers as a build reads them: entries counted, so that their contents can be found again, and a bound on how
 * much a few bytes may become.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { errnoOf, RunncError, shorten } from '../../errors.ts';
import { compressionOf, decompress, type Compression } from '../decompress.ts';
import { readTar, type TarEntry } from '../tar.ts';
import type { Archive } from './file-tree.ts';

/** An entry, its names as text. */
export interface ArchiveEntry {
  /** Relative, without "." and ".."; "" is the archive's root. */
  readonly path: string;
  readonly kind: Exclude<TarEntry['type'], 'hardlink'> | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In seconds, whole and not negative. */
  readonly mtime: number;
  /** Of a file, else 0. */
  readonly size: number;
  /** Of a symlink, as it stands there; of a hard link, the path of another entry; else empty. */
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  /** Its place in the archive, from 0. */
  readonly at: number;
  /** Empty if it is no file. Must be read before the next entry is asked for, or is skipped. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** Real data stays far below. */
const MAX_GROWTH = 250;
const MAX_UNCHECKED_BYTES = 256 * 2 ** 20;

/** Debian's packages of the programs for what the engines have no library for. */
const PROGRAMS: Readonly<Partial<Record<Compression, string>>> = { bzip2: 'bzip2', xz: 'xz-utils' };

/** An archive that may be compressed. `read` may be called again and again. */
export function compressedArchive(name: string, read: () => AsyncIterable<Uint8Array>): Archive {
  return { name, read: () => uncompressed(read, name) };
}

/** Throws INVALID for an archive that is damaged, leads out of itself, or is beyond a limit. */
export async function* readArchive({ name, read }: Archive): AsyncGenerator<ArchiveEntry> {
  let at = 0;
  for await (const entry of readTar(read(), name)) yield toArchiveEntry(entry, at++, name);
}

/** The wanted files in the order of the archive; each content is to be read before the next. */
export async function* filesOf(
  archive: Archive,
  wanted: ReadonlySet<number>,
): AsyncGenerator<Pick<ArchiveEntry, 'at' | 'content'>> {
  let left = wanted.size;
  if (left === 0) return;
  for await (const { at, content } of readArchive(archive)) {
    if (!wanted.has(at)) continue;
    yield { at, content };
    if (--left === 0) return;
  }
}

function toArchiveEntry(entry: TarEntry, at: number, where: string): ArchiveEntry {
  const { mode, uid, gid, mtime } = entry;
  const fail = (bytes: Buffer): RunncError =>
    new RunncError(
      'INVALID',
      `${where}: entry ${shorten(bytes.toString())} has a name or target that is not UTF-8`,
    );
  const target =
    entry.type === 'symlink' ? entry.target : entry.type === 'hardlink' ? entry.to : Buffer.alloc(0);
  return {
    path: utf8(entry.path, fail),
    kind: entry.type === 'hardlink' ? 'link' : entry.type,
    ...{ mode, uid, gid, at },
    mtime: Math.max(0, Math.floor(mtime)),
    size: entry.type === 'file' ? entry.size : 0,
    target: utf8(target, fail),
    major: 'major' in entry ? entry.major : 0,
    minor: 'minor' in entry ? entry.minor : 0,
    content: entry.type === 'file' ? entry.body : nothing(),
  };
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Buffer, fail: (bytes: Buffer) => RunncError): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw fail(bytes);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // Nothing.
}

async function* uncompressed(
  read: () => AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  let readBytes = 0;
  let producedBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of read()) {
      readBytes += chunk.length;
      yield chunk;
    }
  }
  const compression = await compressionBy(read);
  const isByProgram = PROGRAMS[compression] !== undefined;
  const source = isByProgram ? decompressBy(compression, counted(), name) : decompress(counted(), name);
  for await (const chunk of source) {
    producedBytes += chunk.length;
    if (producedBytes > MAX_UNCHECKED_BYTES && producedBytes > readBytes * MAX_GROWTH) {
      throw new RunncError(
        'INVALID',
        `${name}: its first ${String(readBytes)} bytes unpack to more than ${String(MAX_UNCHECKED_BYTES)}: refused`,
      );
    }
    yield chunk;
  }
}

async function compressionBy(read: () => AsyncIterable<Uint8Array>): Promise<Compression> {
  for await (const chunk of read()) return compressionOf(chunk);
  return 'none';
}

async function* decompressBy(
  program: string,
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  const child = spawn(program, ['--decompress', '--stdout'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  ended.catch(() => undefined);
  let message = '';
  child.stderr.on('data', (chunk: Buffer) => (message = `${message}${chunk.toString()}`.slice(0, 500)));
  // It may end before it has read all: what it says counts.
  child.stdin.on('error', () => undefined);
  const input = Readable.from(source);
  input.on('error', (error) => child.stdout.destroy(error));
  input.pipe(child.stdin);
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>;
    const [code] = (await ended) as [number | null];
    if (code === 0) return;
    throw new RunncError(
      'INVALID',
      `${name}: damaged ${program} data: ${message.trim() || 'it cannot be read'}`,
    );
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new RunncError(
      'HOST',
      `${name}: ${program} is missing: install it (Debian: apt-get install ${PROGRAMS[program as Compression] ?? program})`,
    );
  } finally {
    input.destroy();
    child.kill('SIGKILL');
  }
}
