import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Cache } from '../../src/rootfs/cache.ts';
import type { LayerEntry, OpenRootfsOptions, RootfsImage } from '../../src/rootfs/rootfs-image.ts';
import { openRootfsImage } from '../../src/rootfs/open.ts';
import { closeImage, describeTree, isRoot, scratchFolder, withImage } from './fixture.ts';
import { OverlayStore } from './overlay-store.ts';

/** overlayfs has link counts of its own for folders, and keeps those of the layer for files. */
const described = { times: 'seconds', links: false } as const;

describe('a rootfs that Docker mounts', function () {
  const scratch = scratchFolder();
  let store: OverlayStore;
  let image: string[];
  let options: Omit<OpenRootfsOptions, 'rootfs'>;
  let count = 0;

  beforeEach(function () {
    if (!isRoot) this.skip();
    const folder = join(scratch, `store-${count++}`);
    store = new OverlayStore(folder);
    const bottom = store.layer((layer) => {
      for (const name of ['etc', 'bin', 'opaque', 'replaced', 'gone']) fs.mkdirSync(join(layer, name));
      for (const name of ['etc/passwd', 'etc/removed', 'bin/sh', 'opaque/old', 'replaced/old', 'gone/x']) {
        fs.writeFileSync(join(layer, name), name);
      }
      fs.linkSync(join(layer, 'bin/sh'), join(layer, 'bin/ash'));
    });
    const top = store.layer((layer) => {
      for (const name of ['etc', 'opaque']) fs.mkdirSync(join(layer, name));
      for (const name of ['etc/added', 'opaque/new', 'replaced'])
        fs.writeFileSync(join(layer, name), `top ${name}`);
      execFileSync('mknod', [join(layer, 'etc/removed'), 'c', '0', '0']);
      execFileSync('mknod', [join(layer, 'gone'), 'c', '0', '0']);
      setXattr(join(layer, 'opaque'), 'trusted.overlay.opaque', 'y');
    });
    image = [top, bottom];
    options = { format: 'erofs', cacheDir: join(folder, 'cache') };
  });
  afterEach(() => store.unmount());

  const open = (rootfs: string, format: OpenRootfsOptions['format'] = 'erofs'): Promise<RootfsImage> =>
    openRootfsImage({ ...options, format, rootfs });
  const key = (entry: LayerEntry): string => `${entry.path.toString()} ${entry.type}`;

  /** The image as the kernel shows it, with the delta laid over it as a guest does. */
  async function assembled(rootfs: string): Promise<string[]> {
    const folder = fs.mkdtempSync(join(scratch, 'assembled-'));
    const mountPoint = fs.mkdtempSync(join(scratch, 'mounted-'));
    await withImage({ ...options, rootfs }, (path, { delta }) => {
      execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', path, mountPoint]);
      try {
        execFileSync('cp', ['-a', '--', `${mountPoint}/.`, folder]);
      } finally {
        execFileSync('umount', [mountPoint]);
      }
      for (const entry of delta) apply(folder, entry);
      // Folders last, for the entries in them changed their times.
      for (const entry of [...delta].reverse()) if (entry.type === 'folder') setAttributes(folder, entry);
    });
    return describeTree(folder, described);
  }

  it('is found by its layers, with Docker’s own and the upper layer as a delta', async () => {
    const { rootfs } = store.container(image);
    expect(await assembled(rootfs)).to.deep.equal(describeTree(rootfs, described));
    const { delta } = await withImage({ ...options, rootfs }, (_, opened) => opened);
    expect(delta.map(key)).to.deep.equal([
      '/ folder',
      '/.dockerenv file',
      '/dev folder',
      '/dev/console file',
      '/etc folder',
      '/etc/hosts file',
      '/etc/mtab symlink',
      '/etc/resolv.conf file',
    ]);
  });

  it('has everything that was done in its upper layer in the delta', async () => {
    const { rootfs } = store.container(image);
    const at = (name: string): string => join(rootfs, name);
    fs.writeFileSync(at('etc/passwd'), 'changed');
    fs.rmSync(at('bin/ash'));
    fs.rmSync(at('opaque'), { recursive: true });
    fs.mkdirSync(at('opaque'));
    fs.writeFileSync(at('opaque/newest'), 'x');
    fs.rmSync(at('replaced'));
    fs.mkdirSync(at('replaced'));
    fs.mkdirSync(at('gone'), 0o1777);
    fs.writeFileSync(at('gone/back'), 'again');
    fs.linkSync(at('gone/back'), at('gone/linked'));
    execFileSync('mkfifo', [at('gone/fifo')]);
    execFileSync('mknod', [at('gone/null'), 'c', '1', '3']);
    fs.rmSync(at('etc/resolv.conf'));
    expect(await assembled(rootfs)).to.deep.equal(describeTree(rootfs, described));
  });

  it('shares its image with every other container of the same layers, whatever is in theirs', async () => {
    const [first, second] = [store.container(image), store.container(image)];
    fs.writeFileSync(join(first.rootfs, 'only-in-first'), 'x');
    const images = [await open(first.rootfs), await open(second.rootfs)];
    expect(fs.fstatSync(images[0]?.fd ?? -1).ino).to.equal(fs.fstatSync(images[1]?.fd ?? -1).ino);
    expect(images[0]?.delta.map(key)).to.include('/only-in-first file');
    expect(images[1]?.delta.map(key)).to.not.include('/only-in-first file');
    images.forEach(closeImage);
  });

  it('has an image of its own as ISO only if it holds more than what Docker puts there', async () => {
    const [first, second, third] = [store.container(image), store.container(image), store.container(image)];
    fs.writeFileSync(join(third.rootfs, 'extra'), 'x');
    const inodes = [];
    for (const { rootfs } of [first, second, third]) {
      const opened = await open(rootfs, 'iso9660');
      inodes.push(fs.fstatSync(opened.fd).ino);
      expect(opened.delta).to.deep.equal([]);
      closeImage(opened);
    }
    expect(inodes[1]).to.equal(inodes[0]);
    expect(inodes[2]).to.not.equal(inodes[0]);
  });

  it('never shares an ISO with one whose upper layer has other contents of the same size', async () => {
    const [first, second] = [store.container(image), store.container(image)];
    fs.writeFileSync(join(first.rootfs, 'file'), 'one');
    fs.writeFileSync(join(second.rootfs, 'file'), 'two');
    for (const { rootfs } of [first, second]) fs.utimesSync(join(rootfs, 'file'), 1, 1);
    const contents = [];
    for (const { rootfs } of [first, second]) {
      const words = (path: string): Buffer => execFileSync('bsdtar', ['-xOf', path, 'file']);
      contents.push((await withImage({ ...options, format: 'iso9660', rootfs }, words)).toString());
    }
    expect(contents).to.deep.equal(['one', 'two']);
  });

  it('is understood where its layers are given relative to the store', async () => {
    const [absolute, relative] = [store.container(image), store.container(image, { relative: true })];
    closeImage(await open(absolute.rootfs));
    closeImage(await open(relative.rootfs));
    expect(new Cache(options.cacheDir).keys()).to.have.length(1);
  });

  it('with a large upper layer has an image that holds it', async () => {
    const { rootfs } = store.container(image);
    fs.writeFileSync(join(rootfs, 'large'), Buffer.alloc(20 * 2 ** 20, 'x'));
    const { delta } = await withImage({ ...options, rootfs }, (_, opened) => opened);
    expect(delta).to.deep.equal([]);
    expect(await assembled(rootfs)).to.deep.equal(describeTree(rootfs, described));
  });

  it('whose layers refer to each other is read through the mount', async () => {
    const { rootfs, upper } = store.container(image);
    fs.writeFileSync(join(rootfs, 'x'), 'x');
    setXattr(join(upper, 'x'), 'trusted.overlay.metacopy', '');
    const { delta } = await withImage({ ...options, rootfs }, (_, opened) => opened);
    expect(delta).to.deep.equal([]);
  });

  it('that is an overlay of folders anybody may edit is read as one tree', async () => {
    const folders = ['lower', 'upper', 'work', 'merged'].map((name) => join(scratch, `plain-${count}`, name));
    const [lower = '', upper = '', work = '', merged = ''] = folders;
    for (const folder of folders) fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(join(lower, 'file'), 'old');
    const mount = (): void => {
      const words = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
      execFileSync('mount', ['-t', 'overlay', '-o', words, 'overlay', merged]);
    };
    const size = (): Promise<string> =>
      withImage({ ...options, rootfs: merged }, (path) => fs.readFileSync(path, 'latin1'));
    mount();
    try {
      expect(await size()).to.contain('old');
      execFileSync('umount', [merged]);
      fs.writeFileSync(join(lower, 'file'), 'new');
      mount();
      expect(await size()).to.contain('new');
    } finally {
      execFileSync('umount', [merged]);
    }
  });
});

function setXattr(path: string, name: string, value: string): void {
  const script =
    'import os,sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode(), follow_symlinks=False)';
  execFileSync('python3', ['-c', script, path, name, value]);
}

/** Lays one entry of a delta over a folder, as a guest lays it over its root. */
function apply(root: string, entry: LayerEntry): void {
  const path = join(root, entry.path.toString());
  const remove = (): void => fs.rmSync(path, { recursive: true, force: true });
  switch (entry.type) {
    case 'folder':
      if (entry.opaque || !fs.existsSync(path) || !fs.lstatSync(path).isDirectory()) {
        remove();
        fs.mkdirSync(path);
      }
      return;
    case 'whiteout':
      remove();
      return;
    case 'file':
      remove();
      fs.writeFileSync(path, entry.content);
      break;
    case 'symlink':
      remove();
      fs.symlinkSync(entry.target, path);
      break;
    case 'hardlink':
      remove();
      fs.linkSync(join(root, entry.to.toString()), path);
      break;
    case 'fifo':
      execFileSync('mkfifo', [path]);
      break;
    case 'char':
    case 'block':
      execFileSync('mknod', [path, entry.type.charAt(0), String(entry.major), String(entry.minor)]);
      break;
    case 'socket':
      throw new Error('no socket is expected');
  }
  setAttributes(root, entry);
}

function setAttributes(root: string, entry: LayerEntry): void {
  const path = join(root, entry.path.toString());
  const seconds = Number(entry.mtimeNs / 1_000_000_000n);
  fs.lchownSync(path, entry.uid, entry.gid);
  if (entry.type !== 'symlink') fs.chmodSync(path, entry.mode);
  fs.lutimesSync(path, seconds, seconds);
}
