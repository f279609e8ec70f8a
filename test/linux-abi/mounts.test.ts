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
  this.timeout(120_000);
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

  describe('mounts images of folders', () => {
    let source: Tree;
    let image: string;

    before(() => {
      source = makeTree((top) => {
        fs.mkdirSync(join(top, 'sub'));
        fs.writeFileSync(join(top, 'sub/file'), 'of the folder');
        fs.copyFileSync('/bin/busybox', join(top, 'busybox'));
        fs.writeFileSync(join(top, 'data'), Buffer.alloc(100_000, 'data '));
      });
      image = join(source.folder, '../folder.erofs');
      execFileSync('mkfs.erofs', ['--quiet', image, join(source.folder, 'top')], { stdio: 'ignore' });
    });
    after(() => source.remove());

    const folder = (target: string, ...options: string[]): BootMount => ({
      ...{ type: 'erofs', target, options, readonly: true, image: 0 },
    });
    const tmpfs = (target: string): BootMount => ({ type: 'tmpfs', target, options: [], readonly: true });

    function withImage(args: readonly string[], mounts: BootConfig['mounts'], count = 1): Promise<Outcome> {
      const images = Array.from({ length: count }, () => `--image=${image}`);
      const config = { mounts: [...MOUNTS, ...mounts] };
      return base.guest(['/bin/busybox', ...args], { config, tender: images });
    }

    it('over folders that are there, hiding what is in them, and at places that are not there', async () => {
      const mounts = [folder('/top/kept'), folder('/made/at/once')];
      const said = await withImage(['find', '/top/kept', '/made', '-type', 'f'], mounts);
      expect(said.stdout.trim().split('\n').sort()).to.deep.equal(
        ['/made/at/once', '/top/kept'].flatMap((at) => [`${at}/busybox`, `${at}/data`, `${at}/sub/file`]),
      );
      expect((await withImage(['cat', '/made/at/once/sub/file'], mounts)).stdout).to.equal('of the folder');
      const { stdout } = await withImage(['md5sum', '/top/kept/data'], mounts);
      const native = execFileSync('md5sum', [join(source.folder, 'top/data')], { encoding: 'utf8' });
      expect(stdout.slice(0, 32)).to.equal(native.slice(0, 32));
    });

    it('read-only, with the options of the mount', async () => {
      const mounts = [folder('/top/kept', 'rbind', 'ro', 'nosuid', 'noexec')];
      for (const args of [
        ['touch', '/top/kept/new'],
        ['touch', '/top/kept/data'],
        ['rm', '/top/kept/data'],
        ['mv', '/top/kept/sub', '/top/kept/other'],
      ])
        expect((await withImage(args, mounts)).stderr, args[0]).to.contain('Read-only file system');
      const lines = (await withImage(['cat', '/proc/mounts'], mounts)).stdout.split('\n');
      expect(lines).to.include('erofs /top/kept erofs ro,nosuid,noexec,relatime 0 0');
      const run = ['env', '/top/kept/busybox', 'echo', 'ran'];
      expect((await withImage(run, mounts)).stderr).to.contain('Permission denied');
      // Its inode number may be that of a program in the rootfs: the companion is not asked for it.
      expect((await withImage(run, [folder('/top/kept')])).stdout).to.equal('ran\n');
    });

    it('in the order of config.json, one in the other', async () => {
      const file = {
        path: '/a/made/hosts',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtimeNs: 1_000_000_000_001n,
        readonly: true,
      };
      const nested = [
        folder('/a'),
        folder('/a/sub'),
        tmpfs('/a/made'),
        { ...file, content: Buffer.from('hosts') },
        { ...folder('/a/made/deep/er'), image: 1 },
      ];
      const said = await withImage(['find', '/a', '-type', 'f'], nested, 2);
      expect(said.stdout.trim().split('\n').sort()).to.deep.equal([
        '/a/busybox',
        '/a/data',
        '/a/made/deep/er/busybox',
        '/a/made/deep/er/data',
        '/a/made/deep/er/sub/file',
        '/a/made/hosts',
        '/a/sub/busybox',
        '/a/sub/data',
        '/a/sub/sub/file',
      ]);
      const covered = await withImage(['find', '/a'], [folder('/a'), folder('/a/sub'), tmpfs('/a')]);
      expect(covered.stdout).to.equal('/a\n');
      const { stderr } = await withImage(['touch', '/a/made/x'], nested, 2);
      expect(stderr).to.contain('Read-only file system');
    });

    it('where links of the rootfs lead, which is never out of it', async () => {
      const tree = makeTree((top) => {
        fs.symlinkSync('../../../../../../top/real', join(top, 'up'));
        fs.symlinkSync('loop', join(top, 'loop'));
        fs.symlinkSync('/nowhere', join(top, 'dangling'));
        fs.symlinkSync('/proc/self/root/top/real', join(top, 'magic'));
        fs.mkdirSync(join(top, 'real'));
      });
      const run = (target: string): Promise<Outcome> =>
        tree.guest(['/bin/busybox', 'ls', '/top/real'], {
          config: { mounts: [folder(target), ...MOUNTS] },
          tender: [`--image=${image}`],
        });
      expect((await run('/top/up')).stdout).to.equal('busybox\ndata\nsub\n');
      const looping = await run('/top/loop/x');
      expect(looping.stderr).to.match(
        /^linux: mount \/top\/loop\/x: cannot be put there \(error 40\): .*\n$/,
      );
      expect(looping.status).to.equal(126);
      expect((await run('/top/dangling')).stderr).to.match(/^linux: mount \/top\/dangling: cannot be .*\n$/);
      // There is no /proc yet, so that link leads nowhere; its target is made as any other missing place.
      const magic = await run('/top/magic');
      expect(magic.stdout).to.equal('');
      tree.remove();
    });

    it('and says in one line what is wrong with one', async () => {
      for (const [mount, line] of [
        [{ ...folder('/a'), image: 1 }, /^linux: mount \/a: there is no image 2\n$/],
        [folder('/top/same'), /^linux: mount \/top\/same: cannot be put there \(error 20\): .*\n$/],
      ] as const)
        expect((await withImage(['true'], [mount])).stderr).to.match(line);
      const broken = join(source.folder, '../broken');
      fs.writeFileSync(broken, Buffer.alloc(8192));
      const { stderr } = await base.guest(['/bin/busybox', 'true'], {
        config: { mounts: [folder('/a')] },
        tender: [`--image=${broken}`],
      });
      expect(stderr).to.match(/^linux: mount \/a: its image cannot be mounted \(error 22\)\n$/);
    });
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
    const file = {
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtimeNs: 1_000_000_000_001n,
      content: Buffer.from('hosts\n'),
    };
    const files = [
      { ...file, path: '/etc/hosts', readonly: false },
      { ...file, path: '/etc/made/resolv.conf', readonly: true },
    ];
    const config: Partial<BootConfig> = { mounts: [...MOUNTS, ...files], rootReadonly: true };
    expect((await busybox(['cat', '/etc/hosts', '/etc/made/resolv.conf'], config)).stdout).to.equal(
      'hosts\nhosts\n',
    );
    const dd = ['dd', 'if=/dev/zero', 'bs=1', 'count=1'];
    expect((await busybox([...dd, 'of=/etc/hosts'], config)).status).to.equal(0);
    expect((await busybox([...dd, 'of=/etc/made/resolv.conf'], config)).stderr).to.contain(
      'Read-only file system',
    );
    expect((await busybox([...dd, 'of=/etc/other'], config)).stderr).to.contain('Read-only file system');
    expect((await busybox(['rm', '/etc/hosts'], { mounts: files })).stderr).to.contain('busy');
  });

  it('gives files of mounts and of layers their times to the nanosecond, before the epoch too', async () => {
    const file = { mode: 0o644, uid: 0, gid: 0, content: Buffer.from('x'), readonly: true };
    const changed = entry('/etc/changed', { type: 'file', content: Buffer.from('x') });
    const config: Partial<BootConfig> = {
      mounts: [
        ...MOUNTS,
        { ...file, path: '/etc/mounted', mtimeNs: 1_234_567_890_123_456_789n },
        { ...file, path: '/etc/early', mtimeNs: -1n },
      ],
      layer: [
        { ...changed, mtimeNs: 1_234_567_890_987_654_321n },
        { ...changed, path: Buffer.from('/etc/before'), mtimeNs: -1_000_000_001n },
      ],
    };
    const paths = ['mounted', 'early', 'changed', 'before'].map((name) => `/etc/${name}`);
    const { stdout } = await busybox(['stat', '-c', '%y', ...paths], config);
    expect(stdout.trim().split('\n')).to.deep.equal([
      '2009-02-13 23:31:30.123456789 +0000',
      '1969-12-31 23:59:59.999999999 +0000',
      '2009-02-13 23:31:30.987654321 +0000',
      '1969-12-31 23:59:58.999999999 +0000',
    ]);
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
