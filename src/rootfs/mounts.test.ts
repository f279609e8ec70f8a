import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mount } from '../oci/spec.ts';
import { type GuestMount, type MountedFile, resolveMounts, unusedBySolo5 } from './mounts.ts';

describe('the mounts of config.json', () => {
  let bundle: string;
  const at = (name: string): string => join(bundle, name);
  const resolve = (...mounts: Mount[]): GuestMount[] => resolveMounts(mounts, { bundle, binds: 'packed' });
  const resolveLinux = (...mounts: Mount[]): GuestMount[] =>
    resolveMounts(mounts, { bundle, binds: 'served' });
  const resolveFiles = (...mounts: Mount[]): MountedFile[] =>
    resolve(...mounts).filter((mount) => mount.kind === 'file');
  const bind = (source: string, destination: string, ...options: string[]): Mount => ({
    type: 'bind',
    source,
    destination,
    options: ['rbind', ...options],
  });

  before(() => {
    bundle = mkdtempSync(join(tmpdir(), 'runnc-mounts-'));
    mkdirSync(at('folder'));
    writeFileSync(at('hosts'), '127.0.0.1 localhost\n');
    chmodSync(at('hosts'), 0o4640);
    utimesSync(at('hosts'), 1, 1.5);
    symlinkSync('hosts', at('link'));
    execFileSync('mkfifo', [at('fifo')]);
  });
  after(() => rmSync(bundle, { recursive: true }));

  it('that a guest provides itself are facts, in order and with their options', () => {
    const facts = resolve(
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'ro'] },
      { destination: '/dev/shm/', type: 'tmpfs', options: ['size=64m'] },
      { destination: 'sys', type: 'sysfs' },
    );
    expect(facts).to.deep.equal([
      { kind: 'fact', type: 'proc', target: '/proc', options: ['nosuid', 'ro'], readonly: true },
      { kind: 'fact', type: 'tmpfs', target: '/dev/shm', options: ['size=64m'], readonly: false },
      { kind: 'fact', type: 'sysfs', target: '/sys', options: [], readonly: false },
    ]);
  });

  it('of files are read, with owner, mode and time; links in the source are followed', () => {
    const files = resolveFiles(bind(at('hosts'), '/etc/hosts'), bind('link', '/etc/./copy', 'ro'));
    expect(files.map(({ readonly }) => readonly)).to.deep.equal([false, true]);
    const [first, second] = files;
    expect(first?.file).to.deep.include({ type: 'file', mode: 0o4640, mtimeNs: 1_500_000_000n });
    expect(first?.file.path.toString()).to.equal('/etc/hosts');
    expect(second?.file.path.toString()).to.equal('/etc/copy');
    expect(second?.file.content.toString()).to.equal('127.0.0.1 localhost\n');
  });

  it('of files have the owners that the container sees', () => {
    const ids = [{ containerID: 5, hostID: 0, size: 100_000 }];
    const [file] = resolveMounts([bind(at('hosts'), '/x')], {
      bundle,
      binds: 'packed',
      uidMappings: ids,
      gidMappings: ids,
    });
    expect(file?.kind === 'file' ? file.file.uid : undefined).to.equal((process.geteuid?.() ?? 0) + 5);
  });

  it('of a Linux guest are served, but for the files that engines mount into every container', () => {
    const mounts = resolveLinux(
      bind(at('folder'), '/data', 'rw', 'rslave'),
      bind(at('hosts'), '/etc/hosts'),
      { ...bind(at('hosts'), '/etc/other'), options: ['bind', 'ro'] },
    );
    expect(mounts.map(({ kind }) => kind)).to.deep.equal(['served', 'file', 'served']);
    expect(mounts[0]).to.deep.equal({
      kind: 'served',
      target: '/data',
      source: at('folder'),
      options: ['rbind', 'rw', 'rslave'],
      readonly: false,
      recursive: true,
      where: 'config.json mounts[0] (/data)',
    });
    expect(mounts[2]).to.include({ target: '/etc/other', readonly: true, recursive: false });
  });

  it('of a Linux guest that asks for images are packed where they are read-only folders', () => {
    const mounts = [bind(at('folder'), '/a', 'ro'), bind(at('folder'), '/b'), bind(at('hosts'), '/c', 'ro')];
    const kinds = resolveMounts(mounts, { bundle, binds: 'images' }).map(({ kind }) => kind);
    expect(kinds).to.deep.equal(['folder', 'served', 'served']);
  });

  for (const [what, mount, message] of [
    ['shared propagation', { options: ['rbind', 'rshared'] }, /option "rshared": what a guest mounts cannot/],
    ['ids of its own', { options: ['rbind', 'idmap'] }, /ids of one mount alone cannot be mapped/],
    [
      'id mappings of its own',
      { uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }] },
      /ids of one mount alone cannot be mapped/,
    ],
  ] as const) {
    it(`of a Linux guest with ${what} are refused in one line`, () => {
      expect(() => resolveLinux({ ...bind(at('folder'), '/data'), ...mount })).to.throw(message);
    });
  }

  it('of folders are kept apart if read-only, and refused for a unikernel if not', () => {
    const [folder] = resolve(bind(at('folder'), '/data/', 'ro', 'nosuid'));
    expect(folder).to.deep.equal({
      kind: 'folder',
      target: '/data',
      source: at('folder'),
      options: ['rbind', 'ro', 'nosuid'],
      recursive: true,
      where: 'config.json mounts[0] (/data/)',
    });
    const [bare] = resolve({ ...bind(at('folder'), '/data'), options: ['bind', 'rw', 'ro'] });
    expect(bare).to.include({ kind: 'folder', recursive: false });
    expect(() => resolve(bind(at('folder'), '/', 'ro'))).to.throw(/nothing can be mounted over the root$/);
    for (const options of [[], ['ro', 'rw']]) {
      expect(() => resolve(bind(at('folder'), '/data', ...options))).to.throw(
        /mounts\[0\] \(\/data\): a unikernel cannot write to a folder of the host: add the option "ro"/,
      );
    }
  });

  it('of the host’s kernel file systems become the guest’s own', () => {
    const facts = resolve(
      bind('/proc', '/proc'),
      bind('/sys', '/sys', 'ro'),
      bind(at('folder'), '/dev/shm'),
      bind('/dev', '/dev'),
      { destination: '/ram', type: 'ramfs' },
    ).filter((mount) => mount.kind === 'fact');
    expect(facts.map(({ type, target, readonly }) => [type, target, readonly])).to.deep.equal([
      ['proc', '/proc', false],
      ['sysfs', '/sys', true],
      ['tmpfs', '/dev/shm', false],
      ['tmpfs', '/dev', false],
      ['tmpfs', '/ram', false],
    ]);
  });

  for (const [what, mount, message] of [
    [
      'a source that is not there',
      bind('/nowhere', '/x'),
      /^config\.json mounts\[0\] \(\/x\): the source \/nowhere does not exist$/,
    ],
    ['no source', { destination: '/x', type: 'bind' }, /needs a source/],
    ['a destination with ".."', { destination: '/a/../b', type: 'proc' }, /must not contain "\.\."/],
    [
      'a file system that guests do not have',
      { destination: '/x', type: 'ext4', source: '/dev/sda' },
      /of type "ext4"$/,
    ],
    ['a device', bind('/dev/null', '/x'), /\/dev\/null is a device: only files and folders can be mounted/],
  ] as const) {
    it(`with ${what} are refused in one line`, () => {
      expect(() => resolve(mount)).to.throw(message);
    });
  }

  it('of fifos are refused without waiting for a writer', () => {
    expect(() => resolve(bind(at('fifo'), '/x'))).to.throw(/fifo is a fifo/);
  });

  it('of files too large for guest memory are refused with the size', () => {
    writeFileSync(at('large'), '');
    truncateSync(at('large'), 65 * 2 ** 20);
    expect(() => resolve(bind(at('large'), '/x', 'ro'))).to.throw(
      /has 68157440 bytes; a mounted file may have 67108864/,
    );
  });

  it('that a Solo5 guest cannot take are named, but not the facts and what engines mount by themselves', () => {
    const mounts = resolve(
      { destination: '/proc', type: 'proc' },
      bind(at('hosts'), '/etc/hosts'),
      bind(at('hosts'), '/etc/secret'),
      bind(at('folder'), '/data', 'ro'),
    );
    expect(unusedBySolo5(mounts)).to.deep.equal([
      "mount on /etc/secret is left out: a Solo5 guest has no file system of the host's",
      "mount on /data is left out: a Solo5 guest has no file system of the host's, but it can have the folder as a block device",
    ]);
    expect(unusedBySolo5(mounts, ['/data'])).to.have.length(1);
  });
});
