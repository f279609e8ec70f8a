/** What the boot config puts over the image before the program starts: layers, mounts, files. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { BootConfig, BootMount } from '../../src/guest/boot-config.ts';
import type { LayerEntry } from '../../src/rootfs/rootfs-image.ts';
import { MOUNTS, Tree, type Outcome } from './guest.ts';

const MTIME = 1_234_567_890n;

type Attribute = 'path' | 'mode' | 'uid' | 'gid' | 'mtimeNs';
type WithoutAttributes<E> = E extends LayerEntry ? Omit<E, Attribute> : never;
type Kind = WithoutAttributes<LayerEntry>;

function entry(path: string, kind: Kind, mode = 0o644, uid = 0): LayerEntry {
  const attributes = { path: Buffer.from(path), mode, uid, gid: uid, mtimeNs: MTIME * 1_000_000_000n };
  return { ...attributes, ...kind } as LayerEntry;
}

describe('the boot config of the Linux guest', function () {
  this.timeout(60_000);
  let base: Tree;

  /** Without its programs a tree is /top alone. */
  function makeTree(fill: (top: string) => void): Tree {
    const tree = new Tree();
    for (const folder of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc', 'run', 'var', 'top']) {
      fs.mkdirSync(join(tree.folder, folder));
    }
    fs.copyFileSync('/bin/busybox', join(tree.folder, 'bin/busybox'));
    fs.symlinkSync('/run', join(tree.folder, 'var/run'));
    fill(join(tree.folder, 'top'));
    execFileSync('find', [join(tree.folder, 'top'), '-exec', 'touch', '-h', '-d', `@${MTIME}`, '{}', '+']);
    return tree;
  }

  before(() => {
    base = makeTree((top) => {
      for (const folder of ['kept', 'gone', 'opaque', 'moded']) {
        fs.mkdirSync(join(top, folder, 'sub'), { recursive: true });
        fs.writeFileSync(join(top, folder, 'sub/file'), 'of the image');
      }
      for (const file of ['same', 'replaced', 'removed', 'becomes-folder'])
        fs.writeFileSync(join(top, file), 'image');
      fs.symlinkSync('same', join(top, 'link'));
    });
  });
  after(() => base.remove());

  function busybox(args: readonly string[], config: Partial<BootConfig> = {}): Promise<Outcome> {
    return base.guest(['/bin/busybox', ...args], { config });
  }

  it("puts the container's own layers over the image as an overlay would", async () => {
    const expected = makeTree((top) => {
      fs.mkdirSync(join(top, 'kept/sub'), { recursive: true });
      fs.writeFileSync(join(top, 'kept/sub/file'), 'of the image');
      fs.writeFileSync(join(top, 'kept/new'), 'new');
      fs.mkdirSync(join(top, 'opaque'));
      fs.writeFileSync(join(top, 'opaque/own'), 'own');
      fs.mkdirSync(join(top, 'moded/sub'), { recursive: true });
      fs.writeFileSync(join(top, 'moded/sub/file'), 'of the image');
      fs.chmodSync(join(top, 'moded'), 0o700);
      fs.chownSync(join(top, 'moded'), 5, 5);
      fs.writeFileSync(join(top, 'same'), 'image');
      fs.writeFileSync(join(top, 'replaced'), 'layer', { mode: 0o600 });
      fs.chmodSync(join(top, 'replaced'), 0o4755);
      fs.linkSync(join(top, 'replaced'), join(top, 'hard'));
      fs.mkdirSync(join(top, 'becomes-folder'));
      fs.symlinkSync('replaced', join(top, 'link'));
      execFileSync('mkfifo', ['-m', '600', join(top, 'fifo')]);
    });
    const layer: readonly LayerEntry[] = [
      entry('/top', { type: 'folder', opaque: false }, 0o755),
      entry('/top/kept', { type: 'folder', opaque: false }, 0o755),
      entry('/top/kept/new', { type: 'file', content: Buffer.from('new') }),
      entry('/top/gone', { type: 'whiteout' }),
      entry('/top/removed', { type: 'whiteout' }),
      entry('/top/never-was', { type: 'whiteout' }),
      entry('/top/opaque', { type: 'folder', opaque: true }, 0o755),
      entry('/top/opaque/own', { type: 'file', content: Buffer.from('own') }),
      entry('/top/moded', { type: 'folder', opaque: false }, 0o700, 5),
      entry('/top/replaced', { type: 'file', content: Buffer.from('layer') }, 0o4755),
      entry('/top/hard', { type: 'hardlink', to: Buffer.from('/top/replaced') }),
      entry('/top/becomes-folder', { type: 'folder', opaque: false }, 0o755),
      entry('/top/link', { type: 'symlink', target: Buffer.from('replaced') }, 0o777),
      entry('/top/fifo', { type: 'fifo' }, 0o600),
    ];
    const sorted = (outcome: Outcome): readonly string[] => outcome.stdout.split('\n').sort();
    for (const args of [
      ['find', '/top', '-type', 'f', '-print'],
      [
        'stat',
        '-c',
        '%n %f %u %g %h %Y',
        '/top/kept',
        '/top/moded',
        '/top/replaced',
        '/top/hard',
        '/top/link',
        '/top/fifo',
      ],
      ['find', '/top', '!', '-type', 'd', '-newermt', '2009-02-13 23:31:31'],
      ['grep', '-r', '', '/top/kept', '/top/opaque', '/top/moded', '/top/replaced', '/top/hard', '/top/same'],
      ['ls', '-1aR', '/top'],
    ]) {
      const native = await expected.native(['/bin/busybox', ...args]);
      const guest = await busybox(args, { layer });
      // Link counts of folders are the file system's affair.
      const strip = (lines: readonly string[]): readonly string[] =>
        lines.map((line) => line.replace(/^(\S+ 4\S* \d+ \d+) \d+/, '$1'));
      expect(strip(sorted(guest)), guest.stderr).to.deep.equal(strip(sorted(native)));
    }
    expected.remove();
  });

  it('mounts what config.json names, makes missing places, and follows links inside the root', async () => {
    const mounts: readonly BootMount[] = [
      ...MOUNTS,
      {
        type: 'tmpfs',
        target: '/var/run/made/here',
        options: ['size=1m', 'mode=700', 'noexec'],
        readonly: false,
      },
      { type: 'tmpfs', target: '/top/kept', options: [], readonly: true },
    ];
    const said = (await busybox(['cat', '/proc/mounts'], { mounts })).stdout.split('\n');
    expect(said[0]).to.equal('overlay / overlay rw,relatime 0 0');
    expect(said).to.include('proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0');
    expect(said).to.include('tmpfs /run/made/here tmpfs rw,noexec,relatime 0 0');
    expect(said).to.include('tmpfs /top/kept tmpfs ro,relatime 0 0');
    expect((await busybox(['ls', '-A', '/top/kept'], { mounts })).stdout).to.equal('');
    const written = await busybox(['touch', '/top/kept/x'], { mounts });
    expect(written.stderr).to.contain('Read-only file system');
  });

  it('keeps a tmpfs within its size', async () => {
    const mounts: readonly BootMount[] = [
      ...MOUNTS,
      { type: 'tmpfs', target: '/small', options: ['size=64k'], readonly: false },
    ];
    const { stderr, status } = await busybox(['dd', 'if=/dev/zero', 'of=/small/f', 'bs=4096', 'count=100'], {
      mounts,
    });
    expect(stderr)
      .to.contain('No space left on device')
      .and.match(/1[67]\+0 records/);
    expect(status).to.equal(1);
  });

  it('lays files over the root that can be written unless they are read-only', async () => {
    const file = { mode: 0o644, uid: 0, gid: 0, mtime: 1000, content: Buffer.from('hosts\n') };
    const files = [
      { ...file, path: '/etc/hosts', readonly: false },
      { ...file, path: '/etc/made/resolv.conf', readonly: true },
    ];
    const config: Partial<BootConfig> = { files, rootReadonly: true };
    expect((await busybox(['cat', '/etc/hosts', '/etc/made/resolv.conf'], config)).stdout).to.equal(
      'hosts\nhosts\n',
    );
    const dd = ['dd', 'if=/dev/zero', 'bs=1', 'count=1'];
    expect((await busybox([...dd, 'of=/etc/hosts'], config)).status).to.equal(0);
    expect((await busybox([...dd, 'of=/etc/made/resolv.conf'], config)).stderr).to.contain(
      'Read-only file system',
    );
    expect((await busybox([...dd, 'of=/etc/other'], config)).stderr).to.contain('Read-only file system');
    expect((await busybox(['rm', '/etc/hosts'], { files })).stderr).to.contain('busy');
  });

  it('shows settings of config.json in /proc/sys', async () => {
    const sysctl = { 'net.core.somaxconn': '77' };
    const said = await busybox(['cat', '/proc/sys/net/core/somaxconn', '/proc/sys/kernel/hostname'], {
      sysctl,
    });
    expect(said.stdout).to.equal('77\nguest\n');
  });

  it('says in one line what mount it cannot make', async () => {
    const of = (mount: Partial<BootMount>): BootMount => ({
      ...{ type: 'tmpfs', target: '/x', options: [], readonly: false },
      ...mount,
    });
    for (const [mount, line] of [
      [of({ type: 'nfs' }), /^linux: mount of type nfs is not known to the Linux guest: .*\n$/],
      [of({ target: '/top/same' }), /^linux: mount \/top\/same: cannot be put there .*\n$/],
      [of({ target: '/top/same/below' }), /^linux: mount \/top\/same\/below: cannot be put there .*\n$/],
    ] as const) {
      const { status, stdout, stderr } = await busybox(['true'], { mounts: [mount] });
      expect(stderr).to.match(line);
      expect({ status, stdout }).to.deep.equal({ status: 126, stdout: '' });
    }
  });
});
