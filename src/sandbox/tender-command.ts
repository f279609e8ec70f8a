/** The tender's command line (tender/spt), with descriptors instead of paths: it runs where there are no files. */
import type { Extra, Guest } from '../guest/guest.ts';
import { formatMac } from '../network/guest-network.ts';
import type { SegmentsArea } from '../rootfs/segments.ts';
import type { FixedProgram } from '../rootfs/segments-file.ts';
import type { TenderCommand } from './plan.ts';

/** Element i of a plan's descriptors is this number plus i in the tender. */
const FIRST_DESCRIPTOR = 3;
/** The same of those that are handed over once the network is there: LATE_FIRST of tender/init/report.h. */
const FIRST_LATE_DESCRIPTOR = 128;

export interface TenderInput {
  readonly guest: Guest;
  /** Open on the kernel ELF. */
  readonly kernelFd: number;
  readonly memoryMib: number;
  readonly blocks: readonly { readonly name: string; readonly fd: number; readonly readonly: boolean }[];
  /** What the Linux guest kernel finds mapped. */
  readonly linux?: LinuxInput;
  /** The two ends of the control channel. */
  readonly control?: ControlInput;
  /** What the network adds. */
  readonly late?: LateInput;
}

export interface ControlInput {
  readonly guestFd: number;
  /** Stays open in the guest's process, out of the guest's reach, for whoever takes it with pidfd_getfd(2). */
  readonly runtimeFd: number;
}

export interface LateInput {
  /** In place of the Linux guest's other one. */
  readonly bootConfigFd?: number;
  /** Taps with virtio-net headers. */
  readonly vnetFds: readonly number[];
  /** Plain taps, by the manifest's names. */
  readonly nets: readonly NetInput[];
  readonly channels?: readonly Pick<ChannelInput, 'name' | 'fd'>[];
  /** That these take, beside the guest's others. */
  readonly extras?: readonly Extra[];
}

export interface NetInput {
  readonly name: string;
  readonly fd: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
}

export interface LinuxInput {
  readonly bootConfigFd: number;
  /** EROFS image, and where in it the segments lie. */
  readonly rootfsFd: number;
  readonly segments?: SegmentsArea;
  /** Part of the segments that is to be mapped at its own address as well. */
  readonly program?: FixedProgram;
  /** Of mounted folders. */
  readonly imageFds: readonly number[];
  /** Sockets to helpers outside of the sandbox. */
  readonly channels?: readonly ChannelInput[];
}

export interface ChannelInput {
  /** As the guest knows it: 1 to 11 letters from a to z. */
  readonly name: string;
  /** The guest's end. */
  readonly fd: number;
  /** Memory shared with the helper: a memfd, sealed against shrinking. */
  readonly windowFd?: number;
  /** Pipes that the helper puts data into: the ends to read from. */
  readonly pipeFds?: readonly number[];
}

/** Where tenderCommand() puts the runtime's end of the control channel. */
export const CONTROL_DESCRIPTOR = FIRST_DESCRIPTOR;

const BOOT_CONFIG = '--boot-config=';
const ALLOW_EXTRAS = '--allow-extras=';

/** Gives a descriptor its number in the tender: "@128". */
type Pass = (fd: number) => string;

function lateOptions({ vnetFds, channels = [], nets }: LateInput, pass: Pass): string[] {
  return [
    ...vnetFds.map((fd) => `--vnet=${pass(fd)}`),
    ...channels.map(({ name, fd }) => `--channel=${name}=${pass(fd)}`),
    ...nets.flatMap(({ name, fd, mac, mtu }) => [
      `--net:${name}=${pass(fd)}`,
      `--net-mac:${name}=${formatMac(mac)}`,
      `--net-mtu:${name}=${String(mtu)}`,
    ]),
  ];
}

function latePass(descriptors: number[]): Pass {
  return (fd) => `@${String(FIRST_LATE_DESCRIPTOR + descriptors.push(fd) - 1)}`;
}

/** A command line that was made without them. `args`: in place of the guest's. */
export function withLate(
  argv: readonly string[],
  late: LateInput,
  args?: readonly string[],
): Pick<TenderCommand, 'argv' | 'lateDescriptors'> {
  const lateDescriptors: number[] = [];
  const pass = latePass(lateDescriptors);
  const end = argv.indexOf('--');
  const options = argv.slice(0, end).map((option) => {
    if (option.startsWith(BOOT_CONFIG) && late.bootConfigFd !== undefined) {
      return `${BOOT_CONFIG}${pass(late.bootConfigFd)}`;
    }
    return option.startsWith(ALLOW_EXTRAS) ? [option, ...(late.extras ?? [])].join(',') : option;
  });
  const guest = args === undefined ? argv.slice(end) : [...argv.slice(end, end + 2), ...args];
  return { argv: [...options, ...lateOptions(late, pass), ...guest], lateDescriptors };
}

/** The number of the descriptor that an option names, in init as in the tender. */
export function descriptorOf(argv: readonly string[], option: string): number {
  const value = argv.find((one) => one.startsWith(`${option}=@`)) ?? '';
  return Number(value.slice(option.length + 2));
}

export function tenderCommand(input: TenderInput): TenderCommand {
  const { guest, kernelFd, memoryMib, blocks, linux, control, late } = input;
  const descriptors: number[] = [];
  const lateDescriptors: number[] = [];
  const passLate = latePass(lateDescriptors);
  const pass = (fd: number): string => `@${String(FIRST_DESCRIPTOR + descriptors.push(fd) - 1)}`;
  const argv = [guest.title ?? 'runnc', `--mem=${String(memoryMib)}`];
  // First: where the runtime's end is found is written down, whatever else there is.
  if (control !== undefined) {
    argv.push(`--keep=${pass(control.runtimeFd)}`, `--channel=control=${pass(control.guestFd)}`);
  }
  for (const { name, fd, readonly } of blocks)
    argv.push(`--block:${name}=${pass(fd)}${readonly ? ',ro' : ''}`);
  if (linux !== undefined) {
    const bootConfig = pass(linux.bootConfigFd);
    const rootfs = pass(linux.rootfsFd);
    argv.push(`--rootfs=${rootfs}`);
    argv.push(`${BOOT_CONFIG}${late?.bootConfigFd === undefined ? bootConfig : passLate(late.bootConfigFd)}`);
    for (const fd of linux.imageFds) argv.push(`--image=${pass(fd)}`);
    if (linux.segments !== undefined) {
      const { offset, sizeBytes } = linux.segments;
      argv.push(`--segments=${rootfs},offset=${String(offset)},size=${String(sizeBytes)}`);
    }
    for (const { name, fd, windowFd, pipeFds = [] } of linux.channels ?? []) {
      const window = windowFd === undefined ? [] : [`window=${pass(windowFd)}`];
      const pipes = pipeFds.map((pipe) => `pipe=${pass(pipe)}`);
      argv.push([`--channel=${name}=${pass(fd)}`, ...window, ...pipes].join(','));
    }
    if (linux.program !== undefined) {
      const { offset, size, address } = linux.program;
      argv.push(`--program=${String(offset)},${String(size)},${String(address)}`);
    }
  }
  if (late !== undefined) argv.push(...lateOptions(late, passLate));
  const extras = [...new Set([...guest.allowedExtras, ...(late?.extras ?? [])])];
  if (extras.length > 0) argv.push(`${ALLOW_EXTRAS}${extras.join(',')}`);
  return { argv: [...argv, '--', pass(kernelFd), ...guest.args], descriptors, lateDescriptors };
}
