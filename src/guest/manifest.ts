/** A Solo5 application manifest: the devices a guest declares (tender/common/abi/solo5_notes.h). */
import { RunncError, errorMessage } from '../errors.ts';

export type DeviceType = 'BLOCK_BASIC' | 'NET_BASIC';

export interface Device {
  /** 1 to 67 ASCII letters and digits. */
  readonly name: string;
  readonly type: DeviceType;
}

export interface Manifest {
  readonly version: 1;
  /** In the order of the note, the reserved first entry left out; at most 63. */
  readonly devices: readonly Device[];
}

/** The note holds 64 entries; the first is reserved. */
export const MAX_DEVICES = 63;

const VERSION = 1;
const MAX_NAME = 67;
const TYPE_CODES: Readonly<Record<DeviceType, number>> = { BLOCK_BASIC: 1, NET_BASIC: 2 };
const RESERVED_FIRST = 1 << 30;

/* struct solo5_mft and struct solo5_mft_entry. The compiler that lays out the note's structure aligns the manifest
 * to 8 bytes, 24 bytes from the note's start, and counts the 4 bytes of padding as content. */
const NOTE_PADDING_BYTES = 4;
const HEADER_BYTES = 8;
const ENTRY_BYTES = 104;
const TYPE_OFFSET = 68;
const ATTACHED_OFFSET = 96;

function invalid(message: string): RunncError {
  return new RunncError('INVALID', message);
}

/** What is wrong with a device name, or undefined. */
function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > MAX_NAME) return `is longer than ${MAX_NAME} characters`;
  if (!/^[A-Za-z0-9]+$/.test(name)) return 'may hold only ASCII letters and digits';
  return undefined;
}

/**
 * Reads a note's content, which may be hostile.
 *
 * @param source names the file in messages
 * @throws RunncError INVALID
 */
export function decodeManifestNote(content: Uint8Array, source: string): Manifest {
  const bad = (what: string): RunncError => invalid(`${source}: Solo5 manifest note: ${what}`);
  if (content.length < NOTE_PADDING_BYTES + HEADER_BYTES) throw bad(`truncated (${content.length} bytes)`);
  const body = Buffer.from(
    content.buffer,
    content.byteOffset + NOTE_PADDING_BYTES,
    content.length - NOTE_PADDING_BYTES,
  );
  const version = body.readUInt32LE(0);
  if (version !== VERSION) throw bad(`version ${version} is not supported, expected ${VERSION}`);
  const entries = body.readUInt32LE(4);
  if (entries < 1 || entries > MAX_DEVICES + 1) {
    throw bad(`${entries} entries, expected 1 to ${MAX_DEVICES + 1}`);
  }
  if (body.length !== HEADER_BYTES + entries * ENTRY_BYTES) {
    throw bad(
      `${body.length} bytes for ${entries} entries, expected ${HEADER_BYTES + entries * ENTRY_BYTES}`,
    );
  }
  const devices: Device[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < entries; i++) {
    const entry = body.subarray(HEADER_BYTES + i * ENTRY_BYTES, HEADER_BYTES + (i + 1) * ENTRY_BYTES);
    const end = entry.subarray(0, TYPE_OFFSET).indexOf(0);
    if (end === -1) throw bad(`entry ${i}: name is not terminated`);
    const name = entry.toString('latin1', 0, end);
    const type = entry.readUInt32LE(TYPE_OFFSET);
    if (entry[ATTACHED_OFFSET] !== 0) throw bad(`entry ${i}: marked as attached in the file`);
    if (i === 0) {
      if (type !== RESERVED_FIRST || name !== '') throw bad('entry 0 is not the reserved one');
      continue;
    }
    const problem = nameProblem(name);
    if (problem !== undefined) throw bad(`entry ${i}: name ${JSON.stringify(name)} ${problem}`);
    if (seen.has(name)) throw bad(`entry ${i}: device ${name} is declared twice`);
    seen.add(name);
    devices.push({ name, type: deviceType(type, () => bad(`entry ${i}: unknown device type ${type}`)) });
  }
  return { version: VERSION, devices };
}

function deviceType(code: number, error: () => RunncError): DeviceType {
  if (code === TYPE_CODES.BLOCK_BASIC) return 'BLOCK_BASIC';
  if (code === TYPE_CODES.NET_BASIC) return 'NET_BASIC';
  throw error();
}

/** The note's content as Solo5's tender expects it, padding included. */
export function encodeManifestNote(manifest: Manifest): Uint8Array {
  const entries = manifest.devices.length + 1;
  const note = Buffer.alloc(NOTE_PADDING_BYTES + HEADER_BYTES + entries * ENTRY_BYTES);
  const body = note.subarray(NOTE_PADDING_BYTES);
  body.writeUInt32LE(VERSION, 0);
  body.writeUInt32LE(entries, 4);
  body.writeUInt32LE(RESERVED_FIRST, HEADER_BYTES + TYPE_OFFSET);
  manifest.devices.forEach((device, i) => {
    const at = HEADER_BYTES + (i + 1) * ENTRY_BYTES;
    body.write(device.name, at, 'latin1');
    body.writeUInt32LE(TYPE_CODES[device.type], at + TYPE_OFFSET);
  });
  return note;
}

/**
 * Reads a manifest.json, whose format is Solo5's.
 *
 * @param source names the file in messages
 * @throws RunncError INVALID, naming the field
 */
export function parseManifestJson(text: string, source: string): Manifest {
  const bad = (field: string, what: string): RunncError => invalid(`${source}: ${field}: ${what}`);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw invalid(`${source}: not JSON: ${errorMessage(error)}`);
  }
  const object = fields(root, ['type', 'version', 'devices'], (what) => bad('top level', what));
  if (object.type !== 'solo5.manifest') {
    throw bad('type', `must be "solo5.manifest", found ${shown(object.type)}`);
  }
  if (object.version !== VERSION) throw bad('version', `must be ${VERSION}, found ${shown(object.version)}`);
  if (!Array.isArray(object.devices))
    throw bad('devices', `must be an array, found ${shown(object.devices)}`);
  const list: readonly unknown[] = object.devices;
  if (list.length > MAX_DEVICES) {
    throw bad('devices', `too many: ${list.length}, at most ${MAX_DEVICES}`);
  }
  const seen = new Map<string, number>();
  const devices = list.map((item, i): Device => {
    const { name, type } = fields(item, ['name', 'type'], (what) => bad(`devices[${i}]`, what));
    if (typeof name !== 'string') throw bad(`devices[${i}].name`, `must be a string, found ${shown(name)}`);
    const problem = nameProblem(name);
    if (problem !== undefined) throw bad(`devices[${i}].name`, `${shown(name)} ${problem}`);
    const earlier = seen.get(name);
    if (earlier !== undefined)
      throw bad(`devices[${i}].name`, `"${name}" is the name of devices[${earlier}] too`);
    seen.set(name, i);
    if (type !== 'BLOCK_BASIC' && type !== 'NET_BASIC') {
      throw bad(`devices[${i}].type`, `must be "BLOCK_BASIC" or "NET_BASIC", found ${shown(type)}`);
    }
    return { name, type };
  });
  return { version: VERSION, devices };
}

/** manifest.json of a manifest. */
export function manifestJson(manifest: Manifest): {
  readonly type: 'solo5.manifest';
  readonly version: 1;
  readonly devices: readonly Device[];
} {
  return { type: 'solo5.manifest', version: manifest.version, devices: manifest.devices };
}

/** The members of an object that has exactly these. */
function fields<Name extends string>(
  value: unknown,
  names: readonly Name[],
  bad: (what: string) => RunncError,
): Readonly<Record<Name, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(`must be an object, found ${shown(value)}`);
  }
  const known: readonly string[] = names;
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw bad(`unknown field ${JSON.stringify(key)}, expected ${names.join(', ')}`);
  }
  for (const name of names) {
    if (!Object.hasOwn(value, name)) throw bad(`field "${name}" is missing`);
  }
  return value as Record<Name, unknown>;
}

/** A value in a message: short, on one line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
