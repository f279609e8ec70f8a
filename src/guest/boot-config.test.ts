import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import { networkRecords } from './boot-config-network.ts';
import { addRecords, type BootConfig, decodeBootConfig, encodeBootConfig } from './boot-config.ts';
import { IPV4, IPV6, type GuestInterface } from '../network/guest-network.ts';

const MINIMAL: BootConfig = {
  args: ['/bin/sh', '-c', 'true'],
  env: ['PATH=/bin'],
  cwd: '/',
  exe: '/bin/sh',
  credentials: {
    uid: 1000,
    gid: 100,
    umask: 0o27,
    groups: [4, 24],
    capEffective: 0n,
    capPermitted: 1n << 40n,
    capInheritable: 0n,
    capBounding: 0xa80425fbn,
    capAmbient: 0n,
  },
  hostname: 'box',
  rlimits: [{ resource: 7, soft: 1024n, hard: 2n ** 64n - 1n }],
  memoryBytes: 512n * 2n ** 20n,
  mounts: [],
  sysctl: {},
  strace: false,
  rootReadonly: false,
  noNewPrivileges: true,
};

function record(config: BootConfig, type: number): Buffer[] {
  return decodeBootConfig(encodeBootConfig(config))
    .filter((found) => found.type === type)
    .map(({ data }) => Buffer.from(data));
}

describe('the boot config', () => {
  it('begins with magic, version, count and size, and is made of 8-byte units', () => {
    const bytes = Buffer.from(encodeBootConfig(MINIMAL));
    expect(bytes.subarray(0, 8).toString('latin1')).to.equal('RUNNCBCF');
    expect(bytes.readUInt32LE(8)).to.equal(2);
    expect(bytes.readUInt32LE(12)).to.equal(decodeBootConfig(bytes).length);
    expect(bytes.readBigUInt64LE(16)).to.equal(BigInt(bytes.length));
    expect(bytes.length % 8).to.equal(0);
  });

  it('keeps arguments in order, terminated, of any bytes but NUL', () => {
    const args = record({ ...MINIMAL, args: ['ä', '', 'x y'] }, 1);
    expect(args.map((data) => data.toString('utf8'))).to.deep.equal(['ä\0', '\0', 'x y\0']);
  });

  it('lays credentials out as struct runnc_rec_creds', () => {
    const [creds] = record(MINIMAL, 5);
    expect(creds).to.have.length(16 + 40 + 8);
    expect([0, 4, 8, 12].map((at) => creds?.readUInt32LE(at))).to.deep.equal([1000, 100, 0o27, 2]);
    expect(creds?.readBigUInt64LE(24)).to.equal(1n << 40n);
    expect([56, 60].map((at) => creds?.readUInt32LE(at))).to.deep.equal([4, 24]);
  });

  it('says "no limit" with all bits', () => {
    const [limit] = record(MINIMAL, 8);
    expect(limit?.readUInt32LE(0)).to.equal(7);
    expect(limit?.readBigUInt64LE(16)).to.equal(2n ** 64n - 1n);
  });

  it('says how ready the program is to be killed for memory, if config.json does', () => {
    expect(record(MINIMAL, 21)).to.deep.equal([]);
    const [adjustment] = record({ ...MINIMAL, oomScoreAdj: -998 }, 21);
    expect(adjustment?.readInt32LE(0)).to.equal(-998);
  });

  it('carries a file with its path before its content', () => {
    const content = Buffer.from('127.0.0.1 localhost\n');
    const file = { path: '/etc/hosts', mode: 0o644, uid: 0, gid: 0, readonly: true, mtimeNs: -1n, content };
    const [data] = record({ ...MINIMAL, mounts: [file] }, 10);
    expect(data?.readInt32LE(12)).to.equal(1);
    expect(data?.readBigInt64LE(16)).to.equal(-1n);
    expect(data?.readUInt32LE(24)).to.equal('/etc/hosts'.length + 1);
    expect(data?.subarray(32).toString()).to.equal(`/etc/hosts\0${content.toString()}`);
  });

  it('carries each kind of layer entry', () => {
    const common = { mode: 0o755, uid: 1, gid: 2, mtimeNs: 3n };
    const path = Buffer.from('/x');
    const entries = record(
      {
        ...MINIMAL,
        layer: [
          { type: 'symlink', path, target: Buffer.from('/proc/mounts'), ...common },
          { type: 'folder', path, opaque: true, ...common },
          { type: 'char', path, major: 1, minor: 3, ...common },
          { type: 'whiteout', path, ...common },
        ],
      },
      15,
    );
    expect(entries.map((data) => data.readUInt32LE(0))).to.deep.equal([3, 2, 4, 9]);
    expect(entries[0]?.subarray(48).toString()).to.equal('/x\0/proc/mounts\0');
    expect(entries.map((data) => data.readUInt32LE(32))).to.deep.equal([0, 1, 0, 0]);
    expect([24, 28].map((at) => entries[2]?.readUInt32LE(at))).to.deep.equal([1, 3]);
  });

  it('sets a flag for each option that is on', () => {
    const [flags] = record({ ...MINIMAL, strace: true, rootReadonly: true }, 13);
    expect(flags?.readUInt32LE(0)).to.equal(7);
  });

  describe('with a network added', () => {
    const mac = Buffer.of(2, 0, 0, 0, 0, 9);
    const gateway = {
      family: IPV6,
      address: Buffer.from('fe80000000000000000000000000000a', 'hex'),
    } as const;
    const eth: GuestInterface = {
      name: 'eth0',
      index: 7,
      mtu: 1400,
      mac,
      addresses: [
        {
          family: IPV4,
          address: Buffer.of(10, 0, 0, 2),
          prefixLength: 32,
          peer: Buffer.of(10, 0, 0, 1),
          scope: 253,
          flags: 0x80,
        },
      ],
      routes: [
        {
          family: IPV4,
          destination: Buffer.alloc(4),
          prefixLength: 0,
          gateway,
          onlink: true,
          scope: 0,
          metric: 100,
          mtu: 1300,
          protocol: 3,
        },
      ],
      neighbours: [{ family: IPV4, address: Buffer.of(10, 0, 0, 1), mac }],
    };
    const bytes = addRecords(encodeBootConfig(MINIMAL), networkRecords([{ ...eth, index: 2 }, eth]));
    const records = decodeBootConfig(bytes).map(({ type, data }) => ({ type, data: Buffer.from(data) }));
    const added = records.filter(({ type }) => type >= 16);

    it('counts its records and their bytes', () => {
      expect(Buffer.from(bytes).readUInt32LE(12)).to.equal(records.length);
      expect(Buffer.from(bytes).readBigUInt64LE(16)).to.equal(BigInt(bytes.length));
      expect(added.map(({ type }) => type)).to.deep.equal([16, 17, 18, 19, 16, 17, 18, 19]);
      expect(added.map(({ data }) => data.readUInt32LE(0))).to.deep.equal([0, 0, 0, 0, 1, 1, 1, 1]);
    });

    it('lays each record out as its struct', () => {
      const [device, address, route, neighbour] = added.slice(4).map(({ data }) => data.toString('hex', 4));
      expect(device).to.equal(
        `07000000780500000200000000090000${Buffer.from('eth0').toString('hex')}${'0'.repeat(24)}`,
      );
      const zeros = '0'.repeat(24);
      expect(address).to.equal(`0220fd00800000000a000002${zeros}0a000001${zeros}00000000`);
      expect(route).to.equal(
        `0200000a05000000640000001405000003000000${'0'.repeat(32)}fe80${'0'.repeat(24)}000a${'0'.repeat(32)}`,
      );
      expect(neighbour).to.equal(`02020000000009${'0'.repeat(10)}0a000001${zeros}`);
    });
  });

  it('refuses a NUL in a string, saying where', () => {
    expect(() => encodeBootConfig({ ...MINIMAL, env: ['A=b\0c'] })).to.throw(
      RunncError,
      /environment variable/,
    );
    expect(() => encodeBootConfig({ ...MINIMAL, hostname: 'a\0' })).to.throw(RunncError, /host name/);
  });

  it('is recognised as cut off when read back', () => {
    const bytes = encodeBootConfig(MINIMAL);
    expect(() => decodeBootConfig(bytes.subarray(0, bytes.length - 9))).to.throw(RunncError, /cut off/);
    expect(() => decodeBootConfig(bytes.subarray(0, 20))).to.throw(RunncError, /not a boot config/);
  });
});
