/**
 * Reads tar archives that nobody vouches for, entry by entry, in bounded memory. What is not a plain file, folder, link or
 * special file, what leads out of the archive by its name, and more than the limits allow, is refused.
 */
import { extract, type Extract, type Header } from 'tar-stream';
import { errorMessage, RunncError, shorten } from '../errors.ts';

export type TarEntry = TarAttributes &
  (
    | { readonly type: 'file'; readonly size: number; readonly body: AsyncIterable<Uint8Array> }
    | { readonly type: 'folder' | 'fifo' }
    | { readonly type: 'symlink'; readonly target: Buffer }
    /** The same file as the entry of that path, cleaned as names are. */
    | { readonly type: 'hardlink'; readonly to: Buffer }
    | { readonly type: 'char' | 'block'; readonly major: number; readonly minor: number }
  );

export interface TarAttributes {
  /**
   * Relative, without ".", ".." and empty components; empty for the root itself. Bytes: names need not be UTF-8.
   */
  readonly path: Buffer;
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch, with a fraction. */
  readonly mtime: number;
}

export interface TarLimits {
  readonly maxEntries: number;
  /** Of all files together. */
  readonly maxBytes: number;
}

/** More than any image has, less than what fills a disk unnoticed. */
export const DEFAULT_LIMITS: TarLimits = { maxEntries: 2_000_000, maxBytes: 64 * 2 ** 30 };

const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;
/** As deep as the cache of rootfs images goes. */
const MAX_DEPTH = 512;
const MAX_ID = 0xfffffffe;

/**
 * `where` names the archive in errors. A body that is not read to its end is skipped. Throws INVALID, and what the source
 * throws.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  where: string,
  limits: TarLimits = DEFAULT_LIMITS,
): AsyncGenerator<TarEntry> {
  // Names in headers are bytes, which latin1 keeps.
  const archive = extract({ filenameEncoding: 'latin1' } as Parameters<typeof extract>[0]);
  let failure: unknown;
  const feeding = feed(source, archive).catch((error: unknown) => {
    failure = error;
    archive.destroy(error instanceof Error ? error : new Error(errorMessage(error)));
  });
  const explain = (error: unknown): unknown => {
    // The source has its own words.
    if (failure !== undefined || error instanceof RunncError) return failure ?? error;
    const why = `${where}: is no tar archive or a damaged one: ${errorMessage(error)}`;
    return new RunncError('INVALID', why, { cause: error });
  };
  let entries = 0;
  let bytes = 0;
  try {
    for await (const part of archive) {
      if (++entries > limits.maxEntries) {
        throw new RunncError('INVALID', `${where}: has more than ${String(limits.maxEntries)} entries`);
      }
      const { header } = part;
      bytes += header.size;
      if (bytes > limits.maxBytes) {
        throw new RunncError('INVALID', `${where}: unpacks to more than ${formatLimit(limits.maxBytes)}`);
      }
      yield toEntry(header, explained(part as unknown as AsyncIterable<Uint8Array>, explain), where);
      part.resume();
    }
    await feeding;
    if (failure !== undefined) throw failure;
  } catch (error) {
    throw explain(error);
  } finally {
    archive.destroy();
  }
}

async function* explained(
  body: AsyncIterable<Uint8Array>,
  explain: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw explain(error);
  }
}

function formatLimit(bytes: number): string {
  return bytes >= 2 ** 30 ? `${String(bytes / 2 ** 30)} GiB` : `${String(bytes)} bytes`;
}

async function feed(source: AsyncIterable<Uint8Array>, archive: Extract): Promise<void> {
  // Closed early, it never drains.
  const closed = new Promise<void>((resolve) => archive.once('close', resolve));
  for await (const chunk of source) {
    if (archive.destroying) return;
    if (archive.write(chunk)) continue;
    await Promise.race([new Promise<void>((resolve) => archive.once('drain', resolve)), closed]);
  }
  archive.end(undefined);
}

function toEntry(header: Header, body: AsyncIterable<Uint8Array>, where: string): TarEntry {
  const pax = (header.pax ?? {}) as Readonly<Record<string, string>>;
  // PAX names are UTF-8 by definition, and decoded already.
  const name = Buffer.from(header.name, pax['path'] === undefined ? 'latin1' : 'utf8');
  const shown = shorten(name.toString('utf8'));
  const fail = (why: string): RunncError => new RunncError('INVALID', `${where}: entry ${shown} ${why}`);
  const attributes: TarAttributes = {
    path: cleanPath(name, fail),
    mode: header.mode & 0o7777,
    uid: ownerId(header.uid, pax['uid'], fail),
    gid: ownerId(header.gid, pax['gid'], fail),
    mtime: seconds(header, pax['mtime']),
  };
  const link = (): Buffer =>
    Buffer.from((header.linkname as string | null) ?? '', pax['linkpath'] === undefined ? 'latin1' : 'utf8');
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      if (Object.keys(pax).some((key) => key.startsWith('GNU.sparse.'))) {
        throw fail('is a sparse file, which images may not have');
      }
      return { ...attributes, type: 'file', size: header.size, body };
    case 'directory':
      return { ...attributes, type: 'folder' };
    case 'symlink': {
      const target = link();
      if (target.length === 0 || target.length >= MAX_PATH_BYTES || target.includes(0)) {
        throw fail('is a symbolic link without a usable target');
      }
      return { ...attributes, type: 'symlink', target };
    }
    case 'link':
      return {
        ...attributes,
        type: 'hardlink',
        to: cleanPath(link(), (why) => fail(`is a hard link whose target ${why}`)),
      };
    case 'character-device':
    case 'block-device':
      return {
        ...attributes,
        type: header.type === 'block-device' ? 'block' : 'char',
        major: header.devmajor,
        minor: header.devminor,
      };
    case 'fifo':
      return { ...attributes, type: 'fifo' };
    default:
      throw fail('is of a type that images may not have');
  }
}

/** Throws for names that are absolute or climb: no honest tool writes them into an image. */
function cleanPath(name: Buffer, fail: (why: string) => RunncError): Buffer {
  if (name.includes(0)) throw fail('has a NUL in its name');
  if (name.length >= MAX_PATH_BYTES) throw fail(`has a name of more than ${String(MAX_PATH_BYTES)} bytes`);
  const text = name.toString('latin1');
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  // "/" itself is what some tools call the root.
  if (text.startsWith('/') && parts.length > 0) throw fail('has an absolute name');
  if (parts.includes('..')) throw fail('climbs by ".."');
  if (parts.length > MAX_DEPTH) throw fail(`is nested deeper than ${String(MAX_DEPTH)} folders`);
  if (parts.some((part) => part.length > MAX_NAME_BYTES)) {
    throw fail(`has a name of more than ${String(MAX_NAME_BYTES)} bytes`);
  }
  return Buffer.from(parts.join('/'), 'latin1');
}

function ownerId(header: number, pax: string | undefined, fail: (why: string) => RunncError): number {
  const id = pax === undefined ? header : Number(pax);
  if (Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id;
  throw fail('has an owner that is no user id');
}

function seconds({ mtime }: Header, pax: string | undefined): number {
  const time = pax === undefined ? mtime.getTime() / 1000 : Number(pax);
  return Number.isFinite(time) ? Math.min(Math.max(time, -(2 ** 31)), 2 ** 34 - 1) : 0;
}
