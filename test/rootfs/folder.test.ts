import { expect } from 'chai';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { readMountedFolder } from '../../src/rootfs/folder.ts';
import type { LayerEntry } from '../../src/rootfs/rootfs-image.ts';
import { openFolder } from '../../src/rootfs/tree.ts';
import { scratchFolder } from './fixture.ts';

describe('a read-only folder of the host in a Linux guest', () => {
  const scratch = scratchFolder();
  const source = join(scratch, 'source');
  const rootfs = join(scratch, 'rootfs');
  const read = (target: string): LayerEntry[] => {
    const rootFd = openFolder(rootfs, 'the rootfs');
    try {
      return readMountedFolder({ source, target }, rootFd, { toUid: (id) => id + 1, toGid: (id) => id + 2 });
    } finally {
      fs.closeSync(rootFd);
    }
  };
  const summary = (entries: LayerEntry[]): string[] =>
    entries.map(({ type, path }) => `${type} ${path.toString()}`);

  before(() => {
    fs.mkdirSync(join(source, '..2026'), { recursive: true });
    fs.writeFileSync(join(source, '..2026/token'), 'secret', { mode: 0o600 });
    fs.symlinkSync('..2026', join(source, '..data'));
    fs.symlinkSync('..data/token', join(source, 'token'));
    fs.mkdirSync(join(rootfs, 'var/lib'), { recursive: true });
    fs.symlinkSync('/var', join(rootfs, 'link'));
    fs.writeFileSync(join(rootfs, 'file'), '');
  });

  it('is laid over the image at its place, hiding what is there', () => {
    const entries = read('/var/lib');
    expect(summary(entries)).to.deep.equal([
      'folder /var/lib',
      'folder /var/lib/..2026',
      'file /var/lib/..2026/token',
      'symlink /var/lib/..data',
      'symlink /var/lib/token',
    ]);
    expect(entries[0]).to.deep.include({ opaque: true });
    const { uid } = fs.statSync(source);
    expect(entries[2]).to.deep.include({ mode: 0o600, uid: uid + 1, gid: uid + 2 });
    expect(entries[2]?.type === 'file' ? entries[2].content.toString() : '').to.equal('secret');
  });

  it('gets the folders above it that the image does not have', () => {
    expect(summary(read('/var/run/secrets/app')).slice(0, 3)).to.deep.equal([
      'folder /var/run',
      'folder /var/run/secrets',
      'folder /var/run/secrets/app',
    ]);
    expect(summary(read('/link/lib'))[0]).to.equal('folder /link/lib');
    expect(() => read('/file/x')).to.throw(/^\/file in the rootfs cannot hold a mount: ENOTDIR/);
  });

  it('is refused with its limits when guest memory should not hold it', () => {
    const large = join(source, 'large');
    fs.writeFileSync(large, '');
    fs.truncateSync(large, 17 * 2 ** 20);
    expect(() => read('/data')).to.throw(
      /source on \/data is too large for a mount: it may have 10000 entries and 16 MiB$/,
    );
    fs.unlinkSync(large);
  });
});
