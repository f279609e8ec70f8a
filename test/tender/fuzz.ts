/** Random changes of a good kernel's headers and notes, the same ones for the same seed. */
import { expect } from 'chai';
import type { Outcome } from '../unikernels/guest.ts';

/** Mulberry32. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const PT_NOTE = 4;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where a file says what it is: the ELF header, each program header, each note. */
function interestingRanges(kernel: Buffer): Range[] {
  const ranges = [{ start: 0, end: EHDR_BYTES }];
  const count = kernel.readUInt16LE(56);
  for (let i = 0; i < count; i++) {
    const start = EHDR_BYTES + i * PHDR_BYTES;
    ranges.push({ start, end: start + PHDR_BYTES });
    if (kernel.readUInt32LE(start) !== PT_NOTE) continue;
    const offset = Number(kernel.readBigUInt64LE(start + 8));
    ranges.push({ start: offset, end: offset + Number(kernel.readBigUInt64LE(start + 32)) });
  }
  return ranges;
}

/** Values near which checks go wrong. */
const EDGES = [
  0n,
  1n,
  0xfffn,
  0x1000n,
  0xfffffn,
  0x100000n,
  0x7fffffffn,
  0xffffffffn,
  1n << 63n,
  (1n << 64n) - 1n,
];

function change(bytes: Buffer, ranges: readonly Range[], next: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const { start, end } = pick(ranges);
  const at = start + Math.floor(next() * (end - start));
  const way = next();
  if (way < 0.3) bytes.writeUInt8(Math.floor(next() * 256), at);
  else if (way < 0.5) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(next() * 8)), at);
  else {
    const field = Math.min(start + ((at - start) & ~7), bytes.length - 8);
    const value = way < 0.8 ? pick(EDGES) : BigInt(Math.floor(next() * 2 ** 32)) << BigInt(pick([0, 12, 32]));
    bytes.writeBigUInt64LE(value, field);
  }
}

/**
 * Runs `count` changed kernels through `load`, which must not jump into them. Each must end with status 0, or with
 * status 1 and one line; never by a signal.
 */
export function fuzzKernel(
  good: Buffer,
  count: number,
  seed: number,
  load: (bytes: Buffer) => Outcome,
): { accepted: number; refused: number } {
  const next = random(seed);
  const ranges = interestingRanges(good);
  let accepted = 0;
  for (let i = 0; i < count; i++) {
    let bytes = Buffer.from(good);
    const changes = 1 + Math.floor(next() * 3);
    for (let c = 0; c < changes; c++) change(bytes, ranges, next);
    if (next() < 0.05) bytes = bytes.subarray(0, Math.floor(next() * bytes.length));
    const { end, stderr } = load(bytes);
    const what = `change ${i} of seed ${seed}: ${end} ${stderr}`;
    expect(end, what).to.be.oneOf([0, 1]);
    if (end === 0) accepted++;
    else expect(stderr, what).to.match(/^tender-spt: [^\n]+\n$/);
  }
  return { accepted, refused: count - accepted };
}
