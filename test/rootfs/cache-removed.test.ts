/** The cache taken away under a container that runs from it. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { runtime } from '../support/paths.ts';
import { isRoot } from './fixture.ts';

/** Says that it is up, and at SIGUSR1 reads a file that it has not looked at before. */
const SCRIPT = `$| = 1; $SIG{USR1} = sub { open F, '</data' or die; local $/; print length(<F>), "\\n"; exit 7 };
  print "up\\n"; sleep 60 while 1`;
const BYTES = 3_000_000;

describe('a container whose image is removed from the cache', () => {
  let host: Playground;
  let rootfs: Rootfs;

  before(function () {
    if (!isRoot) this.skip();
    host = new Playground();
    rootfs = new Rootfs();
    rootfs.add('/usr/bin/perl');
    fs.writeFileSync(rootfs.path('/data'), Buffer.alloc(BYTES, 'x'));
  });
  after(async () => {
    rootfs.remove();
    await host.close();
  });

  it('is in the way of that without --force, and reads on as if nothing had happened with it', async () => {
    const bundle = rootfs.bundle(host, ['/usr/bin/perl', '-e', SCRIPT]);
    const call = host.start(['run', '-b', bundle, 'reader']);
    await call.prints('up');
    const listed = JSON.parse(
      execFileSync(runtime, ['cache', 'ls', '--format', 'json'], { encoding: 'utf8' }),
    ) as { key: string; source: string; inUse: boolean }[];
    const entry = listed.find(({ source }) => source === rootfs.folder);
    expect(entry?.inUse).to.equal(true);
    const key = entry?.key ?? '';
    const refused = await host.runnc(['cache', 'rm', key]);
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.contain('is in use: stop its containers first, or use --force');
    // What it has not read yet must come from the disk, not from memory.
    forget(join('/var/lib/runnc/cache/entries', key, 'image'));
    expect((await host.runnc(['cache', 'rm', '--force', key])).status).to.equal(0);
    await host.runnc(['kill', 'reader', 'USR1']);
    expect(await call.end()).to.include({ status: 7, stdout: `up\n${BYTES}\n` });
    expect(fs.existsSync(join('/var/lib/runnc/cache/entries', key))).to.equal(false);
  });
});

/** Takes a file's pages out of the page cache. */
function forget(path: string): void {
  const script =
    'import os, sys; os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)';
  execFileSync('python3', ['-c', script, path]);
}
