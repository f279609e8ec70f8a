import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import type { User } from '../oci/spec.ts';
import { resolveUser } from './accounts.ts';
import type { Guest } from './guest.ts';
import { checkLinuxHost, linuxGuest } from './linux.ts';

describe('the host of a Linux guest', () => {
  it('has an x86-64 processor and Linux 5.11 or later', () => {
    for (const release of ['5.11.0', '5.15.0-91-generic', '6.1.0-18-amd64', '10.0'])
      expect(() => {
        checkLinuxHost('x64', release);
      }).not.to.throw();
  });

  it('is refused in one line otherwise', () => {
    for (const [arch, release, text] of [
      ['arm64', '6.1.0', 'x86-64 hosts only'],
      ['x64', '5.10.0-8-amd64', 'need Linux 5.11 or later on the host, and this one is 5.10.0-8-amd64'],
      ['x64', '4.19.0', 'need Linux 5.11'],
    ] as const)
      expect(() => {
        checkLinuxHost(arch, release);
      }).to.throw(RunncError, text);
  });
});

describe('a Linux guest', () => {
  let folder: string;
  let rootfsFd: number;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-accounts-'));
    mkdirSync(join(folder, 'etc'));
    writeFileSync(
      join(folder, 'etc/passwd'),
      'root:x:0:0::/root:\nbroken\n7:x:1000:1001::/home/7:\nbob:x:8:9::\n',
    );
    writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nstaff:x:50:bob,7\n8:x:51:\n');
    rootfsFd = openSync(folder, 'r');
  });
  after(() => {
    closeSync(rootfsFd);
    rmSync(folder, { recursive: true });
  });

  const guest = (annotations: Record<string, string>): Guest =>
    linuxGuest({
      spec: {
        ociVersion: '1.0.2',
        root: { path: '/' },
        process: { cwd: '/', args: ['/x', 'y'] },
        annotations,
      },
      rootfsFd,
      path: '/x',
      mounts: [],
      delta: [],
      memoryBytes: 1,
      strace: false,
    });

  it('may change its own memory, but not under the strict profile', () => {
    expect(guest({}).allowedExtras).to.include('memctl');
    expect(guest({ 'io.runnc.profile': 'strict' }).allowedExtras).not.to.include('memctl');
  });

  it('does not guess what an annotation means', () => {
    expect(() => guest({ 'io.runnc.profile': '' })).to.throw(RunncError, 'annotations[io.runnc.profile]');
    expect(() => guest({ 'io.runnc.strace': 'yes' })).to.throw(RunncError, 'annotations[io.runnc.strace]');
  });

  const user = (given: User): unknown => resolveUser(given, rootfsFd);

  it('runs as the ids that are given, with the home the image has for them', () => {
    expect(user({ uid: 1000, gid: 5, additionalGids: [6], username: 'bob' })).to.deep.equal({
      uid: 1000,
      gid: 5,
      groups: [6],
      home: '/home/7',
    });
    expect(user({})).to.deep.include({ uid: 0, gid: 0, home: '/root' });
  });

  it('finds names before numbers in the files of the image', () => {
    expect(user({ username: '7' })).to.deep.equal({ uid: 1000, gid: 1001, groups: [50], home: '/home/7' });
    expect(user({ username: 'bob:8' })).to.deep.equal({ uid: 8, gid: 51, groups: [], home: '/' });
    expect(user({ username: '123:456' })).to.deep.include({ uid: 123, gid: 456 });
    expect(() => user({ username: 'eve' })).to.throw(RunncError, 'no user "eve"');
    expect(() => user({ username: 'bob:eve' })).to.throw(RunncError, 'no group "eve"');
  });
});
