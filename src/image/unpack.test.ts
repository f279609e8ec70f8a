import { expect } from 'chai';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { inPieces, makeTar, type TestEntry } from '../../test/support/tar.ts';
import { decompress } from './decompress.ts';
import type { TarLimits } from './tar.ts';
import { Unpacker } from './unpack.ts';

const isRoot = process.geteuid?.() === 0;

describe('unpacking layers', () => {
  let folder: string;
  let root: string;
  let outside: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-unpack-'));
    root = join(folder, 'root');
    mkdirSync(root);
    outside = join(folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'victim'), 'untouched');
  });
  afterEach(() => {
    expect(readdirSync(outside)).to.deep.equal(['victim']);
    expect(readFileSync(join(outside, 'victim'), 'utf8')).to.equal('untouched');
    rmSync(folder, { recursive: true });
  });

  async function unpack(layers: readonly (readonly TestEntry[])[], limits?: TarLimits): Promise<string[]> {
    const warnings: string[] = [];
    const unpacker = new Unpacker(root, {
      onWarning: (line) => warnings.push(line),
      ...(limits === undefined ? {} : { limits }),
    });
    try {
      for (const [i, entries] of layers.entries()) {
        await unpacker.layer(inPieces(await makeTar(entries), 777), `layer ${String(i)}`);
      }
      unpacker.finish();
    } finally {
      unpacker.close();
    }
    return warnings;
  }

  async function failure(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('did not fail');
  }

  const file = (name: string, content = name): TestEntry => ({ name, content, mode: 0o644 });
  const dir = (name: string, mode = 0o755): TestEntry => ({ name, type: 'directory', mode });
  const link = (name: string, linkname: string): TestEntry => ({ name, type: 'symlink', linkname });
  const hard = (name: string, linkname: string): TestEntry => ({ name, type: 'link', linkname });

  it('gives files, folders and links what the layer says of them', async () => {
    await unpack([
      [
        dir('./', 0o751),
        dir('a', 0o500),
        { ...file('a/tool'), mode: 0o4755 },
        hard('a/same', 'a/tool'),
        link('a/link', '/nowhere'),
        { ...file('a/owned'), uid: 12, gid: 34 },
        { name: 'a/pipe', type: 'fifo', mode: 0o600 },
        file(`deep/${'x'.repeat(120)}/${'y'.repeat(200)}`, 'long'),
        file('empty', ''),
      ],
    ]);
    const stat = (path: string) => lstatSync(join(root, path));
    expect(stat('.').mode & 0o7777).to.equal(0o751);
    expect(stat('a').mode & 0o7777).to.equal(0o500);
    expect(stat('a').mtimeMs).to.equal(Date.parse('2026-01-02T03:04:05Z'));
    expect(stat('a/tool').mode & 0o7777).to.equal(0o4755);
    expect(stat('a/same').ino).to.equal(stat('a/tool').ino);
    expect(readlinkSync(join(root, 'a/link'))).to.equal('/nowhere');
    expect(stat('a/link').mtimeMs).to.equal(Date.parse('2026-01-02T03:04:05Z'));
    expect(stat('a/pipe').isFIFO()).to.equal(true);
    expect(readFileSync(join(root, `deep/${'x'.repeat(120)}/${'y'.repeat(200)}`), 'utf8')).to.equal('long');
    if (isRoot) expect([stat('a/owned').uid, stat('a/owned').gid]).to.deep.equal([12, 34]);
  });

  it('keeps names that are not UTF-8', async () => {
    const tar = await makeTar([file('nXme')]);
    tar[1] = 0xe9;
    let sum = 256;
    tar.subarray(0, 512).forEach((byte, i) => (sum += i < 148 || i > 155 ? byte : 0));
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    const unpacker = new Unpacker(root);
    await unpacker.layer(inPieces(tar), 'layer');
    unpacker.close();
    expect(readdirSync(root, { encoding: 'buffer' })[0]).to.deep.equal(Buffer.from('n\xe9me', 'latin1'));
  });

  it('lays layers over each other: whiteouts, opaque folders, files for folders and back', async () => {
    await unpack([
      [
        file('gone'),
        file('dir/old'),
        file('dir/kept'),
        file('opaque/old'),
        file('opaque/sub/old'),
        file('was-dir/in'),
        file('was-file'),
        link('was-link', 'dir'),
      ],
      [
        file('.wh.gone', ''),
        file('dir/.wh.old', ''),
        // Also when its own entries come first.
        file('opaque/sub/new'),
        file('opaque/.wh..wh..opq', ''),
        file('opaque/new'),
        file('was-dir', 'now a file'),
        dir('was-file'),
        file('was-file/in'),
        dir('was-link'),
        file('was-link/in'),
        file('.wh.nothing', ''),
        file('.wh..wh.plnk', ''),
      ],
    ]);
    const tree = (readdirSync(root, { recursive: true }) as string[]).sort();
    expect(tree).to.deep.equal([
      ...['dir', 'dir/kept', 'opaque', 'opaque/new', 'opaque/sub', 'opaque/sub/new'],
      ...['was-dir', 'was-file', 'was-file/in', 'was-link', 'was-link/in'],
    ]);
  });

  it('does not let a whiteout hide what its own layer has', async () => {
    await unpack([[file('x/old')], [file('x/new'), file('.wh.x', '')]]);
    expect(readdirSync(join(root, 'x'))).to.deep.equal(['new']);
  });

  it('follows links of the image inside the image', async () => {
    await unpack([
      [dir('usr/lib'), link('lib', '/usr/lib'), link('up', '../../..')],
      [file('lib/a'), file('up/b')],
    ]);
    expect(readFileSync(join(root, 'usr/lib/a'), 'utf8')).to.equal('lib/a');
    expect(readFileSync(join(root, 'b'), 'utf8')).to.equal('up/b');
  });

  it('makes a folder whose parent is a link to nowhere', async () => {
    await unpack([[link('dangling', '/not/there')], [file('dangling/in')]]);
    expect(readFileSync(join(root, 'dangling/in'), 'utf8')).to.equal('dangling/in');
  });

  it('makes devices, or says that it cannot', async () => {
    const warnings = await unpack([
      [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 }, file('after')],
    ]);
    if (existsSync(join(root, 'null'))) expect(lstatSync(join(root, 'null')).rdev).to.equal(0x103);
    else expect(warnings).to.deep.equal(['device files are left out: only root can make them']);
    expect(existsSync(join(root, 'after'))).to.equal(true);
  });

  describe('refuses in one line', () => {
    const hostile: readonly (readonly [string, readonly TestEntry[], string | RegExp])[] = [
      ['a name that climbs', [file('../outside/victim')], 'entry "../outside/victim" climbs by ".."'],
      ['a name that climbs inside', [file('a/../../outside/victim')], 'climbs by ".."'],
      ['an absolute name', [file('/etc/passwd')], 'has an absolute name'],
      ['a hard link out of the tree', [hard('a', '../outside/victim')], 'hard link whose target climbs'],
      [
        'a hard link to an absolute name',
        [hard('a', '/etc/passwd')],
        'hard link whose target has an absolute',
      ],
      ['a hard link to nothing', [hard('a', 'b')], 'is a hard link to "b", which is not there'],
      ['a hard link to a folder', [dir('d'), hard('a', 'd')], 'is a hard link to "d"'],
      ['a circle of links', [link('a', 'b'), link('b', 'a'), file('a/x')], 'circle of links'],
      ['a whiteout of ".."', [file('.wh...')], 'is a whiteout of nothing'],
      ['a whiteout of nothing', [file('.wh.')], 'is a whiteout of nothing'],
      ['the root as a file', [file('.')], 'is the root, but no folder'],
      ['a symbolic link without a target', [link('a', '')], 'without a usable target'],
      ['too long a name', [file('x'.repeat(256))], 'more than 255 bytes'],
      ['too deep a path', [file('a/'.repeat(600) + 'b')], 'nested deeper'],
      ['an owner that is no id', [{ ...file('a'), pax: { uid: '99999999999' } }], 'no user id'],
    ];
    for (const [what, entries, message] of hostile) {
      it(what, async () => {
        const text = await failure(unpack([entries]));
        expect(text)
          .to.match(/^layer 0: /)
          .and.contain(message);
        expect(text).not.to.contain('\n');
      });
    }

    it('what is written through a link that leads out', async () => {
      // Inside the root, "/…/outside" is a folder of the image.
      await unpack([[link('door', outside), file('door/victim', 'changed')]]);
      await unpack([[link('door2', `${outside}/victim`), file('door2', 'changed')]]);
      await unpack([[link('door3', '../outside'), dir('door3/x'), file('.wh.door3', '')]]);
      expect(readFileSync(join(root, 'door2'), 'utf8')).to.equal('changed');
    });

    it('more entries and more bytes than allowed, whatever the layer', async () => {
      const limits = { maxEntries: 3, maxBytes: 10 };
      expect(
        await failure(
          unpack(
            [
              [file('a'), file('b')],
              [file('c'), file('d')],
            ],
            limits,
          ),
        ),
      ).to.contain('more than 1 entries');
      expect(await failure(unpack([[file('a', '123456')], [file('b', '12345')]], limits))).to.contain(
        'unpacks to more than 4 bytes',
      );
    });

    it('what is no archive, and a truncated one', async () => {
      const tar = await makeTar([file('a', 'x'.repeat(5000))]);
      for (const data of [Buffer.from('x'.repeat(2000)), tar.subarray(0, 3000)]) {
        const unpacker = new Unpacker(root);
        expect(await failure(unpacker.layer(inPieces(data), 'layer'))).to.match(
          /^layer: is no tar archive or a damaged one/,
        );
        unpacker.close();
        rmSync(join(root, 'a'), { force: true });
      }
    });

    it('headers that want a lot of memory', async () => {
      const tar = await makeTar([file('a'.repeat(150))]);
      // The size of the pax header.
      tar.write('77777777777\0', 124, 'latin1');
      let sum = 256;
      tar.subarray(0, 512).forEach((byte, i) => (sum += i < 148 || i > 155 ? byte : 0));
      tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
      const unpacker = new Unpacker(root);
      expect(await failure(unpacker.layer(inPieces(tar), 'layer'))).to.contain('damaged');
      unpacker.close();
    });

    it('a source that fails, with its own words', async () => {
      const tar = await makeTar([file('a', 'x'.repeat(50_000))]);
      async function* broken(): AsyncGenerator<Buffer> {
        yield* inPieces(tar.subarray(0, 20_000));
        throw new Error('the line is dead');
      }
      const unpacker = new Unpacker(root);
      expect(await failure(unpacker.layer(broken(), 'layer'))).to.contain('the line is dead');
      unpacker.close();
    });
  });

  describe('decompression', () => {
    async function read(data: Buffer): Promise<Buffer> {
      const chunks: Uint8Array[] = [];
      for await (const chunk of decompress(inPieces(data, 3), 'layer')) chunks.push(chunk);
      return Buffer.concat(chunks);
    }

    it('is chosen by the first bytes', async () => {
      const text = Buffer.from('hello '.repeat(1000));
      expect(await read(gzipSync(text))).to.deep.equal(text);
      expect(await read(Buffer.concat([gzipSync(text), gzipSync(text)]))).to.have.length(2 * text.length);
      expect(await read(text)).to.deep.equal(text);
      expect(await read(Buffer.alloc(0))).to.have.length(0);
      expect(await read(Buffer.from('x'))).to.have.length(1);
    });

    it('says what is wrong with the data', async () => {
      const data = gzipSync('hello '.repeat(1000));
      expect(await failure(read(data.subarray(0, 20)))).to.match(/^layer: damaged gzip data/);
      data.writeUInt32LE(7, data.length - 8);
      expect(await failure(read(data))).to.match(/^layer: damaged gzip data/);
      expect(await failure(read(Buffer.from('BZh91AY')))).to.contain('bzip2 compression is not supported');
    });

    it('hands on what the source throws', async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield* inPieces(gzipSync('hello'.repeat(1000)).subarray(0, 20));
        throw new Error('the line is dead');
      }
      const reading = (async () => {
        for await (const chunk of decompress(broken(), 'layer')) void chunk;
      })();
      expect(await failure(reading)).to.equal('the line is dead');
    });
  });
});
