/** `runnc cache ls|prune|rm|verify`: what is kept of the root file systems of images. */
import { existsSync } from 'node:fs';
import { errorMessage, RunncError } from '../src/errors.ts';
import { parseBytes } from '../src/size.ts';
import { Cache, type ListedEntry } from '../src/rootfs/cache.ts';
import { print, printTable } from './output.ts';
import type { Call } from './verb.ts';

const SHORT_KEY = 12;

export async function run(call: Call): Promise<number> {
  const [action = '', ...keys] = call.operands;
  const cache = new Cache(call.options.text('dir'), {
    onWarning: (message) => {
      call.log.warn(message);
    },
  });
  switch (action) {
    case 'ls':
      list(cache, call);
      return 0;
    case 'prune':
      await prune(cache, call);
      return 0;
    case 'rm':
      return remove(cache, keys, call);
    case 'verify':
      return verify(cache, keys, call);
    default:
      throw new RunncError('INVALID', `cache ${action}: no such action, there are ls, prune, rm and verify`);
  }
}

function list(cache: Cache, { options }: Call): void {
  const entries = cache.list();
  if (options.text('format') === 'json') {
    print(`${JSON.stringify(entries.map(toJson))}\n`);
    return;
  }
  printTable([
    ['KEY', 'FORMAT', 'SIZE', 'ON DISK', 'LAST USED', 'IN USE', 'SOURCE'],
    ...entries.map(({ entry, diskBytes, lastUsed, inUse }) => [
      entry.key.slice(0, SHORT_KEY),
      entry.format,
      size(entry.image.sizeBytes),
      size(diskBytes),
      lastUsed.toISOString().slice(0, 19) + 'Z',
      inUse ? 'yes' : 'no',
      entry.source,
    ]),
  ]);
}

function toJson({ entry, diskBytes, lastUsed, inUse }: ListedEntry): object {
  return { ...entry, diskBytes, lastUsed: lastUsed.toISOString(), inUse };
}

async function prune(cache: Cache, { options }: Call): Promise<void> {
  const toBytes = keepBytes(options.text('keep') ?? '0');
  const removed = await cache.prune({ toBytes });
  const unpackedBytes = options.text('dir') === undefined ? await pruneUnpacked(toBytes) : 0;
  const freed = removed.reduce((sum, { diskBytes }) => sum + diskBytes, unpackedBytes);
  for (const { entry } of removed) print(`${entry.key.slice(0, SHORT_KEY)}\n`);
  print(`${size(freed)} freed\n`);
}

/** What `run IMAGE` has unpacked is a cache too. */
async function pruneUnpacked(toBytes: number): Promise<number> {
  const { defaultStoreFolder } = await import('../src/image/store-folder.ts');
  const folder = `${defaultStoreFolder()}/unpacked`;
  if (!existsSync(folder)) return 0;
  const { RootfsStore } = await import('../src/image/rootfs-store.ts');
  return new RootfsStore(folder).prune(toBytes);
}

function keepBytes(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined)
    throw new RunncError('INVALID', `--keep: expected a size such as 512m or 10g, got "${text}"`);
  return bytes;
}

function remove(cache: Cache, keys: readonly string[], { options, log }: Call): number {
  if (keys.length === 0)
    throw new RunncError('INVALID', 'cache rm: which image? Give a key of "runnc cache ls"');
  let status = 0;
  for (const key of keys) {
    try {
      print(`${cache.remove(key, { force: options.flag('force') }).slice(0, SHORT_KEY)}\n`);
    } catch (error) {
      log.error(errorMessage(error));
      status = 1;
    }
  }
  return status;
}

/** Status 1 if anything is damaged. */
async function verify(cache: Cache, prefixes: readonly string[], { log }: Call): Promise<number> {
  const keys = prefixes.length === 0 ? cache.keys() : prefixes.map((prefix) => cache.find(prefix));
  let status = 0;
  for (const key of keys) {
    const problem = await cache.verify(key);
    if (problem === undefined) print(`${key.slice(0, SHORT_KEY)} ok\n`);
    else {
      log.error(
        `image ${key.slice(0, SHORT_KEY)}: ${problem}: remove it with "runnc cache rm ${key.slice(0, SHORT_KEY)}"`,
      );
      status = 1;
    }
  }
  return status;
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes === 0 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 ? String(value) : value.toFixed(1)} ${units[power] ?? ''}`;
}
