/** containerd's own client, with a real containerd and real containers. */
import { expect } from 'chai';
import { until } from '../support/bundle.ts';
import type { CommandResult } from '../support/command.ts';
import { Containerd } from '../support/containerd.ts';
import { GREETING } from '../support/images.ts';
import { cgroupFile } from '../support/host-state.ts';

const MIB = 1024 * 1024;

describe('containerd', function () {
  this.timeout(120_000);
  let containerd: Containerd;

  before(async () => {
    containerd = await Containerd.start();
  });

  afterEach(() => containerd.removeAll());

  after(async () => {
    const leftovers = containerd.leftovers();
    await containerd.stop();
    expect(leftovers).to.deep.equal([]);
  });

  it('run shows what the guest prints', async () => {
    const { status, stdout, stderr } = await containerd.run('one', ['--rm'], ['/hello']);
    expect(stderr).to.equal('');
    expect(stdout).to.contain(GREETING);
    expect(status).to.equal(0);
  });

  it('run ends with the exit status', async () => {
    expect((await containerd.run('one', ['--rm'], ['/exit', 'exit', '7'])).status).to.equal(7);
  });

  it('run says what is wrong with a program that is not there', async () => {
    const { status, stderr } = await containerd.run('one', ['--rm'], ['/no-such-program']);
    expect(stderr).to.match(/no such file or directory|executable file not found/);
    expect(status).to.not.equal(0);
  });

  it('task kill ends a detached one, task delete removes it', async () => {
    expect((await containerd.run('one', ['--detach'], ['/time', 'forever'])).status).to.equal(0);
    expect(await containerd.status('one')).to.equal('RUNNING');
    await containerd.ctr('task', 'kill', '--signal', 'SIGKILL', 'one');
    await until(async () => (await containerd.status('one')) === 'STOPPED', 'the task has stopped');
    expect((await containerd.try('task', 'delete', 'one')).stderr).to.contain('exit code 137');
    expect(await containerd.status('one')).to.equal(undefined);
  });

  it('task pause and resume', async () => {
    await containerd.run('one', ['--detach'], ['/time', 'forever']);
    await containerd.ctr('task', 'pause', 'one');
    expect(await containerd.status('one')).to.equal('PAUSED');
    await containerd.ctr('task', 'resume', 'one');
    expect(await containerd.status('one')).to.equal('RUNNING');
  });

  it('task ps lists the one process', async () => {
    await containerd.run('one', ['--detach'], ['/time', 'forever']);
    const pids = (await containerd.ctr('task', 'ps', 'one')).split('\n').slice(1);
    expect(pids.map((line) => Number(line.split(/\s+/)[0]))).to.include(await containerd.pid('one'));
  });

  it('takes a memory limit, and shows metrics', async () => {
    await containerd.run('one', ['--detach', '--memory-limit', String(64 * MIB)], ['/time', 'forever']);
    const pid = await containerd.pid('one');
    expect(cgroupFile(pid, 'memory', 'memory.limit_in_bytes', 'memory.max')).to.equal(String(64 * MIB));
    expect(await containerd.ctr('task', 'metrics', 'one')).to.match(/^memory\.usage(_in_bytes)?\s+\d+\s*$/m);
  });

  it('task exec runs a program in a container of a Linux program', async () => {
    await containerd.run('box', ['--detach'], ['/busybox', 'sleep', '1000']);
    const exec = (...command: string[]): Promise<CommandResult> =>
      containerd.try('task', 'exec', '--exec-id', `e${String(command.length)}`, 'box', ...command);
    expect(await exec('/busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7')).to.deep.equal({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    const missing = await exec('/nope');
    expect(missing.stderr).to.contain('no such file or directory');
    expect(missing.status).not.to.equal(0);
  });
});
