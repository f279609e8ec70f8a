import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import {
  type Device,
  decodeManifestNote,
  encodeManifestNote,
  type Manifest,
  manifestJson,
  parseManifestJson,
} from './manifest.ts';

const ENTRY_BYTES = 104;
/** Padding, version and count come first. */
const entryAt = (i: number): number => 4 + 8 + i * ENTRY_BYTES;
const manifest = (...devices: Device[]): Manifest => ({ version: 1, devices });
const two = manifest({ name: 'disk', type: 'BLOCK_BASIC' }, { name: 'net0', type: 'NET_BASIC' });

function expectInvalid(work: () => unknown, message: string | RegExp): void {
  try {
    work();
  } catch (error) {
    expect(error).to.be.instanceOf(RunncError);
    expect((error as RunncError).code).to.equal('INVALID');
    expect((error as RunncError).message).to.match(
      typeof message === 'string' ? new RegExp(message.replace(/[.[\]()]/g, '\\$&')) : message,
    );
    expect((error as RunncError).message).not.to.include('\n');
    return;
  }
  throw new Error('was accepted');
}

describe('a manifest note', () => {
  it('is laid out as Solo5 has it', () => {
    const note = Buffer.from(encodeManifestNote(two));
    expect(note.length).to.equal(entryAt(3));
    expect([0, 4, 8].map((at) => note.readUInt32LE(at))).to.deep.equal([0, 1, 3]);
    expect(note.readUInt32LE(entryAt(0) + 68)).to.equal(0x40000000);
    expect(note.toString('latin1', entryAt(1), entryAt(1) + 5)).to.equal('disk\0');
    expect(note.readUInt32LE(entryAt(1) + 68)).to.equal(1);
    expect(note.toString('latin1', entryAt(2), entryAt(2) + 5)).to.equal('net0\0');
    expect(note.readUInt32LE(entryAt(2) + 68)).to.equal(2);
    const rest = note.subarray(entryAt(2) + 72, entryAt(3));
    expect(rest.every((byte) => byte === 0)).to.equal(true);
  });

  it('comes back as it went, with no device, two, and 63 of the longest names', () => {
    const most = Array.from({ length: 63 }, (_, i): Device => ({
      name: String(i).padStart(67, 'x'),
      type: i % 3 === 0 ? 'NET_BASIC' : 'BLOCK_BASIC',
    }));
    for (const each of [manifest(), two, manifest(...most)]) {
      expect(decodeManifestNote(encodeManifestNote(each), 'x')).to.deep.equal(each);
    }
  });

  /** The two-device note with something written into it. */
  const damaged = (damage: (note: Buffer) => void): Buffer => {
    const note = Buffer.from(encodeManifestNote(two));
    damage(note);
    return note;
  };

  const wrong: readonly [string, Buffer, string][] = [
    ['is empty', Buffer.alloc(0), 'truncated (0 bytes)'],
    ['has no room for a count', Buffer.alloc(11), 'truncated (11 bytes)'],
    ['is of another version', damaged((note) => note.writeUInt32LE(2, 4)), 'version 2 is not supported'],
    ['has no entry', damaged((note) => note.writeUInt32LE(0, 8)), '0 entries, expected 1 to 64'],
    ['has 65 entries', damaged((note) => note.writeUInt32LE(65, 8)), '65 entries'],
    ['counts more than it has', damaged((note) => note.writeUInt32LE(4, 8)), '320 bytes for 4 entries'],
    ['counts less than it has', damaged((note) => note.writeUInt32LE(2, 8)), '320 bytes for 2 entries'],
    ['claims 2^32-1 entries', damaged((note) => note.writeUInt32LE(0xffffffff, 8)), '4294967295 entries'],
    ['ends within an entry', Buffer.from(encodeManifestNote(two).subarray(0, -1)), '319 bytes for 3 entries'],
    [
      'has a device in the reserved place',
      damaged((note) => note.writeUInt32LE(1, entryAt(0) + 68)),
      'entry 0 is not the reserved one',
    ],
    [
      'names the reserved entry',
      damaged((note) => note.write('x', entryAt(0))),
      'entry 0 is not the reserved one',
    ],
    [
      'has a second reserved entry',
      damaged((note) => note.writeUInt32LE(0x40000000, entryAt(1) + 68)),
      'entry 1: unknown device type 1073741824',
    ],
    [
      'has a name without an end',
      damaged((note) => note.fill('a', entryAt(1), entryAt(1) + 68)),
      'entry 1: name is not terminated',
    ],
    [
      'has an empty name',
      damaged((note) => note.fill(0, entryAt(2), entryAt(2) + 68)),
      'entry 2: name "" is empty',
    ],
    [
      'has a name that would break out of a command line',
      damaged((note) => note.write('a=b\n\0', entryAt(1))),
      'entry 1: name "a=b\\n" may hold only ASCII letters and digits',
    ],
    [
      'has two devices of one name',
      damaged((note) => note.write('disk\0', entryAt(2))),
      'entry 2: device disk is declared twice',
    ],
    [
      'has an unknown type',
      damaged((note) => note.writeUInt32LE(3, entryAt(1) + 68)),
      'entry 1: unknown device type 3',
    ],
    [
      'says that a device is attached',
      damaged((note) => note.writeUInt8(1, entryAt(1) + 96)),
      'entry 1: marked as attached',
    ],
  ];
  for (const [what, note, message] of wrong) {
    it(`is refused when it ${what}`, () => {
      expectInvalid(
        () => decodeManifestNote(note, 'file'),
        `file: Solo5 manifest note: ${message}`.replace(/\\/g, '\\\\'),
      );
    });
  }
});

describe('manifest.json', () => {
  it('is read and written', () => {
    expect(parseManifestJson(JSON.stringify(manifestJson(two)), 'x')).to.deep.equal(two);
  });

  it('may not smuggle in a field by its prototype', () => {
    expectInvalid(
      () =>
        parseManifestJson('{"__proto__": {"type": "solo5.manifest"}, "version": 1, "devices": []}', 'm.json'),
      'm.json: top level: unknown field "__proto__"',
    );
  });

  it('names the field and shortens what it shows of it', () => {
    expectInvalid(
      () => parseManifestJson(JSON.stringify({ ...manifestJson(two), type: 'x'.repeat(100_000) }), 'm.json'),
      /^m\.json: type: must be "solo5\.manifest", found "x{76}\.\.\.$/,
    );
    expectInvalid(
      () => parseManifestJson('{"type":"solo5.manifest","version":1,"devices":[null]}', 'm.json'),
      'm.json: devices[0]: must be an object, found null',
    );
    expectInvalid(
      () => parseManifestJson('{"type":"solo5.manifest","version":1,"devices":[{"name":"a"}]}', 'm.json'),
      'm.json: devices[0]: field "type" is missing',
    );
    expectInvalid(
      () => parseManifestJson('{"type":"solo5.manifest","version":"1","devices":[]}', 'm.json'),
      'm.json: version: must be 1, found "1"',
    );
  });
});
