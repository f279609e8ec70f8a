import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import type { Solo5Inspection } from './inspect.ts';
import type { Device, Manifest } from './manifest.ts';
import { matchNetDevices, solo5Guest, type Solo5GuestInput } from './solo5.ts';

const manifest = (...devices: Device[]): Manifest => ({ version: 1, devices });
const net = (name: string): Device => ({ name, type: 'NET_BASIC' });
const disk: Device = { name: 'disk', type: 'BLOCK_BASIC' };

const inspection: Solo5Inspection = {
  kind: 'solo5',
  abi: { target: 'spt', version: 2 },
  manifest: manifest(disk, net('service')),
  entry: 0x100000n,
  segments: [],
};
const input: Solo5GuestInput = {
  fd: 7,
  path: '/app.spt',
  inspection,
  args: ['--ipv4=10.0.0.2/24'],
  annotations: {},
};

function expectError(work: () => unknown, code: string, message: RegExp): void {
  expect(work).to.throw(RunncError, message).with.property('code', code);
}

describe('a Solo5 guest', () => {
  it('has the kernel, its manifest and its arguments as they are, and no extras', () => {
    expect(solo5Guest(input)).to.deep.equal({
      kind: 'solo5',
      kernel: { type: 'descriptor', fd: 7, path: '/app.spt' },
      manifest: inspection.manifest,
      args: ['--ipv4=10.0.0.2/24'],
      allowedExtras: [],
    });
  });

  it('takes urunc’s command line if the container gives no arguments, and only then', () => {
    const annotations = { 'com.urunc.unikernel.cmdline': '  --hello=x   -v ' };
    expect(solo5Guest({ ...input, args: [], annotations }).args).to.deep.equal(['--hello=x', '-v']);
    expect(solo5Guest({ ...input, annotations }).args).to.deep.equal(input.args);
  });

  it('is refused if no spt tender could run it', () => {
    const refuse = (changes: Partial<Solo5Inspection>, message: RegExp): void => {
      expectError(
        () => solo5Guest({ ...input, inspection: { ...inspection, ...changes } }),
        'EXEC_DENIED',
        message,
      );
    };
    refuse(
      { abi: { target: 'hvt', version: 2 } },
      /^exec: "\/app\.spt": exec format error: .*Solo5's hvt tender.*built for spt/,
    );
    refuse({ abi: { target: 'spt', version: 3 } }, /version 3 of the spt ABI/);
    const { kind, abi, entry, segments } = inspection;
    const bare = { kind, abi, entry, segments };
    expectError(() => solo5Guest({ ...input, inspection: bare }), 'EXEC_DENIED', /without a manifest/);
    expectError(
      () => solo5Guest({ ...input, inspection: { kind: 'not-elf' } }),
      'EXEC_DENIED',
      /not a Solo5 unikernel/,
    );
  });

  it('may want extras but not need them: an image cannot widen its own filter', () => {
    const wants = { ...inspection, extras: { needed: [], wanted: ['memctl'] } } as const;
    expect(solo5Guest({ ...input, inspection: wants }).allowedExtras).to.deep.equal([]);
    const needs = { ...inspection, extras: { needed: ['sud', 'exec-heap'], wanted: [] } } as const;
    expectError(() => solo5Guest({ ...input, inspection: needs }), 'EXEC_DENIED', /needs sud, exec-heap/);
  });

  it('is refused arguments that the ABI cannot carry', () => {
    const longest = ['ü'.repeat(4000), 'x'.repeat(190)];
    expect(solo5Guest({ ...input, args: longest }).args).to.deep.equal(longest);
    expectError(
      () => solo5Guest({ ...input, args: [...longest, ''] }),
      'INVALID',
      /8192 bytes .* at most 8191/,
    );
    expectError(
      () => solo5Guest({ ...input, args: ['a', 'b\0'] }),
      'INVALID',
      /process\.args\[2\]: contains a NUL/,
    );
  });
});

describe('network devices of a Solo5 guest', () => {
  it('are none, or one whatever its name', () => {
    expect(matchNetDevices(manifest(disk), {})).to.deep.equal([]);
    expect(matchNetDevices(manifest(disk, net('whatever')), {})).to.deep.equal([{ device: 'whatever' }]);
    expect(matchNetDevices(manifest(net('a')), { 'io.runnc.net.a': 'eth1', other: 'x' })).to.deep.equal([
      { device: 'a', interface: 'eth1' },
    ]);
  });

  it('are several by annotation, in the manifest’s order', () => {
    const annotations = { 'io.runnc.net.right': 'eth0', 'io.runnc.net.left': 'eth1' };
    expect(matchNetDevices(manifest(net('left'), net('right')), annotations)).to.deep.equal([
      { device: 'left', interface: 'eth1' },
      { device: 'right', interface: 'eth0' },
    ]);
  });

  const refused: readonly [string, Manifest, Record<string, string>, RegExp][] = [
    [
      'are refused when it is not said which is which',
      manifest(net('left'), net('right')),
      { 'io.runnc.net.left': 'eth0' },
      /network devices left, right: say which interface right is joined to by annotation \(io\.runnc\.net\.right=eth0\)/,
    ],
    [
      'are refused an interface for two',
      manifest(net('left'), net('right')),
      { 'io.runnc.net.left': 'eth0', 'io.runnc.net.right': 'eth0' },
      /io\.runnc\.net\.right=eth0: left is joined to that interface already/,
    ],
    [
      'are refused an annotation without a device',
      manifest(disk),
      { 'io.runnc.net.a': 'eth0' },
      /declares no network device/,
    ],
    [
      'are refused an annotation of another device',
      manifest(net('b'), disk),
      { 'io.runnc.net.disk': 'eth0' },
      /declares b, not "disk"/,
    ],
    [
      'are refused an annotation without a name',
      manifest(net('b')),
      { 'io.runnc.net.': 'eth0' },
      /declares b, not ""/,
    ],
    ...['', 'a/b', '..', 'with space', 'sixteencharacter', 'a:1', 'a\0'].map(
      (name): [string, Manifest, Record<string, string>, RegExp] => [
        `are refused the interface ${JSON.stringify(name)}`,
        manifest(net('b')),
        { 'io.runnc.net.b': name },
        /not the name of a network interface/,
      ],
    ),
  ];
  for (const [what, declared, annotations, message] of refused) {
    it(what, () => {
      expectError(() => matchNetDevices(declared, annotations), 'INVALID', message);
    });
  }
});
