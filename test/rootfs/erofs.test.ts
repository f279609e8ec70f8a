import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { OpenRootfsOptions } from '../../src/rootfs/rootfs-image.ts';
import {
  copyTree,
  describeTree,
  isRoot,
  makeAwkwardTree,
  scratchFolder,
  sha256,
  withImage,
} from './fixture.ts';

describe('an EROFS image of a rootfs', function () {
  const scratch = scratchFolder();
  const tree = join(scratch, 'tree');
  const options: OpenRootfsOptions = { rootfs: tree, format: 'erofs', cacheDir: join(scratch, 'cache') };

  before(() => makeAwkwardTree(tree));

  it('shows, mounted by the kernel, every entry as it was', async function () {
    if (!isRoot) this.skip();
    const mountPoint = join(scratch, 'mounted');
    fs.mkdirSync(mountPoint);
    await withImage(options, (image) => {
      execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', image, mountPoint]);
      try {
        expect(describeTree(mountPoint)).to.deep.equal(describeTree(tree));
      } finally {
        execFileSync('umount', [mountPoint]);
      }
    });
  });

  it('pleases fsck.erofs, which reads it all', async () => {
    await withImage(options, (image) => expect(fsck(image, '--extract')).to.equal(0));
  });

  it('is the same byte for byte for an equal tree, whenever and in whatever order it was made', async function () {
    const copy = join(scratch, 'copy');
    copyTree(tree, copy);
    const [first, second] = [
      await withImage(options, sha256),
      await withImage({ ...options, rootfs: copy }, sha256),
    ];
    expect(second).to.equal(first);
  });

  it('has the owners that the container sees through its id mappings', async function () {
    if (!isRoot) this.skip();
    const mapped = join(scratch, 'mapped');
    fs.mkdirSync(mapped);
    for (const [name, uid] of [
      ['root', 100_000],
      ['user', 101_000],
      ['outside', 5],
    ] as const) {
      fs.writeFileSync(join(mapped, name), '');
      fs.chownSync(join(mapped, name), uid, uid);
    }
    const ids = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    await withImage({ ...options, rootfs: mapped, uidMappings: ids, gidMappings: ids }, (image) => {
      const target = join(scratch, 'extracted');
      fs.mkdirSync(target);
      execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', image, target]);
      try {
        const owners = ['root', 'user', 'outside'].map((name) => fs.statSync(join(target, name)).uid);
        expect(owners).to.deep.equal([0, 1000, 65_534]);
      } finally {
        execFileSync('umount', [target]);
      }
    });
  });

  it('takes no room on disk for holes', async () => {
    const sparse = join(scratch, 'sparse');
    fs.mkdirSync(sparse);
    const fd = fs.openSync(join(sparse, 'lastlog'), 'w');
    fs.ftruncateSync(fd, 300 * 2 ** 30);
    fs.writeSync(fd, 'me', 200 * 2 ** 30);
    fs.closeSync(fd);
    await withImage({ ...options, rootfs: sparse }, (_, { fd: image, sizeBytes }) => {
      expect(sizeBytes).to.be.greaterThan(300 * 2 ** 30);
      expect(fs.fstatSync(image).blocks * 512).to.be.lessThan(4 * 2 ** 20);
    });
  });

  it('can be of an empty folder', async () => {
    const empty = join(scratch, 'nothing');
    fs.mkdirSync(empty);
    await withImage({ ...options, rootfs: empty }, (image) => expect(fsck(image)).to.equal(0));
  });
});

function fsck(image: string, ...options: readonly string[]): number | null {
  return spawnSync('fsck.erofs', [...options, image]).status;
}
