import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunncError } from '../errors.ts';
import { ET_DYN, PT_INTERP, PT_LOAD, PT_NOTE } from './elf.ts';
import { type FixtureElf, makeElf, makeNote, noteSegment, words } from './elf.fixture.ts';
import { type Inspection, inspect } from './inspect.ts';
import { encodeManifestNote, type Manifest } from './manifest.ts';

const ABI = 0x31494241;
const MANIFEST = 0x3154464d;
const EXTRAS = 0x58434e52;
const manifest: Manifest = { version: 1, devices: [{ name: 'disk', type: 'BLOCK_BASIC' }] };

const abiNote = (target = 2, version = 2): Buffer => makeNote('Solo5', ABI, words(target, version, 0, 0));
const manifestNote = (): Buffer => makeNote('Solo5', MANIFEST, encodeManifestNote(manifest));
/** The four bytes of padding, then struct runnc_extras_note. */
const extrasNote = (version: number, needed: number, wanted: number, bytes = 68): Buffer => {
  const content = Buffer.alloc(bytes);
  words(0, version, needed, wanted).copy(content);
  return makeNote('runnc', EXTRAS, content);
};
const text = { type: PT_LOAD, flags: 5, content: Buffer.alloc(16), align: 4096n };
const unikernel = (...notes: Buffer[]): FixtureElf => ({
  segments: [text, ...notes.map((note) => noteSegment(note))],
});

describe('inspect', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-inspect-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const look = (content: Uint8Array): Inspection => {
    const path = join(folder, 'file');
    writeFileSync(path, content);
    return inspect(path, 'file');
  };
  const lookAt = (elf: FixtureElf): Inspection => look(makeElf(elf));
  const refusal = (content: Uint8Array): string => {
    try {
      look(content);
    } catch (error) {
      expect(error).to.be.instanceOf(RunncError);
      expect((error as RunncError).code).to.equal('INVALID');
      return (error as RunncError).message;
    }
    throw new Error('was accepted');
  };

  describe('knows', () => {
    it('a Solo5 unikernel by its notes, whatever segment they are in', () => {
      const expected = {
        kind: 'solo5',
        abi: { target: 'spt', version: 2 },
        manifest,
        entry: 0x100000n,
        segments: [
          {
            address: 0x100000n,
            fileBytes: 16n,
            memoryBytes: 16n,
            readable: true,
            writable: false,
            executable: true,
          },
        ],
      };
      expect(lookAt(unikernel(abiNote(), manifestNote()))).to.deep.equal(expected);
      expect(lookAt({ segments: [text, noteSegment(manifestNote(), abiNote())] })).to.deep.equal(expected);
    });

    it('Solo5’s other targets', () => {
      const targets = [0, 1, 3, 6, 7, 0xffffffff].map((target) => {
        const inspection = lookAt(unikernel(abiNote(target, 1)));
        return inspection.kind === 'solo5' ? inspection.abi.target : inspection.kind;
      });
      expect(targets).to.deep.equal(['unknown', 'hvt', 'virtio', 'xen', 'unknown', 'unknown']);
    });

    it('the extras that a guest needs and wants', () => {
      expect(
        lookAt(unikernel(abiNote(), manifestNote(), extrasNote(1, 0b10000111, 0b01000000))),
      ).to.deep.include({
        extras: { needed: ['exec-heap', 'boot-config', 'sud', 'stdio'], wanted: ['memctl'] },
      });
    });

    it('Linux programs, dynamic, static and position-independent', () => {
      const interpreter = { type: PT_INTERP, content: Buffer.from('/lib64/ld-linux-x86-64.so.2\0') };
      expect(lookAt({ type: ET_DYN, segments: [interpreter] })).to.deep.include({
        kind: 'linux',
        linkage: 'dynamic',
        interpreter: '/lib64/ld-linux-x86-64.so.2',
      });
      expect(lookAt({})).to.deep.include({ kind: 'linux', linkage: 'static' });
      expect(lookAt({ type: ET_DYN })).to.deep.include({ kind: 'linux', linkage: 'static-pie' });
      expect(inspect(process.execPath)).to.deep.include({ kind: 'linux', linkage: 'dynamic' });
    });

    it('Linux programs with notes of others, too large ones included', () => {
      const others = [makeNote('GNU', 1, words(0, 3, 2, 0)), makeNote('Solo5', 0x1234, Buffer.alloc(3))];
      const payload = makeNote('NODE_SEA_BLOB', 1, Buffer.alloc(200_000));
      expect(lookAt({ segments: [noteSegment(...others), noteSegment(payload)] })).to.deep.include({
        kind: 'linux',
      });
      const property = { type: PT_NOTE, align: 8n, content: makeNote('GNU', 5, Buffer.alloc(20)) };
      expect(lookAt({ segments: [property] })).to.deep.include({ kind: 'linux' });
    });

    it('scripts, foreign programs, and what is no program', () => {
      expect(look(Buffer.from('#!/bin/sh\n'))).to.deep.equal({ kind: 'script' });
      expect(look(Buffer.from('#'))).to.deep.equal({ kind: 'not-elf' });
      expect(look(Buffer.alloc(0))).to.deep.equal({ kind: 'not-elf' });
      expect(look(Buffer.from('\x7fEL', 'latin1'))).to.deep.equal({ kind: 'not-elf' });
      expect(lookAt({ machine: 183 })).to.deep.equal({
        kind: 'foreign',
        what: 'an ELF file for another processor (machine 183)',
      });
      expect(lookAt({ type: 1 })).to.deep.include({
        kind: 'foreign',
        what: 'an ELF file that is no program (type 1)',
      });
      const narrow = makeElf({});
      narrow[4] = 1;
      expect(look(narrow)).to.deep.equal({ kind: 'foreign', what: 'a 32-bit ELF file' });
      const big = makeElf({});
      big[5] = 2;
      expect(look(big)).to.deep.equal({ kind: 'foreign', what: 'a big-endian ELF file' });
    });
  });

  it('reads a descriptor without moving or closing it', () => {
    const path = join(folder, 'descriptor');
    writeFileSync(path, makeElf(unikernel(abiNote(), manifestNote())));
    const fd = openSync(path, 'r');
    try {
      expect(inspect(fd).kind).to.equal('solo5');
      const start = Buffer.alloc(4);
      readSync(fd, start, 0, 4, null);
      expect(start.toString('latin1')).to.equal('\x7fELF');
    } finally {
      closeSync(fd);
    }
  });

  describe('refuses', () => {
    const withSegment = (segment: object, type = PT_NOTE): Buffer =>
      makeElf({ segments: [{ type, content: abiNote(), ...segment }] });

    const damaged = (
      damage: (elf: Buffer) => void,
      elf: FixtureElf = unikernel(abiNote(), manifestNote()),
    ): Buffer => {
      const file = makeElf(elf);
      damage(file);
      return file;
    };

    const wrong: readonly [string, () => Buffer, RegExp][] = [
      ['a header that ends early', () => makeElf({}).subarray(0, 63), /header is truncated/],
      ['an unknown class', () => damaged((elf) => elf.writeUInt8(3, 4)), /class 3 is unknown/],
      ['an unknown byte order', () => damaged((elf) => elf.writeUInt8(0, 5)), /byte order 0 is unknown/],
      ['an unknown version', () => damaged((elf) => elf.writeUInt32LE(2, 20)), /version is not 1/],
      [
        'program headers of another size',
        () => damaged((elf) => elf.writeUInt16LE(32, 54)),
        /program headers of 32 bytes/,
      ],
      [
        '65535 program headers',
        () => damaged((elf) => elf.writeUInt16LE(0xffff, 56)),
        /65535 program headers are too many/,
      ],
      [
        'program headers beyond the end',
        () => damaged((elf) => elf.writeBigUInt64LE(1n << 40n, 32)),
        /beyond the end of the file/,
      ],
      [
        'program headers at 2^64-1',
        () => damaged((elf) => elf.writeBigUInt64LE(2n ** 64n - 1n, 32)),
        /offset 0xffffffffffffffff is out of range/,
      ],
      ['notes beyond the end', () => withSegment({ fileBytes: 60_000n }), /note segment lies beyond the end/],
      [
        'notes at 2^63',
        () => withSegment({ offset: 1n << 63n }),
        /offset 0x8000000000000000 is out of range/,
      ],
      [
        'a note longer than its segment',
        () => withSegment({ fileBytes: 30n }),
        /note is longer than its segment/,
      ],
      [
        'a note of 4 GiB',
        () => withSegment({ content: words(6, 0xffffffff, ABI, 0, 0) }),
        /note is longer than its segment/,
      ],
      [
        'a name of 4 GiB',
        () => withSegment({ content: words(0xffffffff, 16, ABI, 0, 0) }),
        /note is longer than its segment/,
      ],
      [
        'an interpreter without an end',
        () => withSegment({ content: Buffer.from('/lib/ld.so') }, PT_INTERP),
        /interpreter's name is not terminated/,
      ],
      [
        'an interpreter without a name',
        () => withSegment({ fileBytes: 0n }, PT_INTERP),
        /interpreter's name has 0 bytes/,
      ],
      [
        'an interpreter of 2^64-1 bytes',
        () => withSegment({ fileBytes: 2n ** 64n - 1n }, PT_INTERP),
        /interpreter's name has 18446744073709551615 bytes/,
      ],
      [
        'an ABI note of another size',
        () => makeElf(unikernel(makeNote('Solo5', ABI, words(2, 2)))),
        /ABI note: 8 bytes, expected 16/,
      ],
      [
        'two ABI notes',
        () => makeElf(unikernel(abiNote(), abiNote(1))),
        /has two Solo5 notes of type 0x31494241/,
      ],
      [
        'two manifests',
        () => makeElf(unikernel(abiNote(), manifestNote(), manifestNote())),
        /has two Solo5 notes/,
      ],
      [
        'a bad manifest',
        () => makeElf(unikernel(abiNote(), makeNote('Solo5', MANIFEST, words(0, 1, 0)))),
        /manifest note: 0 entries/,
      ],
      [
        'extras of another version',
        () => makeElf(unikernel(abiNote(), extrasNote(2, 0, 0))),
        /extras note: version 2 is not supported/,
      ],
      [
        'extras that nobody knows',
        () => makeElf(unikernel(abiNote(), extrasNote(1, 0x80000200, 0))),
        /asks for unknown extras \(bits 0x80000200\)/,
      ],
      [
        'wanted extras that nobody knows',
        () => makeElf(unikernel(abiNote(), extrasNote(1, 0, 0x200))),
        /asks for unknown extras/,
      ],
      [
        'extras of another size',
        () => makeElf(unikernel(abiNote(), extrasNote(1, 0, 0, 64))),
        /extras note: 64 bytes, expected 68/,
      ],
    ];
    for (const [what, file, message] of wrong) {
      it(what, () => {
        const said = refusal(file());
        expect(said).to.match(message);
        expect(said).to.match(/^file: /);
      });
    }

    it('what is not a regular file, without waiting for anything', () => {
      const fifo = join(folder, 'fifo');
      execFileSync('mkfifo', [fifo]);
      for (const path of [fifo, folder, '/dev/null']) {
        expect(() => inspect(path)).to.throw(RunncError, /not a regular file/);
      }
    });

    it('a file that is not there', () => {
      expect(() => inspect(join(folder, 'nothing')))
        .to.throw(RunncError, /does not exist/)
        .with.property('code', 'NOT_FOUND');
    });
  });

  it('says something or refuses whatever is cut off or changed, and never anything else', () => {
    const file = makeElf(unikernel(abiNote(), manifestNote(), extrasNote(1, 1, 2)));
    const path = join(folder, 'fuzz');
    const survives = (content: Uint8Array): void => {
      writeFileSync(path, content);
      try {
        inspect(path);
      } catch (error) {
        if (!(error instanceof RunncError) || error.message.includes('\n')) throw error;
      }
    };
    for (let size = 0; size < file.length; size++) survives(file.subarray(0, size));
    let state = 20261121;
    const random = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const values = [0, 1, 2, 0x7f, 0x80, 0xff];
    for (let round = 0; round < 3000; round++) {
      const changed = Buffer.from(file);
      for (let i = random(6); i >= 0; i--) {
        changed[random(changed.length)] = values[random(values.length)] ?? 0;
      }
      survives(changed);
    }
  });
});
