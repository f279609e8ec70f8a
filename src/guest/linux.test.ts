import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import type { Process } from '../oci/spec.ts';
import { decodeBootConfig } from './boot-config.ts';
import type { Guest } from './guest.ts';
import { checkLinuxHost, linuxGuest } from './linux.ts';

const ENV = 2;
const CREDS = 5;
const RLIMIT = 8;
const TTY = 12;
const FLAGS = 13;

describe('the Linux guest', () => {
  let rootfs: string;
  let rootfsFd: number;

  before(() => {
    rootfs = mkdtempSync(join(tmpdir(), 'runnc-linux-guest-'));
    mkdirSync(join(rootfs, 'etc'));
    writeFileSync(
      join(rootfs, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:34:web:/srv/www:/bin/sh\n',
    );
    writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nweb:x:34:\nlogs:x:40:adm,web\n');
    rootfsFd = openSync(rootfs, 'r');
  });

  after(() => {
    closeSync(rootfsFd);
    rmSync(rootfs, { recursive: true });
  });

  function guestOf(process: Partial<Process>, annotations: Record<string, string> = {}): Guest {
    const spec: RunnableSpec = {
      ociVersion: '1.2.0',
      process: { cwd: '/', args: ['/bin/app'], ...process } as RunnableSpec['process'],
      root: { path: 'rootfs' },
      annotations,
    };
    return linuxGuest({
      spec,
      rootfsFd,
      path: '/bin/app',
      facts: [],
      files: [],
      delta: [],
      memoryBytes: 2 ** 28,
      strace: false,
    });
  }

  function records(guest: Guest, type: number): Buffer[] {
    return decodeBootConfig(guest.bootConfig ?? new Uint8Array())
      .filter((record) => record.type === type)
      .map(({ data }) => Buffer.from(data));
  }

  function ids(guest: Guest): { uid?: number | undefined; gid?: number | undefined; groups: number[] } {
    const [creds = Buffer.alloc(0)] = records(guest, CREDS);
    const count = creds.readUInt32LE(12);
    const groups = Array.from({ length: count }, (_, i) => creds.readUInt32LE(56 + 4 * i));
    return { uid: creds.readUInt32LE(0), gid: creds.readUInt32LE(4), groups };
  }

  it('runs our own kernel with every extra it needs, memory control included', () => {
    const guest = guestOf({});
    expect(guest.kernel).to.deep.equal({ type: 'asset', name: 'linux.spt' });
    expect(guest.allowedExtras).to.include.members(['sud', 'boot-config', 'rootfs-map', 'memctl']);
  });

  it('gives up memory control under the strict profile, and knows no other', () => {
    expect(guestOf({}, { 'io.runnc.profile': 'strict' }).allowedExtras).not.to.include('memctl');
    expect(() => guestOf({}, { 'io.runnc.profile': 'lax' })).to.throw(RunncError, /io\.runnc\.profile.*lax/);
  });

  it('takes ids as they are, and HOME from the image unless it is set', () => {
    const guest = guestOf({ user: { uid: 33, gid: 7, additionalGids: [5] } });
    expect(ids(guest)).to.deep.equal({ uid: 33, gid: 7, groups: [5] });
    expect(records(guest, ENV).map(String)).to.deep.equal(['HOME=/srv/www\0']);
    expect(records(guestOf({ env: ['HOME=/x'] }), ENV).map(String)).to.deep.equal(['HOME=/x\0']);
  });

  it("resolves a user's name in the image, with the groups it is in", () => {
    expect(ids(guestOf({ user: { username: 'web' } }))).to.deep.equal({ uid: 33, gid: 34, groups: [40] });
    expect(ids(guestOf({ user: { username: 'web:logs' } }))).to.deep.equal({ uid: 33, gid: 40, groups: [] });
    expect(ids(guestOf({ user: { username: '1234:99' } }))).to.deep.equal({ uid: 1234, gid: 99, groups: [] });
    expect(() => guestOf({ user: { username: 'nobody-here' } })).to.throw(RunncError, /nobody-here/);
  });

  it('never follows a link out of the rootfs', () => {
    rmSync(join(rootfs, 'etc/group'));
    symlinkSync('/etc/group', join(rootfs, 'etc/group'));
    expect(ids(guestOf({ user: { username: 'web' } })).groups).to.deep.equal([]);
  });

  it('turns names of capabilities into bits', () => {
    const [creds] = records(guestOf({ capabilities: { effective: ['CAP_CHOWN', 'CAP_SETFCAP'] } }), CREDS);
    expect(creds?.readBigUInt64LE(16)).to.equal((1n << 31n) | 1n);
  });

  it('keeps "no limit" whichever way JSON has it', () => {
    const rlimits = [
      { type: 'RLIMIT_NOFILE', soft: 1024, hard: 2 ** 64 },
      { type: 'RLIMIT_CORE', soft: 0, hard: -1 },
    ];
    const limits = records(guestOf({ rlimits }), RLIMIT);
    expect(
      limits.map((data) => [data.readUInt32LE(0), data.readBigUInt64LE(8), data.readBigUInt64LE(16)]),
    ).to.deep.equal([
      [7, 1024n, 2n ** 64n - 1n],
      [4, 0n, 2n ** 64n - 1n],
    ]);
  });

  it('says what terminal there is, and whether calls are to be printed', () => {
    expect(records(guestOf({}), TTY)).to.be.empty;
    const [tty] = records(guestOf({ terminal: true, consoleSize: { height: 50, width: 132 } }), TTY);
    expect([tty?.readUInt16LE(0), tty?.readUInt16LE(2)]).to.deep.equal([50, 132]);
    const [flags] = records(guestOf({ noNewPrivileges: true }, { 'io.runnc.strace': 'true' }), FLAGS);
    expect(flags?.readUInt32LE(0)).to.equal(5);
    expect(() => guestOf({}, { 'io.runnc.strace': 'maybe' })).to.throw(
      RunncError,
      /expected "true" or "false"/,
    );
  });

  it('says at create which hosts cannot run it', () => {
    expect(() => checkLinuxHost('x64', '5.11.0-1-amd64')).not.to.throw();
    expect(() => checkLinuxHost('x64', '6.18.0')).not.to.throw();
    expect(() => checkLinuxHost('x64', '5.10.0-30-amd64')).to.throw(
      RunncError,
      /Linux 5\.11 or later.*5\.10/,
    );
    expect(() => checkLinuxHost('x64', '4.19.0')).to.throw(RunncError, /4\.19/);
    expect(() => checkLinuxHost('arm64', '6.1.0')).to.throw(RunncError, /x86-64.*arm64/);
  });
});
