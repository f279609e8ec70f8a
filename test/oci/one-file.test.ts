/** The installed program is one file that needs nothing beside it, and no folder to unpack itself into. */
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { run } from '../support/command.ts';
import { runtime } from '../support/paths.ts';

describe('the one file', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
    mkdirSync(join(host.folder, 'elsewhere'));
    copyFileSync(runtime, join(host.folder, 'elsewhere/runnc'));
    chmodSync(join(host.folder, 'elsewhere/runnc'), 0o755);
  });
  after(async () => {
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  /** Runs it where no folder for temporary files can be written to or executed from, and with no environment. */
  const alone = (args: readonly string[], redirection = ''): ReturnType<typeof run> =>
    run('unshare', [
      ...['--mount', 'sh', '-ec'],
      `mount --bind "$0" /mnt
       for folder in /tmp /var/tmp /dev/shm; do
         [ ! -d $folder ] || mount -t tmpfs -o ro,noexec none $folder
       done
       cd / && exec env -i /mnt/elsewhere/runnc --root /mnt/state "$@" ${redirection}`,
      host.folder,
      ...args,
    ]);

  const inside = (bundle: string): string => bundle.replace(host.folder, '/mnt');

  it('runs a unikernel', async () => {
    const bundle = inside(host.bundle('hello'));
    expect(await alone(['run', '--bundle', bundle, 'unikernel'])).to.deep.equal({
      status: 0,
      stdout: 'Hello from a unikernel\n',
      stderr: '',
    });
  });

  it('runs a Linux program', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.process.args = ['/busybox', 'echo', 'Hello from Linux'];
    });
    copyFileSync('/bin/busybox', join(bundle, 'rootfs/busybox'));
    expect(await alone(['run', '--bundle', inside(bundle), 'linux'])).to.deep.equal({
      status: 0,
      stdout: 'Hello from Linux\n',
      stderr: '',
    });
  });

  it('goes through a whole life, one call after the other', async () => {
    // Each call sees other mounts, and the container outlives them.
    const bundle = inside(host.bundle('time', ['forever']));
    const quiet = { status: 0, stdout: '', stderr: '' };
    const flags = ['--pid-file', '/mnt/pid', '--bundle', bundle];
    expect(await alone(['create', ...flags, 'whole'], '</dev/null >/dev/null 2>&1')).to.deep.equal(quiet);
    expect(await alone(['start', 'whole'])).to.deep.equal(quiet);
    expect(JSON.parse((await alone(['state', 'whole'])).stdout)).to.include({ status: 'running' });
    expect(await alone(['delete', '--force', 'whole'])).to.deep.equal(quiet);
  });

  it('looks into unikernels and writes a config.json', async () => {
    const bundle = inside(host.bundle('hello'));
    expect((await alone(['inspect', `${bundle}/rootfs/hello.spt`])).status).to.equal(0);
    mkdirSync(join(host.folder, 'fresh'));
    expect(await alone(['spec', '--bundle', '/mnt/fresh'])).to.deep.equal({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});
