/** A Solo5 unikernel of the image as a Guest: its arguments plain, its devices matched by name. */
import { RunncError, shorten } from '../errors.ts';
import type { Guest } from './guest.ts';
import type { Inspection, Solo5Inspection } from './inspect.ts';
import type { Manifest } from './manifest.ts';

export const NET_ANNOTATION_PREFIX = 'io.runnc.net.';
const URUNC_COMMAND_LINE = 'com.urunc.unikernel.cmdline';

/** SPT_CMDLINE_SIZE without the NUL: Solo5's limit on the joined arguments. */
const MAX_COMMAND_LINE_BYTES = 8191;
const SPT_ABI_VERSION = 2;

export interface Solo5GuestInput {
  /** Open for reading on the unikernel; the one that was inspected. */
  readonly fd: number;
  /** How messages name it: the path inside the rootfs. */
  readonly path: string;
  readonly inspection: Inspection;
  /** process.args without the unikernel's name. */
  readonly args: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** Which interface of the container's network namespace a network device is joined to. */
export interface NetAttachment {
  readonly device: string;
  /** Left out: the first interface that has an address, in index order. */
  readonly interface?: string;
}

/**
 * @throws RunncError EXEC_DENIED if the file is no unikernel that the spt tender runs, INVALID if its arguments are
 *   more than the ABI can pass
 */
export function solo5Guest(input: Solo5GuestInput): Guest {
  const { fd, path, inspection, annotations } = input;
  const { manifest } = runnable(inspection, path);
  const args = input.args.length > 0 ? input.args : (annotations[URUNC_COMMAND_LINE]?.match(/\S+/g) ?? []);
  checkArguments(args);
  return { kind: 'solo5', kernel: { type: 'descriptor', fd, path }, manifest, args, allowedExtras: [] };
}

/** What the tender would refuse later, said at create, with the path as the user knows it. */
function runnable(inspection: Inspection, path: string): { readonly manifest: Manifest } {
  const denied = (what: string): RunncError =>
    new RunncError('EXEC_DENIED', `exec: ${shorten(path)}: exec format error: ${what}`);
  if (inspection.kind !== 'solo5') throw denied('not a Solo5 unikernel');
  const { abi, manifest, extras }: Solo5Inspection = inspection;
  if (abi.target !== 'spt') {
    throw denied(`unikernel for Solo5's ${abi.target} tender, runnc needs one built for spt`);
  }
  if (abi.version !== SPT_ABI_VERSION) {
    throw denied(`unikernel for version ${abi.version} of the spt ABI, runnc has version ${SPT_ABI_VERSION}`);
  }
  if (manifest === undefined) throw denied('unikernel without a manifest');
  if (extras !== undefined && extras.needed.length > 0) {
    throw denied(`unikernel needs ${extras.needed.join(', ')}, which an image may not ask for`);
  }
  return { manifest };
}

export function checkArguments(args: readonly string[]): void {
  for (const [i, arg] of args.entries()) {
    if (arg.includes('\0')) throw new RunncError('INVALID', `process.args[${i + 1}]: contains a NUL byte`);
  }
  const bytes = Buffer.byteLength(args.join(' '));
  if (bytes > MAX_COMMAND_LINE_BYTES) {
    throw new RunncError(
      'INVALID',
      `process.args: ${bytes} bytes of arguments, a Solo5 unikernel takes at most ${MAX_COMMAND_LINE_BYTES}`,
    );
  }
}

/**
 * What each network device of the manifest is joined to: what its annotation io.runnc.net.NAME says (an interface's
 * name), and for a single device, whatever its name, the first interface with an address.
 *
 * @throws RunncError INVALID for an annotation without a device, several devices without annotation, two devices on
 *   one interface
 */
export function matchNetDevices(
  manifest: Manifest,
  annotations: Readonly<Record<string, string>>,
): NetAttachment[] {
  const names = manifest.devices.filter(({ type }) => type === 'NET_BASIC').map(({ name }) => name);
  const asked = netAnnotations(annotations, names);
  if (names.length === 1) {
    const [device = ''] = names;
    const name = asked.get(device);
    return [name === undefined ? { device } : { device, interface: name }];
  }
  const taken = new Map<string, string>();
  return names.map((device) => {
    const name = asked.get(device);
    if (name === undefined) {
      throw new RunncError(
        'INVALID',
        `the guest declares the network devices ${names.join(', ')}: say which interface ${device} is joined to ` +
          `by annotation (${NET_ANNOTATION_PREFIX}${device}=eth0)`,
      );
    }
    const other = taken.get(name);
    if (other !== undefined) {
      throw new RunncError(
        'INVALID',
        `annotation ${NET_ANNOTATION_PREFIX}${device}=${name}: ${other} is joined to that interface already`,
      );
    }
    taken.set(name, device);
    return { device, interface: name };
  });
}

/** Device → interface. */
function netAnnotations(
  annotations: Readonly<Record<string, string>>,
  names: readonly string[],
): Map<string, string> {
  const asked = new Map<string, string>();
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith(NET_ANNOTATION_PREFIX)) continue;
    const device = key.slice(NET_ANNOTATION_PREFIX.length);
    const bad = (what: string): RunncError =>
      new RunncError('INVALID', `annotation ${key}=${value}: ${what}`);
    if (!names.includes(device)) {
      throw bad(
        names.length === 0
          ? 'the guest declares no network device'
          : `the guest declares ${names.join(', ')}, not ${JSON.stringify(device)}`,
      );
    }
    if (!isInterfaceName(value)) throw bad('not the name of a network interface');
    asked.set(device, value);
  }
  return asked;
}

/** As dev_valid_name() of Linux has it. */
function isInterfaceName(name: string): boolean {
  return /^[^\s/:\0]{1,15}$/.test(name) && name !== '.' && name !== '..';
}
