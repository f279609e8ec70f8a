/** The manifest in the kernel file is hostile too. */
import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '../unikernels/guest.ts';
import {
  abiNote,
  block,
  type Entry,
  manifest,
  manifestNote,
  net,
  RESERVED,
  u32,
  writeKernel,
} from './kernel-file.ts';
import { expectRefusal, tender } from './test-guest.ts';

describe('the tender reading a manifest', () => {
  const folder = scratchFolder();
  const path = join(folder, 'kernel.spt');
  const disk = join(folder, 'disk');
  before(() => writeFileSync(disk, Buffer.alloc(4096)));

  const run = (content: Buffer, ...options: string[]): ReturnType<typeof tender> =>
    tender(['--mem=2', ...options, writeKernel(path, { notes: [abiNote(), manifestNote(content)] })]);
  const devices = (...entries: Entry[]): Buffer => manifest([RESERVED, ...entries]);
  const numbered = (count: number): Entry[] => Array.from({ length: count }, (_, i) => block(`disk${i}`));

  it('attaches 63 devices', () => {
    const files = numbered(63).map(({ name }) => {
      const file = join(folder, name.toString());
      writeFileSync(file, Buffer.alloc(512));
      return `--block:${name}=${file}`;
    });
    expect(run(devices(...numbered(63)), ...files).end).to.equal(0);
  });

  const refused: readonly [string, Buffer, string][] = [
    ['64 devices', devices(...numbered(64)), 'has a descriptor of 6772 bytes'],
    ['a count of 64 devices', manifest([RESERVED], 1, 65), '65 entries; 1 to 64'],
    ['a count that its size contradicts', manifest([RESERVED], 1, 2), 'where 2 entries take 216'],
    ['no entries', manifest([]), '0 entries'],
    ['another version', manifest([RESERVED], 2), 'version 2 is not 1'],
    ['less than a header', u32(1), 'only 4 bytes'],
    ['no reserved first entry', manifest([block('disk')]), 'the first entry is not the reserved one'],
    ['a reserved entry with a name', manifest([{ ...RESERVED, name: 'x' }]), 'the first entry is not'],
    [
      'a second reserved entry',
      devices({ ...RESERVED, name: 'again' }),
      "'again' is of unknown type 0x40000000",
    ],
    ['an unknown type', devices({ name: 'gpu', type: 3 }), "device 'gpu' is of unknown type 0x3"],
    ['an empty name', devices(block('')), 'the name of device 1 is not 1 to 67 letters and digits'],
    ['a name without end', devices(block('a'.repeat(68))), 'the name of device 1 is not'],
    ['a name with other characters', devices(block('disk'), block('a=b')), 'the name of device 2 is not'],
    ['a name with control characters', devices(block('\u001b[2J')), 'the name of device 1 is not'],
    ['a name that is not ASCII', devices(block('größe')), 'the name of device 1 is not'],
    ['a name twice', devices(block('same'), net('same')), "device 'same' is declared twice"],
    [
      'a device that claims to be attached',
      devices({ ...block('disk'), attached: 1 }),
      'to be attached already',
    ],
  ];
  for (const [what, content, message] of refused)
    it(`refuses ${what}`, () => {
      expectRefusal(run(content), message);
    });

  it('refuses to run with a device missing, and says how to attach it', () => {
    expectRefusal(
      run(devices(block('disk'))),
      "device 'disk' of type BLOCK_BASIC is declared but not attached; give --block:disk=",
    );
    expectRefusal(
      run(devices(net('eth'))),
      "device 'eth' of type NET_BASIC is declared but not attached; give --net:",
    );
  });

  it('refuses a device that is not declared, or of another type', () => {
    expectRefusal(run(devices(), `--block:disk=${disk}`), "declares no device 'disk' of type BLOCK_BASIC");
    expectRefusal(
      run(devices(block('disk')), '--net:disk=tap0'),
      "declares no device 'disk' of type NET_BASIC",
    );
    expectRefusal(run(devices(block('disk')), '--block-sector-size:dis=512'), "declares no device 'dis'");
    expectRefusal(run(devices(), '--net-mac:eth=02:00:00:00:00:01'), "declares no device 'eth'");
  });

  it('refuses to attach a device twice', () => {
    const again = `--block:disk=${disk}`;
    expectRefusal(run(devices(block('disk')), again, again), "block device 'disk' is attached twice");
  });

  it('refuses a device option without a name or a value', () => {
    expectRefusal(run(devices(block('disk')), `--block:=${disk}`), 'expected --block:NAME=VALUE');
    expectRefusal(run(devices(block('disk')), '--block:disk'), 'expected --block:NAME=VALUE');
    expectRefusal(run(devices(block('disk')), '--block:disk='), 'expected a path or @FD, got nothing');
  });
});
