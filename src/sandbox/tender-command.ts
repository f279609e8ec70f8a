/** The tender's command line (tender/spt), with descriptors instead of paths: it runs where there are no files. */
import type { Guest } from '../guest/guest.ts';
import type { FixedProgram } from '../rootfs/fixed-program.ts';
import type { TenderCommand } from './plan.ts';

/** Element i of a plan's descriptors is this number plus i in the tender. */
const FIRST_DESCRIPTOR = 3;

export interface TenderInput {
  readonly guest: Guest;
  /** Open on the kernel ELF. */
  readonly kernelFd: number;
  readonly memoryMib: number;
  readonly blocks: readonly { readonly name: string; readonly fd: number; readonly readonly: boolean }[];
  /** What the Linux guest kernel finds mapped. */
  readonly linux?: LinuxInput;
}

export interface LinuxInput {
  readonly bootConfigFd: number;
  /** EROFS image and its companion. */
  readonly rootfsFd: number;
  readonly segmentsFd?: number;
  /** Part of the companion that is to be mapped at its own address as well. */
  readonly program?: FixedProgram;
  /** Of mounted folders. */
  readonly imageFds: readonly number[];
}

export function tenderCommand({ guest, kernelFd, memoryMib, blocks, linux }: TenderInput): TenderCommand {
  const descriptors: number[] = [];
  const pass = (fd: number): string => `@${String(FIRST_DESCRIPTOR + descriptors.push(fd) - 1)}`;
  const argv = [guest.title ?? 'runnc', `--mem=${String(memoryMib)}`];
  for (const { name, fd, readonly } of blocks)
    argv.push(`--block:${name}=${pass(fd)}${readonly ? ',ro' : ''}`);
  if (linux !== undefined) {
    argv.push(`--boot-config=${pass(linux.bootConfigFd)}`, `--rootfs=${pass(linux.rootfsFd)}`);
    for (const fd of linux.imageFds) argv.push(`--image=${pass(fd)}`);
    if (linux.segmentsFd !== undefined) argv.push(`--segments=${pass(linux.segmentsFd)}`);
    if (linux.program !== undefined) {
      const { offset, size, address } = linux.program;
      argv.push(`--program=${String(offset)},${String(size)},${String(address)}`);
    }
  }
  if (guest.allowedExtras.length > 0) argv.push(`--allow-extras=${guest.allowedExtras.join(',')}`);
  return { argv: [...argv, '--', pass(kernelFd), ...guest.args], descriptors };
}
