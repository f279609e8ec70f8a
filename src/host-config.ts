/**
 * /etc/runnc/config.json, the administrator's choices for this host. The file need not be there.
 *
 *     { "uidRange": { "start": 1879048192, "size": 65536 } }
 *
 * uidRange: the host's uids (and gids) that sandboxes run as, each container one of its own. Nobody else may use
 * them. The default lies above all that systemd, useradd and subordinate ids are given.
 */
import { readFileSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from './errors.ts';
import { integer, object, validate } from './oci/schema.ts';

export interface HostConfig {
  readonly uidRange: UidRange;
}

export interface UidRange {
  readonly start: number;
  readonly size: number;
}

const FILE = '/etc/runnc/config.json';

const DEFAULTS: HostConfig = { uidRange: { start: 0x70000000, size: 65536 } };

/** 0 is root, 2^32-1 is "no uid" to the kernel. */
const schema = object<Partial<HostConfig>>(
  {},
  { uidRange: object<UidRange>({ start: integer(1, 0xfffffffe), size: integer(1, 0x7fffffff) }, {}) },
);

/** Throws INVALID naming the file and the field. */
export function readHostConfig(file = FILE): HostConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return DEFAULTS;
    throw new RunncError('INVALID', `${file}: cannot be read: ${errorMessage(error)}`);
  }
  try {
    const config = { ...DEFAULTS, ...validate(schema, JSON.parse(text)) };
    const { start, size } = config.uidRange;
    if (start + size > 0xffffffff)
      throw new RunncError('INVALID', 'uidRange: ends beyond the last uid, 4294967294');
    return config;
  } catch (error) {
    throw new RunncError('INVALID', `${file}: ${errorMessage(error)}`, { cause: error });
  }
}
