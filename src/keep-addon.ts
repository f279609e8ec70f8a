/** The first call after a boot, and every one on a host where addons cannot be kept: see embedded-addon.ts. */
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, RunncError } from './errors.ts';
import { dlopen } from './native.ts';
import { readEmbedded } from './parts.ts';

/** Whoever still uses what is thrown away then makes it again. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** `embedded`: Bun's virtual path; `kept`: where it will be looked for next time. */
export async function loadAndKeep(embedded: string, kept: string | undefined): Promise<unknown> {
  const content = await readEmbedded(embedded);
  const exports = load(content);
  if (kept !== undefined) {
    try {
      keep(kept, content);
    } catch {
      // Read-only, full, not ours: the next call does as this one did.
    }
  }
  return exports;
}

function load(content: Uint8Array): unknown {
  try {
    return loadThrough(openSync('/dev/shm', O_TMPFILE | constants.O_RDWR, 0o600), content);
  } catch {
    // No tmpfs there, or nothing in it may be executed. The other way is as good but slower: it needs bun:ffi.
    return loadThrough(openMemfd(), content);
  }
}

function loadThrough(fd: number, content: Uint8Array): unknown {
  try {
    writeFileSync(fd, content);
    return dlopen(`/proc/self/fd/${String(fd)}`);
  } finally {
    closeSync(fd);
  }
}

/** Appears whole or not at all. Only in folders that nobody else can write to. */
function keep(path: string, content: Uint8Array): void {
  const folder = dirname(path);
  for (const dir of [dirname(folder), folder]) {
    makeFolder(dir);
    const { uid, mode } = lstatSync(dir);
    if (uid !== process.geteuid?.() || (mode & 0o170022) !== 0o040000) return;
  }
  const temporary = `${path}.${String(process.pid)}`;
  try {
    // Readable for all: root of a user namespace loads the host's.
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') unlinkSync(temporary);
    throw error;
  }
  for (const name of readdirSync(folder)) {
    const old = `${folder}/${name}`;
    if (lstatSync(old).mtimeMs < Date.now() - KEPT_MS) unlinkSync(old);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o711 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

function openMemfd(): number {
  // Only Bun has this module, and only the one-file program comes here.
  const ffi = process.getBuiltinModule('bun:ffi') as unknown as BunFfi;
  const library = ffi.dlopen('libc.so.6', { memfd_create: { args: ['cstring', 'u32'], returns: 'int' } });
  const fd = library.symbols.memfd_create(Buffer.from('runnc.node\0'), MFD_CLOEXEC);
  library.close();
  if (fd < 0) throw new RunncError('HOST', 'memfd_create failed: the addon cannot be loaded');
  return fd;
}

/** open(2); node:fs does not know it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

const MFD_CLOEXEC = 1;

/** The part of bun:ffi that is used here; its types are not installed for Node. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: { memfd_create: { args: readonly string[]; returns: string } },
  ): { symbols: { memfd_create(name: Uint8Array, flags: number): number }; close(): void };
}
