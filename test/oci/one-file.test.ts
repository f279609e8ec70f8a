/** The installed program is one file that needs nothing beside it, and no folder to unpack itself into. */
import { chmodSync, copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

  describe('with a fresh /run', () => {
    /** `script` with $runnc, in a mount namespace where /run is an empty tmpfs mounted with `options`. */
    const withRun = (options: string, script: string): ReturnType<typeof run> =>
      run('unshare', [
        ...['--mount', 'sh', '-ec'],
        `mount --bind "$0" /mnt; mount -t tmpfs -o ${options} none /run
         runnc='env -i /mnt/elsewhere/runnc'; cd /; ${script}`,
        host.folder,
      ]);

    it('keeps its addon there, for the calls that come', async () => {
      const script = `
        $runnc --version >/dev/null; ls /run/runnc/@native; stat -c '%U %a' /run/runnc/@native /run/runnc/@native/*
        stat -c %i /run/runnc/@native/* >/tmp/runnc-kept.$$; $runnc --version >/dev/null
        stat -c %i /run/runnc/@native/* | cmp - /tmp/runnc-kept.$$; rm /tmp/runnc-kept.$$
        cmp /run/runnc/@native/runnc-*.node ${join(dirname(runtime), 'runnc.node')}`;
      const { status, stdout, stderr } = await withRun('mode=755', script);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
      expect(stdout).to.match(/^runnc-\w+\.node\nroot 711\nroot 644\n$/);
    });

    it('makes away with what no call has asked for in a week', async () => {
      const script = `
        mkdir -p -m 711 /run/runnc/@native; cd /run/runnc/@native; touch runnc-young.node
        touch -d '-8 days' runnc-old.node; $runnc --version >/dev/null; ls`;
      const { stdout } = await withRun('mode=755', script);
      expect(stdout.split('\n'))
        .to.have.length(3)
        .and.include('runnc-young.node')
        .and.not.include('runnc-old.node');
    });

    it('does without where nothing may be executed', async () => {
      const script = '$runnc run --bundle "$0/b" one && $runnc run --bundle "$0/b" two'.replaceAll(
        '$0',
        '/mnt',
      );
      renameSync(host.bundle('hello'), join(host.folder, 'b'));
      expect(await withRun('mode=755,noexec', script)).to.deep.equal({
        status: 0,
        stdout: 'Hello from a unikernel\n'.repeat(2),
        stderr: '',
      });
    });

    it('does without where nothing can be written, or where others may write', async () => {
      const version = await run(runtime, ['--version']);
      expect(await withRun('ro', '$runnc --version')).to.deep.equal(version);
      const open =
        'mkdir -p /run/runnc/@native; chmod 777 /run/runnc; $runnc --version; ls -A /run/runnc/@native';
      expect(await withRun('mode=755', open)).to.deep.equal(version);
    });
  });
});
