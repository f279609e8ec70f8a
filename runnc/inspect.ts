import { existsSync } from 'node:fs';
import { type Inspection, inspect, type Segment } from '../src/guest/inspect.ts';
import { manifestJson } from '../src/guest/manifest.ts';
import { print, printJson } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const {
    options,
    operands: [file = ''],
  } = call;
  const isFile = /^[./]|\.spt$/.test(file) || existsSync(file);
  if (!isFile) return (await import('./inspect-image.ts')).inspectImage(call);
  const inspection = inspect(file);
  if (options.flag('json')) printJson(asJson(inspection));
  else print(asText(inspection));
  return 0;
}

/** Addresses in hexadecimal, as every other tool shows them; sizes in bytes. */
function asJson(inspection: Inspection): unknown {
  if (inspection.kind !== 'solo5' && inspection.kind !== 'linux') return inspection;
  return {
    ...inspection,
    ...('manifest' in inspection ? { manifest: manifestJson(inspection.manifest) } : {}),
    entry: hex(inspection.entry),
    segments: inspection.segments.map((segment) => ({
      address: hex(segment.address),
      fileBytes: Number(segment.fileBytes),
      memoryBytes: Number(segment.memoryBytes),
      flags: flags(segment),
    })),
  };
}

function asText(inspection: Inspection): string {
  return [...describe(inspection)].map((line) => `${line}\n`).join('');
}

function* describe(inspection: Inspection): Generator<string> {
  const field = (name: string, value: string): string => `${name.padEnd(LABEL)}${value}`;
  switch (inspection.kind) {
    case 'solo5': {
      const { abi, manifest, extras } = inspection;
      yield field('kind', 'Solo5 unikernel');
      yield field('abi', `${abi.target} ${abi.version}`);
      if (manifest === undefined) yield field('devices', 'no manifest: no tender runs it');
      else if (manifest.devices.length === 0) yield field('devices', 'none');
      else yield field('devices', manifest.devices.map(({ name, type }) => `${name} (${type})`).join(', '));
      if (extras !== undefined) {
        yield field('needs', list(extras.needed));
        yield field('wants', list(extras.wanted));
      }
      break;
    }
    case 'linux':
      yield field('kind', 'Linux program');
      yield field(
        'linked',
        inspection.linkage +
          (inspection.interpreter === undefined ? '' : `, by ${JSON.stringify(inspection.interpreter)}`),
      );
      break;
    case 'script':
      yield field('kind', 'script (#!)');
      return;
    case 'foreign':
      yield field('kind', `${inspection.what}, which does not run here`);
      return;
    case 'not-elf':
      yield field('kind', 'neither an ELF file nor a script');
      return;
  }
  yield field('entry', hex(inspection.entry));
  yield field('segments', 'address, bytes in the file, bytes in memory, flags');
  for (const segment of inspection.segments) {
    const { address, fileBytes, memoryBytes } = segment;
    yield ' '.repeat(LABEL) + [hex(address), fileBytes, memoryBytes, flags(segment)].join('  ');
  }
}

const LABEL = 10;

function list(words: readonly string[]): string {
  return words.length === 0 ? 'nothing' : words.join(', ');
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function flags({ readable, writable, executable }: Segment): string {
  return `${readable ? 'r' : '-'}${writable ? 'w' : '-'}${executable ? 'x' : '-'}`;
}
