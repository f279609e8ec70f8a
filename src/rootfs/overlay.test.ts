import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseMountInfo, readMounts, type MountInfo } from './mountinfo.ts';
import { overlayFolders } from './overlay.ts';

describe('mountinfo', () => {
  it('is read with optional fields, escapes and lines of other kinds', () => {
    const lines = [
      '36 35 98:0 /mnt1 /mnt\\0402\\011x rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue',
      '37 35 0:5 / /dev rw - devtmpfs udev rw',
      'broken',
      '',
    ];
    expect(parseMountInfo(lines)).to.deep.equal([
      { mountPoint: '/mnt 2\tx', fileSystem: 'ext3', superOptions: 'rw,errors=continue' },
      { mountPoint: '/dev', fileSystem: 'devtmpfs', superOptions: 'rw' },
    ]);
  });

  for (const name of ['plain', 'with space\tand\nline', 'back\\slash#hash', 'ü']) {
    it(`finds what is mounted on and in ${JSON.stringify(name)}`, function () {
      if (process.geteuid?.() !== 0) this.skip();
      const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'runnc-mountinfo-')));
      const folder = join(scratch, name);
      const mount = (on: string): void => {
        mkdirSync(on);
        execFileSync('mount', ['-t', 'tmpfs', 'runnc-test', on]);
      };
      mount(folder);
      mount(join(folder, 'inside'));
      mount(`${folder} beside`);
      try {
        const points = (of: string): string[] => readMounts(of).map(({ mountPoint }) => mountPoint);
        expect(points(folder)).to.deep.equal([folder, join(folder, 'inside')]);
        expect(points(join(folder, 'inside'))).to.deep.equal([join(folder, 'inside')]);
        expect(points('/')).to.include.members([folder, '/proc']);
      } finally {
        for (const on of [join(folder, 'inside'), folder, `${folder} beside`]) execFileSync('umount', [on]);
        rmSync(scratch, { recursive: true });
      }
    });
  }
});

describe('the folders of an overlay mount', () => {
  let root: string;
  const id = (digit: string): string => digit.repeat(64);

  before(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'runnc-layers-')));
    for (const folder of [
      ...['a', 'b', 'c'].map((digit) => `overlay2/${id(digit)}/diff`),
      `overlay2/${id('c')}-init/diff`,
      ...['1', '2'].map((digit) => `storage/overlay/${id(digit)}/diff`),
      ...['7', '8', '9'].map((n) => `io.containerd.snapshotter.v1.overlayfs/snapshots/${n}/fs`),
      'plain/lower',
      'plain/upper',
      'storage/overlay/l',
      `with:colon,comma/overlay2/${id('d')}/diff`,
      `with:colon,comma/overlay2/${id('e')}/diff`,
    ]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    symlinkSync(`../${id('1')}/diff`, join(root, 'storage/overlay/l/ABC'));
  });
  after(() => rmSync(root, { recursive: true }));

  const mount = (mountPoint: string, lower: string, upper?: string): MountInfo => ({
    mountPoint,
    fileSystem: 'overlay',
    superOptions: `rw,lowerdir=${lower}${upper === undefined ? '' : `,upperdir=${upper},workdir=/w`},index=off`,
  });

  it('are told apart into the image’s and the container’s own: Docker', () => {
    const store = `${root}/overlay2`;
    const folders = overlayFolders(
      mount(
        `${store}/${id('c')}/merged`,
        `${store}/${id('c')}-init/diff:${store}/${id('b')}/diff:${store}/${id('a')}/diff`,
        `${store}/${id('c')}/diff`,
      ),
    );
    expect(folders).to.deep.equal({
      lower: [`${store}/${id('b')}/diff`, `${store}/${id('a')}/diff`],
      own: [`${store}/${id('c')}/diff`, `${store}/${id('c')}-init/diff`],
    });
  });

  it('are found through relative links: Podman', () => {
    const store = `${root}/storage/overlay`;
    expect(overlayFolders(mount(`${store}/${id('2')}/merged`, 'l/ABC', `${id('2')}/diff`))).to.deep.equal({
      lower: [`${store}/${id('1')}/diff`],
      own: [`${store}/${id('2')}/diff`],
    });
  });

  it('are found relative to the upper one where the mount point is elsewhere: containerd', () => {
    const store = `${root}/io.containerd.snapshotter.v1.overlayfs/snapshots`;
    expect(overlayFolders(mount('/run/containerd/x/rootfs', '8/fs:7/fs', `${store}/9/fs`))).to.deep.equal({
      lower: [`${store}/8/fs`, `${store}/7/fs`],
      own: [`${store}/9/fs`],
    });
  });

  it('may have separators in their names', () => {
    const store = `${root}/with\\:colon\\054comma/overlay2`;
    const plain = `${root}/with:colon,comma/overlay2`;
    expect(
      overlayFolders(
        mount(
          `${plain}/${id('e')}/merged`,
          `${store}/${id('d')}/diff`,
          `${root}/with:colon\\054comma/overlay2/${id('e')}/diff`,
        ),
      ),
    ).to.deep.equal({
      lower: [`${plain}/${id('d')}/diff`],
      own: [`${plain}/${id('e')}/diff`],
    });
  });

  it('are not believed where any is outside of an engine’s store, missing, or of another kind', () => {
    const store = `${root}/overlay2`;
    const upper = `${store}/${id('c')}/diff`;
    const merged = `${store}/${id('c')}/merged`;
    for (const lower of [
      `${root}/plain/lower`,
      `${store}/${id('a')}/diff:${root}/plain/lower`,
      `${store}/${id('f')}/diff`,
      `${store}/${id('a')}/diff::${store}/${id('b')}/diff`,
      `${store}/${id('c')}-init/diff`,
    ]) {
      expect(overlayFolders(mount(merged, lower, upper)), lower).to.equal(undefined);
    }
    expect(overlayFolders(mount(merged, `${store}/${id('a')}/diff`, `${root}/plain/upper`))).to.equal(
      undefined,
    );
    expect(overlayFolders({ mountPoint: '/', fileSystem: 'ext4', superOptions: 'rw' })).to.equal(undefined);
    expect(
      overlayFolders({
        mountPoint: '/',
        fileSystem: 'overlay',
        superOptions: 'rw,lowerdir+=/a,lowerdir+=/b',
      }),
    ).to.equal(undefined);
  });
});
