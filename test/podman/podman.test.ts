/** What podman's users do, as root, with real containers. */
import { expect } from 'chai';
import type { CommandResult } from '../support/command.ts';
import { cgroupFile } from '../support/host-state.ts';
import { GREETING, IMAGE } from '../support/images.ts';
import { Podman } from '../support/podman.ts';
import { onTerminal } from '../support/terminal.ts';

const MIB = 1024 * 1024;

describe('podman', function () {
  this.timeout(120_000);
  let podman: Podman;

  before(async () => {
    podman = await Podman.start();
  });

  afterEach(() => podman.removeAll());

  after(async () => {
    const leftovers = podman.leftovers();
    await podman.stop();
    expect(leftovers).to.deep.equal([]);
  });

  it('run shows what the guest prints', async () => {
    const { status, stdout, stderr } = await podman.run(['--rm'], ['/hello']);
    expect(stderr).to.equal('');
    expect(stdout).to.contain(GREETING);
    expect(status).to.equal(0);
  });

  it('run ends with the exit status', async () => {
    expect((await podman.run(['--rm'], ['/exit', 'exit', '42'])).status).to.equal(42);
  });

  it('run says 127 for a program that is not there and 126 for one that is not executable', async () => {
    const missing = await podman.run(['--rm'], ['/no-such-program']);
    expect(missing.stderr).to.match(/no such file or directory|executable file not found/i);
    expect(missing.status).to.equal(127);
    const denied = await podman.run(['--rm'], ['/not-executable']);
    expect(denied.stderr).to.match(/permission denied/i);
    expect(denied.status).to.equal(126);
  });

  it('ps lists a detached one, stop ends it, rm removes it', async () => {
    const id = await podman.runDetached();
    expect(await podman.podman('ps', '--no-trunc', '--format', '{{.ID}} {{.Status}}')).to.contain(
      `${id} Up `,
    );
    await podman.podman('stop', '--time=30', id);
    expect(await podman.inspect(id, '.State.ExitCode')).to.equal('143');
    await podman.podman('rm', id);
    expect(await podman.podman('ps', '--all', '--quiet')).to.equal('');
  });

  it('kill, wait and logs', async () => {
    const id = await podman.runDetached();
    await podman.podman('kill', '--signal=KILL', id);
    expect(await podman.podman('wait', id)).to.equal('137');
    const hello = await podman.runDetached([], ['/hello']);
    expect(await podman.podman('wait', hello)).to.equal('0');
    expect(await podman.podman('logs', hello)).to.contain(GREETING);
  });

  it('pause and unpause', async () => {
    const id = await podman.runDetached();
    await podman.podman('pause', id);
    expect(await podman.inspect(id, '.State.Status')).to.equal('paused');
    await podman.podman('unpause', id);
    expect(await podman.inspect(id, '.State.Status')).to.equal('running');
    await podman.podman('pause', id);
    await podman.podman('rm', '--force', '--time=0', id);
  });

  it('takes limits and updates them', async () => {
    const id = await podman.runDetached(['--memory=64m', '--pids-limit=33', '--cpus=0.5']);
    const pid = Number(await podman.inspect(id, '.State.Pid'));
    expect(cgroupFile(pid, 'memory', 'memory.limit_in_bytes', 'memory.max')).to.equal(String(64 * MIB));
    expect(cgroupFile(pid, 'pids', 'pids.max', 'pids.max')).to.equal('33');
    await podman.podman('update', '--cpus=0.25', id);
    expect(cgroupFile(pid, 'cpu', 'cpu.cfs_quota_us', 'cpu.max')).to.match(/^25000( 100000)?$/);
  });

  it('restart', async () => {
    const id = await podman.runDetached();
    await podman.podman('restart', '--time=30', id);
    expect(await podman.inspect(id, '.State.Status')).to.equal('running');
  });

  it('exec runs a program in a container of a Linux program: output, input, status, user, terminal', async () => {
    const id = await podman.runDetached([], ['/busybox', 'sleep', '1000']);
    const exec = (
      options: readonly string[],
      command: readonly string[],
      input?: string,
    ): Promise<CommandResult> =>
      podman.try(['exec', ...options, id, '/busybox', ...command], input === undefined ? {} : { input });
    const both = await exec([], ['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(both).to.deep.equal({ status: 7, stdout: 'out\n', stderr: 'err\n' });
    expect(await exec(['-i'], ['cat'], 'typed\n')).to.deep.equal({
      status: 0,
      stdout: 'typed\n',
      stderr: '',
    });
    expect(
      (await exec(['--user=5:6', '--workdir=/tmp'], ['sh', '-c', 'busybox id -u; pwd'])).stdout,
    ).to.equal('5\n/tmp\n');
    const missing = await podman.try(['exec', id, 'nope']);
    expect(missing.stderr).to.match(/executable file .*not found in \$PATH/);
    expect(missing.status).to.equal(127);
    expect((await podman.try(['exec', id, '/not-executable'])).status).to.equal(126);
    const terminal = await onTerminal('podman', [...podman.client, 'exec', '-it', id, '/busybox', 'tty']);
    expect(terminal.stdout).to.match(/^\/dev\/pts\/\d+\r\n$/);
  });

  it('start, diff and commit find what a Linux program wrote to its root', async () => {
    const script = 'busybox ls /kept 2>/dev/null || { busybox mkdir /kept; echo x > /kept/file; }';
    const id = await podman.podman('create', ...podman.place, IMAGE, '/busybox', 'sh', '-c', script);
    expect(await podman.podman('start', '--attach', id)).to.equal('');
    expect(await podman.podman('start', '--attach', id)).to.equal('file');
    expect((await podman.podman('diff', id)).split('\n')).to.include.members(['A /kept', 'A /kept/file']);
    await podman.podman('commit', '--quiet', id, 'committed:latest');
    expect(
      (
        await podman.podman(
          'run',
          '--rm',
          ...podman.place,
          'committed:latest',
          '/busybox',
          'cat',
          '/kept/file',
        )
      ).trim(),
    ).to.equal('x');
  });

  it('run -it shows output on a terminal', async () => {
    const { status, stdout } = await onTerminal('podman', [
      ...podman.client,
      ...['run', '-it', '--rm', ...podman.place, IMAGE, '/hello'],
    ]);
    expect(stdout).to.contain(GREETING);
    expect(status).to.equal(0);
  });
});
