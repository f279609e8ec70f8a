/** How much memory a guest gets. */
import { RunncError } from '../errors.ts';
import type { Spec } from '../oci/spec.ts';

const MIB = 2 ** 20;

/** solo5-spt's own default. */
const DEFAULT_MIB = 512;

/** The tender takes no more (and no guest can use less than its kernel's 1 MiB of start address and a stack). */
const MAX_MIB = 64 * 1024;
const MIN_MIB = 2;

/**
 * What the sandbox itself needs under the same limit: the tender's pages and the guest kernel's image (0.5 MiB), kernel
 * stack and descriptors, and 8 bytes of page table for each 4 KiB; what is left over is for pages of programs that the
 * host reads from the image. Without this margin a guest that uses all its memory would meet the host's OOM killer
 * instead of its own end of memory.
 */
const FIXED_OVERHEAD_BYTES = 2 * MIB;
const PAGE_TABLE_RATIO = 512;

/**
 * The tender's --mem for the Linux guest: addresses, reserved and not committed. Many times what the programs use, for
 * some reserve far more than they touch (Go, V8, Java); what may be resident is linuxMemoryBytes().
 */
export const linuxAddressSpaceMib = MAX_MIB;

/** Kernel and a small program; less would end as the guest's own end of memory before the program has begun. */
const MIN_LINUX_BYTES = 4 * MIB;

/**
 * What a Linux guest, kernel and programs, may have resident: the container's limit (bytes; none: 0 or less), or all
 * of the host's memory, which is `hostBytes`. `where` names the limit in errors. Throws INVALID if it is too small.
 */
export function linuxMemoryBytes(limit: number, hostBytes: number, where: string): number {
  if (limit <= 0) return hostBytes;
  return Math.min(withoutOverhead(limit, MIN_LINUX_BYTES, where), hostBytes);
}

export const CONFIGURED_LIMIT = 'config.json: linux.resources.memory.limit';

/** Whole MiB for the tender's --mem, from linux.resources.memory.limit. Throws INVALID if the limit is too small. */
export function guestMemoryMib(spec: Spec): number {
  const limit = spec.linux?.resources?.memory?.limit ?? 0;
  if (limit <= 0) return DEFAULT_MIB;
  return Math.min(Math.floor(withoutOverhead(limit, MIN_MIB * MIB, CONFIGURED_LIMIT) / MIB), MAX_MIB);
}

function withoutOverhead(limit: number, leastBytes: number, where: string): number {
  const left = Math.floor(limit - FIXED_OVERHEAD_BYTES - limit / PAGE_TABLE_RATIO);
  if (left >= leastBytes) return left;
  throw new RunncError(
    'INVALID',
    `${where}: ${String(limit)} bytes are too few: at least ${String(leastBytes + 3 * MIB)} are needed`,
  );
}
