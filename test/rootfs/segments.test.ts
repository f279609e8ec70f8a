import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { OpenRootfsOptions, RootfsImage } from '../../src/rootfs/rootfs-image.ts';
import { findFixedProgram } from '../../src/rootfs/segments-file.ts';
import { readElf } from '../../src/rootfs/segments.ts';
import { scratchFolder, withImage } from './fixture.ts';

/** An entry of the index (tender/common/abi/runnc_segments.h). */
interface IndexEntry {
  readonly nid: number;
  readonly offset: number;
  readonly spanBytes: number;
  readonly minVaddr: number;
  readonly fixedBytes: number;
}

function readIndex(companion: Buffer): IndexEntry[] {
  expect(companion.toString('latin1', 0, 8)).to.equal('RUNNCSEG');
  expect(companion.readUInt32LE(8)).to.equal(2);
  expect(companion.readBigUInt64LE(16)).to.equal(BigInt(companion.length));
  return Array.from({ length: companion.readUInt32LE(12) }, (_, i) => {
    const at = 32 + i * 40;
    const [nid = 0, offset = 0, spanBytes = 0, minVaddr = 0, fixedBytes = 0] = [0, 8, 16, 24, 32].map(
      (field) => Number(companion.readBigUInt64LE(at + field)),
    );
    return { nid, offset, spanBytes, minVaddr, fixedBytes };
  });
}

/** What the kernel would have in memory: PT_LOADs by readelf(1), zeros elsewhere. */
function loadedByReadelf(path: string): { readonly minVaddr: number; readonly memory: Buffer } {
  const file = fs.readFileSync(path);
  const loads = execFileSync('readelf', ['-lW', path], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => /^\s+LOAD\s/.test(line))
    .map((line) => line.trim().split(/\s+/).slice(1, 6).map(Number));
  const page = (address: number): number => Math.floor(address / 4096) * 4096;
  const minVaddr = page(loads[0]?.[1] ?? 0);
  const last = loads.at(-1) ?? [];
  const end = page((last[1] ?? 0) + (last[4] ?? 0) + 4095);
  const memory = Buffer.alloc(end - minVaddr);
  for (const [offset = 0, vaddr = 0, , fileBytes = 0] of loads) {
    file.copy(memory, vaddr - minVaddr, offset, offset + fileBytes);
  }
  return { minVaddr, memory };
}

/** The segments area of an image. */
function areaOf({ fd, segments }: RootfsImage): Buffer {
  if (segments === undefined) throw new Error('no segments');
  const bytes = Buffer.alloc(segments.sizeBytes);
  expect(fs.readSync(fd, bytes, 0, bytes.length, segments.offset)).to.equal(bytes.length);
  return bytes;
}

describe('the segments of an EROFS image', function () {
  const scratch = scratchFolder();
  const rootfs = join(scratch, 'rootfs');
  const options: OpenRootfsOptions = { rootfs, format: 'erofs', cacheDir: join(scratch, 'cache') };
  const at = (name: string): string => join(rootfs, name);

  before(() => {
    fs.mkdirSync(rootfs);
    const source = join(scratch, 'x.c');
    // A bss of some pages, data that must be relocated, a constructor's worth of tables.
    fs.writeFileSync(
      source,
      'static char bss[300000]; int data[5000] = {1}; int *pointer = data; const char *text(void) { return bss + data[0]; }' +
        'int main(void) { return *pointer - 1; }',
    );
    const gcc = (output: string, ...flags: readonly string[]): void => {
      execFileSync('gcc', ['-O1', '-o', at(output), source, ...flags]);
    };
    gcc('program', '-fPIE', '-pie');
    gcc('library.so', '-fPIC', '-shared');
    gcc('aligned.so', '-fPIC', '-shared', '-Wl,-z,max-page-size=0x200000');
    gcc('static-pie', '-static-pie');
    gcc('fixed', '-static', '-no-pie');
    gcc('object.o', '-c');
    fs.linkSync(at('library.so'), at('library.so.1'));
    fs.writeFileSync(at('script'), '#!/bin/sh\n');
    fs.writeFileSync(at('tiny'), '\x7fELF');
    fs.copyFileSync('/bin/sh', at('sh'));
  });

  it('holds each program and library as it lies in memory, and nothing else', async () => {
    await withImage(options, (_, image) => {
      const companion = areaOf(image);
      const index = readIndex(companion);
      const names = ['aligned.so', 'fixed', 'library.so', 'program', 'sh', 'static-pie'];
      expect(index).to.have.length(names.length);
      for (const name of names) {
        const { minVaddr, memory } = loadedByReadelf(at(name));
        const entry = index.find(({ offset }) =>
          companion.subarray(offset, offset + memory.length).equals(memory),
        );
        const fixedBytes = name === 'fixed' ? fs.statSync(at(name)).size : 0;
        const nid = nidOf(image, name);
        expect(entry, name).to.deep.equal({
          ...{ offset: entry?.offset, spanBytes: memory.length },
          ...{ nid, minVaddr, fixedBytes },
        });
      }
    });
  });

  it('is in order: nids rise, spans begin at pages, apart from each other, within the file', async () => {
    await withImage(options, (_, image) => {
      const companion = areaOf(image);
      const index = readIndex(companion);
      expect(index.map(({ nid }) => nid)).to.deep.equal(
        [...new Set(index.map(({ nid }) => nid))].sort((a, b) => a - b),
      );
      let end = 32 + index.length * 40;
      for (const { offset, spanBytes } of [...index].sort((a, b) => a.offset - b.offset)) {
        expect(offset % 4096).to.equal(0);
        expect(spanBytes % 4096).to.equal(0);
        expect(offset).to.be.at.least(end);
        end = offset + spanBytes;
      }
      expect(end).to.equal(companion.length);
      const aligned = index.find(({ nid }) => nid === nidOf(image, 'aligned.so'));
      expect((aligned?.offset ?? 1) % 0x200000).to.equal(0);
    });
  });

  it('tells where a program lies that can run at one address alone, by its size', async () => {
    await withImage(options, (_, image) => {
      const { fd, segments } = image;
      if (segments === undefined) throw new Error('no segments');
      const { size } = fs.statSync(at('fixed'));
      const { minVaddr } = loadedByReadelf(at('fixed'));
      const found = findFixedProgram(fd, segments, size);
      const entry = readIndex(areaOf(image)).find(({ fixedBytes }) => fixedBytes === size);
      expect(found).to.deep.equal({ offset: entry?.offset, size: entry?.spanBytes, address: minVaddr });
      expect(findFixedProgram(fd, segments, size + 1)).to.equal(undefined);
      expect(findFixedProgram(fd, segments, 0), 'what is position-independent').to.equal(undefined);
    });
  });

  it('is not believed what the tender would refuse', () => {
    const file = join(scratch, 'made-up');
    const find = (change: (bytes: Buffer) => void, sizeBytes = 0x10000, offset = 4096): unknown => {
      const bytes = Buffer.alloc(sizeBytes);
      bytes.write('RUNNCSEG', 'latin1');
      bytes.writeUInt32LE(2, 8);
      bytes.writeUInt32LE(1, 12);
      [0x1000n, 0x2000n, 0x400000n, 77n].forEach((value, i) => bytes.writeBigUInt64LE(value, 40 + 8 * i));
      change(bytes);
      fs.writeFileSync(file, Buffer.concat([Buffer.alloc(offset), bytes]));
      const fd = fs.openSync(file, 'r');
      try {
        return findFixedProgram(fd, { offset, sizeBytes }, 77);
      } finally {
        fs.closeSync(fd);
      }
    };
    expect(find(() => undefined)).to.deep.equal({ offset: 0x1000, size: 0x2000, address: 0x400000 });
    const word =
      (at: number, value: bigint) =>
      (bytes: Buffer): unknown =>
        bytes.writeBigUInt64LE(value, at);
    for (const [what, change] of [
      ['another magic', word(0, 1n)],
      ['another version', (bytes: Buffer) => bytes.writeUInt32LE(1, 8)],
      ['no object', (bytes: Buffer) => bytes.writeUInt32LE(0, 12)],
      ['an offset within a page', word(40, 1n)],
      ['an offset behind the end', word(40, 0x10000n)],
      ['a size that is too large', word(48, 0x10000n)],
      ['no size', word(48, 0n)],
      ['a size beyond all', word(48, 2n ** 64n - 4096n)],
      ['an address within a page', word(56, 0x400001n)],
      ['an address in the kernel', word(56, 0x100000n)],
      ['an address among the segments', word(56, 0x7fc00000n)],
    ] as const) {
      expect(
        find((bytes) => void change(bytes)),
        what,
      ).to.equal(undefined);
    }
    expect(
      find((bytes) => void bytes.writeUInt32LE(0xffffffff, 12)),
      'more objects than there are',
    ).to.deep.include({ address: 0x400000 });
  });

  it('are not there where an image has no object', async () => {
    const empty = join(scratch, 'empty');
    fs.mkdirSync(empty);
    fs.writeFileSync(join(empty, 'script'), '#!/bin/sh\n', { mode: 0o755 });
    await withImage({ ...options, rootfs: empty }, (_, { segments }) => {
      expect(segments).to.equal(undefined);
    });
  });

  it('are on disk once, with the files that they are of', async () => {
    const large = join(scratch, 'large');
    fs.mkdirSync(large);
    // Text and data that are most of the file.
    fs.copyFileSync(process.execPath, join(large, 'node'));
    const { size } = fs.statSync(join(large, 'node'));
    const { segments = [] } = readElfFile(join(large, 'node')) ?? {};
    const inSegments = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    await withImage({ ...options, rootfs: large }, (path, { fd }) => {
      expect(fs.fstatSync(fd).blocks * 512).to.be.lessThan(size + inSegments / 10);
      const extracted = join(scratch, 'extracted');
      execFileSync('fsck.erofs', [`--extract=${extracted}`, path], { stdio: 'ignore' });
      execFileSync('cmp', [join(extracted, 'node'), process.execPath]);
    });
  });

  it('are read back as files that they were, whatever the layout of the ELF', async () => {
    const extracted = join(scratch, 'files');
    await withImage(options, (path) => {
      execFileSync('fsck.erofs', [`--extract=${extracted}`, path], { stdio: 'ignore' });
    });
    for (const name of fs.readdirSync(rootfs)) execFileSync('cmp', [at(name), join(extracted, name)]);
  });

  it('leaves out what Linux would refuse, and is bounded whatever an ELF file says', () => {
    const whole = fs.readFileSync(at('library.so'));
    const file = join(scratch, 'fuzzed');
    const read = (bytes: Buffer): ReturnType<typeof readElf> => {
      fs.writeFileSync(file, bytes);
      return readElfFile(file);
    };
    const patched = (patch: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(whole);
      patch(bytes);
      return bytes;
    };
    const phdr = (field: number): number => 64 + field;
    expect(read(whole)).to.not.equal(undefined);
    for (const [what, bytes] of [
      ['empty', Buffer.alloc(0)],
      ['header only', whole.subarray(0, 64)],
      ['cut off', whole.subarray(0, 5000)],
      ['32-bit', patched((b) => b.writeUInt8(1, 4))],
      ['another machine', patched((b) => b.writeUInt16LE(183, 18))],
      ['an object file', patched((b) => b.writeUInt16LE(1, 16))],
      ['no program headers', patched((b) => b.writeUInt16LE(0, 56))],
      ['too many program headers', patched((b) => b.writeUInt16LE(65_535, 56))],
      ['other program headers', patched((b) => b.writeUInt16LE(32, 54))],
      ['program headers beyond the end', patched((b) => b.writeBigUInt64LE(2n ** 63n, 32))],
      ['file bytes beyond the end', patched((b) => b.writeBigUInt64LE(2n ** 62n, phdr(32)))],
      ['more in the file than in memory', patched((b) => b.writeBigUInt64LE(1n, phdr(40)))],
      ['a crooked offset', patched((b) => b.writeBigUInt64LE(1n, phdr(8)))],
      ['an address near the top', patched((b) => b.writeBigUInt64LE(2n ** 64n - 4096n, phdr(16)))],
      ['a terabyte of memory', patched((b) => b.writeBigUInt64LE(2n ** 40n, phdr(40)))],
    ] as const) {
      expect(read(bytes), what).to.equal(undefined);
    }

    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let i = 0; i < 500; i++) {
      const object = read(
        patched((b) => {
          for (let n = 0; n < 1 + random(8); n++) b.writeUInt8(random(256), random(700));
        }),
      );
      if (object === undefined) continue;
      expect(object.spanBytes).to.be.within(1, 2 ** 30);
      let end = 0;
      for (const { fileOffset, spanOffset, bytes } of object.segments) {
        expect(spanOffset).to.be.at.least(end);
        expect(fileOffset + bytes).to.be.at.most(whole.length);
        end = spanOffset + bytes;
      }
      expect(end).to.be.at.most(object.spanBytes);
    }
  });
});

function readElfFile(path: string): ReturnType<typeof readElf> {
  const bytes = fs.readFileSync(path);
  return readElf(bytes.length, (offset, length) => bytes.subarray(offset, offset + length));
}

/** Inode numbers are what the kernel shows, and what dump.erofs calls NID. */
function nidOf({ fd }: RootfsImage, name: string): number {
  const words = [`--path=/${name}`, `/proc/${process.pid}/fd/${fd}`];
  const output = execFileSync('dump.erofs', words, { encoding: 'utf8' });
  return Number(/NID: (\d+)/.exec(output)?.[1]);
}
