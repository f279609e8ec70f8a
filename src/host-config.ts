/**
 * /etc/runnc/config.json, the administrator's choices for this host. The file need not be there.
 *
 *     { "uidRange": { "start": 1879048192, "size": 65536 }, "cacheLimit": "20g", "network": { "host": "refuse" } }
 *
 * uidRange: the host's uids (and gids) that sandboxes run as, each container one of its own. Nobody else may use
 * them. The default lies above all that systemd, useradd and subordinate ids are given.
 * cacheLimit: what the cache of images may take on disk, in Docker's notation of sizes.
 * network.host: what becomes of a guest that is to have the host's network: "refuse" it, or let it run with "none".
 */
import { readIfThere } from './files.ts';
import { errorMessage, RunncError } from './errors.ts';
import { integer, leaf, object, oneOf, type Schema, validate } from './oci/schema.ts';
import { parseBytes } from './size.ts';

export interface HostConfig {
  readonly uidRange: UidRange;
  readonly cacheLimitBytes: number;
  readonly network: NetworkConfig;
}

export interface NetworkConfig {
  readonly host: 'refuse' | 'none';
}

interface File {
  readonly uidRange?: UidRange;
  readonly cacheLimit?: string;
  readonly network?: NetworkConfig;
}

export interface UidRange {
  readonly start: number;
  readonly size: number;
}

const FILE = '/etc/runnc/config.json';

export const DEFAULT_CACHE_LIMIT_BYTES = 20 * 2 ** 30;

const DEFAULTS: HostConfig = {
  uidRange: { start: 0x70000000, size: 65536 },
  cacheLimitBytes: DEFAULT_CACHE_LIMIT_BYTES,
  network: { host: 'refuse' },
};

/** 0 is root, 2^32-1 is "no uid" to the kernel. */
const schema = (): Schema<File> =>
  object<File>(
    {},
    {
      uidRange: object<UidRange>({ start: integer(1, 0xfffffffe), size: integer(1, 0x7fffffff) }, {}),
      cacheLimit: leaf<string>(
        'a size such as "512m" or "20g"',
        'sizes',
        (value) => typeof value === 'string' && parseBytes(value) !== undefined,
      ),
      network: object<NetworkConfig>({ host: oneOf('refuse', 'none') }, {}),
    },
  );

/** Throws INVALID naming the file and the field. */
export function readHostConfig(file = FILE): HostConfig {
  let text: string | undefined;
  try {
    text = readIfThere(file, 'utf8');
  } catch (error) {
    throw new RunncError('INVALID', `${file}: cannot be read: ${errorMessage(error)}`);
  }
  if (text === undefined) return DEFAULTS;
  try {
    const {
      uidRange = DEFAULTS.uidRange,
      network = DEFAULTS.network,
      cacheLimit,
    } = validate(schema(), JSON.parse(text));
    const { start, size } = uidRange;
    if (start + size > 0xffffffff)
      throw new RunncError('INVALID', 'uidRange: ends beyond the last uid, 4294967294');
    const cacheLimitBytes = cacheLimit === undefined ? undefined : parseBytes(cacheLimit);
    return { uidRange, cacheLimitBytes: cacheLimitBytes ?? DEFAULTS.cacheLimitBytes, network };
  } catch (error) {
    throw new RunncError('INVALID', `${file}: ${errorMessage(error)}`, { cause: error });
  }
}
