/** The kernel file is hostile: whatever its fields say, the tender loads a good one or says what is wrong. */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { fuzzKernel } from './fuzz.ts';
import * as k from './kernel-file.ts';
import { expectRefusal, tender } from './test-guest.ts';

const MAX = 0xffffffffffffffffn;

describe('the tender loading a kernel', () => {
  const folder = scratchFolder();
  const path = join(folder, 'kernel.spt');
  const load = (kernel: k.KernelFile, ...options: string[]): ReturnType<typeof tender> =>
    tender(['--mem=2', ...options, k.writeKernel(path, kernel)]);
  const segments = (...list: readonly Partial<k.ProgramHeader>[]): k.KernelFile => ({ segments: list });

  it('runs the good kernel that the others are made from', () => {
    expect(load({}).end).to.equal(0);
    expect(load(segments(k.GOOD_TEXT, k.GOOD_DATA)).end).to.equal(0);
  });

  it('skips empty segments, which GNU ld leaves at any address', () => {
    expect(load(segments(k.GOOD_TEXT, { vaddr: 0n, filesz: 0n, memsz: 0n, flags: k.R })).end).to.equal(0);
  });

  it('accepts Solo5’s interpreter', () => {
    const data = Buffer.from('/nonexistent/solo5/\0\0\0\0\0');
    const interp = { type: k.PT_INTERP, offset: k.DATA_OFFSET, filesz: BigInt(data.length) };
    expect(load({ data, more: [interp] }).end).to.equal(0);
  });

  const header = (at: number, bytes: Buffer): k.KernelFile => ({ header: [{ at, bytes }] });
  const text = (change: Partial<k.ProgramHeader>): k.KernelFile => segments({ ...k.GOOD_TEXT, ...change });
  const both = (change: Partial<k.ProgramHeader>): k.KernelFile =>
    segments(k.GOOD_TEXT, { ...k.GOOD_DATA, ...change });
  const withNotes = (...notes: Buffer[]): k.KernelFile => ({ notes });

  const refused: readonly [string, k.KernelFile, string | RegExp][] = [
    ['an empty file', { length: 0 }, 'not an ELF file: only 0 bytes'],
    ['a file shorter than an ELF header', { length: 63 }, 'only 63 bytes'],
    ['a file that ends in the program headers', { length: 70 }, 'truncated: the program header table'],
    ['a file that ends in a segment', { length: 0x1800 }, 'truncated'],
    ['a file that is not ELF', header(0, Buffer.from('#!/bin/sh\n')), 'not an ELF file'],
    ['a 32-bit ELF', header(4, Buffer.from([1])), 'not for x86-64'],
    ['a big-endian ELF', header(5, Buffer.from([2])), 'not for x86-64'],
    ['an ELF for aarch64', header(18, k.u16(183)), 'not for x86-64 (class 2, data 1, machine 183)'],
    ['an unknown ELF version', header(20, k.u32(2)), 'unknown ELF version 2'],
    ['a position-independent program', header(16, k.u16(3)), 'ELF type 3 is not ET_EXEC'],
    ['wrong header sizes', header(54, k.u16(32)), 'wrong sizes'],
    ['no program headers', header(56, k.u16(0)), '0 program headers'],
    ['too many program headers', header(56, k.u16(0xffff)), '65535 program headers; 1 to 64'],
    ['program headers beyond the file', header(32, k.u64(MAX)), 'truncated: the program header table'],
    ['program headers at a negative offset', header(32, k.u64(1n << 63n)), 'truncated'],
    ['nothing to load', segments(), 'no segment to load'],
    [
      'an interpreter of the host',
      {
        data: Buffer.from('/lib64/ld-linux-x86-64.so.2\0'),
        more: [{ type: k.PT_INTERP, offset: k.DATA_OFFSET, filesz: 28n }],
      },
      'a dynamically linked program, not a unikernel',
    ],
    ['an interpreter without end', { more: [{ type: k.PT_INTERP, filesz: MAX }] }, 'its interpreter is not'],
    ['a dynamic section', { more: [{ type: k.PT_DYNAMIC }] }, 'PT_DYNAMIC'],
    ['an entry point at zero', { entry: 0n }, 'the entry point 0 is not in an executable segment'],
    ['an entry point behind the text', { entry: 0x101000n }, 'is not in an executable segment'],
    ['an entry point in data', { ...both({}), entry: 0x101000n }, 'is not in an executable segment'],
    ['a segment below the guest', text({ vaddr: 0xff000n }), 'below 0x100000 where guests begin'],
    ['a segment aligned to below the guest', text({ align: 0x200000n }), 'below 0x100000'],
    ['a segment beyond memory', both({ vaddr: 0x200000n }), 'beyond the 2 MB of guest memory; raise --mem'],
    ['a segment larger than memory', both({ memsz: 0x100000000n }), 'beyond the 2 MB of guest memory'],
    ['a segment whose end wraps around', both({ memsz: MAX }), 'exceeds 64 bits'],
    ['a segment whose rounded end wraps around', both({ memsz: MAX - 0x101000n }), 'exceeds 64 bits'],
    ['a segment at the end of all addresses', both({ vaddr: MAX - 0xfffn }), 'exceeds 64 bits'],
    [
      'more bytes in the file than in memory',
      both({ filesz: 0x1001n, memsz: 0x1000n }),
      'larger in the file',
    ],
    ['a file offset beyond the file', both({ offset: 0x100000n }), 'truncated: segment 1'],
    ['a file offset that wraps around', both({ offset: MAX }), 'truncated: segment 1'],
    ['a negative file offset', both({ offset: 1n << 63n }), 'truncated: segment 1'],
    ['overlapping segments', both({ vaddr: 0x100000n }), 'inside or below the one before it'],
    [
      'segments that share a page',
      segments({ filesz: 0x10n, memsz: 0x10n }, { ...k.GOOD_DATA, vaddr: 0x100800n }),
      'inside or below the one before it',
    ],
    [
      'segments that overlap by their alignment',
      both({ vaddr: 0x180000n, align: 0x100000n }),
      'inside or below',
    ],
    ['segments in descending order', segments({ vaddr: 0x110000n }, k.GOOD_DATA), 'inside or below'],
    ['a writable and executable segment', both({ flags: k.R | k.W | k.X }), 'both writable and executable'],
    ['an alignment that is no power of two', both({ align: 0x3000n }), 'is not a power of two'],
    ['an alignment of zero', both({ align: 0n }), 'is not a power of two'],
    ['an alignment below a page', both({ align: 0x10n }), 'is not a power of two of at least 4096'],
    ['no ABI note', withNotes(k.manifestNote()), 'no Solo5 ABI note: not a Solo5 unikernel'],
    [
      'an hvt unikernel',
      withNotes(k.abiNote(1), k.manifestNote()),
      'built for Solo5 target 1, not for spt (2)',
    ],
    ['an older spt ABI', withNotes(k.abiNote(2, 1), k.manifestNote()), 'version 1 of the spt ABI'],
    [
      'a short ABI note',
      withNotes(k.note('Solo5', k.ABI_TYPE, k.u32(2)), k.manifestNote()),
      'no Solo5 ABI note',
    ],
    ['two ABI notes', withNotes(k.abiNote(), k.abiNote(), k.manifestNote()), 'occurs twice'],
    ['no manifest', withNotes(k.abiNote()), 'no Solo5 manifest note'],
    [
      'a note that says it is longer than its program header',
      withNotes(k.note('Solo5', k.ABI_TYPE, Buffer.alloc(4), 16), k.manifestNote()),
      'longer than its program header says',
    ],
    [
      'a note of 4 GiB',
      withNotes(k.note('Solo5', k.ABI_TYPE, Buffer.alloc(16), 0xffffffff)),
      'has a descriptor of 4294967295 bytes',
    ],
    [
      'an empty note',
      withNotes(k.note('Solo5', k.MANIFEST_TYPE, Buffer.alloc(4)), k.abiNote()),
      'has a descriptor of 4 bytes',
    ],
    ['a note beyond the file', { more: [{ type: k.PT_NOTE, offset: MAX - 10n }] }, 'truncated: the note'],
  ];
  for (const [what, kernel, message] of refused)
    it(`refuses ${what}`, () => {
      expectRefusal(load(kernel), message);
    });

  it('refuses a kernel that is no regular file', () => {
    expectRefusal(tender([folder]), 'not a regular file');
    expectRefusal(tender(['/dev/null']), 'not a regular file');
  });

  it('says which kernel cannot be opened', () => {
    expectRefusal(tender([join(folder, 'absent.spt')]), 'absent.spt: No such file or directory');
  });

  it('does not print control characters of hostile names', () => {
    expectRefusal(tender(['absent\u001b[2J\n.spt']), 'absent?[2J?.spt');
  });

  it('survives 300 random changes of headers and notes', () => {
    const file = join(folder, 'fuzzed.spt');
    const good = readFileSync(unikernel('hello'));
    const { accepted, refused: count } = fuzzKernel(good, 300, 0x5eed, (bytes) => {
      writeFileSync(file, bytes);
      return tender(['--mem=2', '--seccomp-dump', file]);
    });
    // Both happen, or the changes are too tame or too wild to show anything.
    expect(accepted).to.be.greaterThan(10);
    expect(count).to.be.greaterThan(100);
  });
});
