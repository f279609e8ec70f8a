import { readFileSync } from 'node:fs';
import { errorMessage, RunncError } from '../src/errors.ts';
import { parseResources } from '../src/oci/bundle.ts';
import type { BlockIoResources, CpuResources, MemoryResources, Resources } from '../src/oci/spec.ts';
import { loadContainer } from './container-call.ts';
import type { Options } from './parse.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const container = loadContainer(call);
  const file = call.options.text('resources');
  await container.update(file === undefined ? fromFlags(call.options) : fromFile(file));
  return 0;
}

function fromFile(file: string): Resources {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new RunncError('INVALID', `--resources: cannot read ${file}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return parseResources(text, file === '-' ? 'standard input' : file);
}

function fromFlags(options: Options): Resources {
  const memory: MemoryResources = given({
    limit: bytes(options, 'memory'),
    reservation: bytes(options, 'memory-reservation'),
    swap: bytes(options, 'memory-swap'),
  });
  const cpu: CpuResources = given({
    shares: options.integer('cpu-share', 0),
    quota: options.integer('cpu-quota', -1),
    burst: options.integer('cpu-burst', 0),
    period: options.integer('cpu-period', 0),
    realtimeRuntime: options.integer('cpu-rt-runtime', -1),
    realtimePeriod: options.integer('cpu-rt-period', 0),
    cpus: options.text('cpuset-cpus'),
    mems: options.text('cpuset-mems'),
    idle: options.integer('cpu-idle', 0, 1),
  });
  const blockIO: BlockIoResources = given({ weight: options.integer('blkio-weight', 0, 1000) });
  const pids = given({ limit: options.integer('pids-limit', -1) });
  return given({ memory: filled(memory), cpu: filled(cpu), blockIO: filled(blockIO), pids: filled(pids) });
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** Docker's notation: a number with k, m, g or t (1024 each), or -1. */
function bytes(options: Options, name: string): number | undefined {
  const text = options.text(name);
  if (text === undefined) return undefined;
  if (text === '-1') return -1;
  const [, number, unit = ''] = /^(\d{1,16}(?:\.\d+)?)([kmgt]?)(?:i?b)?$/.exec(text.toLowerCase()) ?? [];
  if (number === undefined) {
    throw new RunncError(
      'INVALID',
      `--${name}: expected bytes such as 536870912 or 512m, or -1, got "${text}"`,
    );
  }
  return Math.floor(Number(number) * (BYTE_UNITS[unit] ?? 1));
}

/** Without the fields that are undefined. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function filled<T extends object>(fields: T): T | undefined {
  return Object.keys(fields).length > 0 ? fields : undefined;
}
