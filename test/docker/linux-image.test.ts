/** Docker with an ordinary Linux image: what its users expect of one, whatever runs it. */
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { until } from '../support/bundle.ts';
import { type CommandResult, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { cgroupFile } from '../support/host-state.ts';
import { onTerminal } from '../support/terminal.ts';

const IMAGE = 'linux:latest';
const APPLETS = ['cat', 'echo', 'env', 'hostname', 'id', 'ls', 'pwd', 'sh', 'touch', 'tty', 'stty'];

describe('docker, with a Linux image', function () {
  this.timeout(120_000);
  let docker: Dockerd;
  let shared: string;

  before(async () => {
    docker = await Dockerd.start();
    const rootfs = new Rootfs();
    try {
      rootfs.compile('probe.c', 'dynamic');
      for (const name of APPLETS) symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
      rootfs.write('/usr/bin/plain', 'no program\n');
      rootfs.write('/etc/motd', 'from the image\n');
      const tar = join(docker.folder, 'linux.tar');
      await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
      const changes = ['ENV PATH=/usr/bin', 'ENV FROM=image', 'CMD ["/usr/bin/cat", "/etc/motd"]'];
      await docker.docker('import', ...changes.map((change) => `--change=${change}`), tar, IMAGE);
      rmSync(tar);
    } finally {
      rootfs.remove();
    }
    shared = join(docker.folder, 'shared');
    writeFileSync(shared, 'from the host\n');
  });

  afterEach(() => docker.removeAll());

  after(async () => {
    const leftovers = docker.leftovers();
    await docker.stop();
    expect(leftovers).to.deep.equal([]);
  });

  const run = (
    options: readonly string[],
    command: readonly string[] = [],
    input?: string,
  ): Promise<CommandResult> =>
    docker.try(
      ['run', '--rm', '--network=none', ...options, IMAGE, ...command],
      input === undefined ? {} : { input },
    );

  const detached = (options: readonly string[], command: readonly string[]): Promise<string> =>
    docker.docker('run', '-d', '--network=none', ...options, IMAGE, ...command);

  const printed = (stdout: string): CommandResult => ({ status: 0, stdout, stderr: '' });

  /** Until the program's output says it. */
  async function says(id: string, text: string): Promise<void> {
    const logs = spawn('docker', [...docker.client, 'logs', '--follow', id], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let all = '';
    for await (const chunk of logs.stdout) if ((all += String(chunk)).includes(text)) break;
    logs.kill();
    await once(logs, 'exit');
    expect(all).to.contain(text);
  }

  it("runs the image's command, or the one that is given", async () => {
    expect(await run([])).to.deep.equal(printed('from the image\n'));
    expect(await run([], ['echo', 'two words', '', '$HOME'])).to.deep.equal(printed('two words  $HOME\n'));
    expect(await run(['--entrypoint=/usr/bin/echo'], ['-n', 'x'])).to.deep.equal(printed('x'));
  });

  it('ends with the status of the program, also one that a signal ends', async () => {
    for (const status of [7, 255]) {
      expect((await run([], ['probe', 'exit', String(status)])).status).to.equal(status);
    }
    expect((await run([], ['probe', 'overflow'])).status).to.equal(139);
    // Linux spares its process 1 what that does to itself.
    for (const signal of [6, 9]) {
      expect((await run([], ['probe', 'raise', String(signal)])).status).to.equal(0);
    }
  });

  it('says 127 for a program that is not there, 126 for one that is none', async () => {
    const missing = await run([], ['/no/such']);
    expect(missing.stderr).to.contain('no such file or directory');
    expect(missing.status).to.equal(127);
    const plain = await run([], ['/usr/bin/plain']);
    expect(plain.stderr).to.contain('permission denied');
    expect(plain.status).to.equal(126);
  });

  it('keeps output and errors apart', async () => {
    const { status, stdout, stderr } = await run([], ['probe', 'nothing']);
    expect({ stdout, stderr }).to.deep.equal({ stdout: '', stderr: 'probe: what is "nothing"?\n' });
    expect(status).not.to.equal(0);
  });

  it('-i passes standard input on to its end', async () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `line ${String(i)}\n`).join('');
    expect(await run(['-i'], ['cat'], text)).to.deep.equal(printed(text));
    expect(await run([], ['cat'], text)).to.deep.equal(printed(''));
  });

  it('-t is a terminal, no -t is none', async () => {
    expect((await run([], ['tty'])).stdout).to.equal('not a tty\n');
    const { status, stdout } = await run(['-t'], ['tty']);
    expect(stdout).to.match(/^\/dev\/(pts\/\d+|console|tty)\r\n$/);
    expect(status).to.equal(0);
  });

  it('-it: what is typed is echoed and read by lines', async () => {
    const command = ['run', '-it', '--rm', '--network=none', IMAGE, 'sh', '-c', 'echo ready; exec cat'];
    const { status, stdout } = await onTerminal(
      'docker',
      [...docker.client, ...command],
      'typed\r\x04',
      'ready',
    );
    expect(stdout).to.equal('ready\r\ntyped\r\ntyped\r\n');
    expect(status).to.equal(0);
  });

  it('--user, --env, --workdir and --hostname', async () => {
    expect((await run(['--user=5:6', '--group-add=7'], ['id'])).stdout).to.equal('uid=5 gid=6 groups=6,7\n');
    expect((await run(['--user=alice'], ['id', '-un'])).stdout).to.equal('alice\n');
    const { stdout } = await run(['--env=A=b c', '--env=EMPTY='], ['env']);
    expect(stdout.split('\n')).to.include.members(['PATH=/usr/bin', 'FROM=image', 'A=b c', 'EMPTY=']);
    expect((await run(['--workdir=/made/up'], ['pwd'])).stdout).to.equal('/made/up\n');
    expect((await run(['--hostname=box'], ['hostname'])).stdout).to.equal('box\n');
  });

  it('has a root that can be written, unless it is --read-only', async () => {
    expect(await run([], ['touch', '/new'])).to.deep.equal(printed(''));
    const { status, stderr } = await run(['--read-only'], ['touch', '/new']);
    expect(stderr).to.equal('touch: /new: Read-only file system\n');
    expect(status).to.equal(1);
    expect(await run(['--read-only', '--tmpfs=/scratch'], ['touch', '/scratch/new'])).to.deep.equal(
      printed(''),
    );
  });

  it('--volume with :ro shows files of the host', async () => {
    expect(await run([`--volume=${shared}:/shared:ro`], ['cat', '/shared'])).to.deep.equal(
      printed('from the host\n'),
    );
  });

  it('one that uses up its memory is killed inside: 137, and OOMKilled is false', async () => {
    const id = await detached(['--memory=64m', '--memory-swap=64m'], ['probe', 'devour']);
    expect(await docker.docker('wait', id)).to.equal('137');
    expect(await docker.inspect(id, '.State.OOMKilled')).to.equal('false');
    expect((await docker.try(['logs', id])).stderr).to.match(
      /^linux: out of memory: killed process 1 \(probe\)/,
    );
  });

  it('a shell outlives a program that uses up the memory, and the host has seen nothing of it', async () => {
    const script = 'probe devour; echo "status $?"; probe devour; echo "status $?"; exec probe wait';
    const id = await detached(['--memory=64m', '--memory-swap=64m'], ['sh', '-c', script]);
    await says(id, 'ready');
    expect((await docker.try(['logs', id])).stdout).to.equal('status 137\nstatus 137\nready\n');
    const pid = await docker.pid(id);
    expect(cgroupFile(pid, 'memory', 'memory.oom_control', 'memory.events')).to.match(/^oom_kill 0$/m);
    expect(Number(cgroupFile(pid, 'memory', 'memory.failcnt', 'memory.swap.current'))).to.equal(0);
  });

  it('stop ends a program that catches SIGTERM, and kills one that does not', async () => {
    const catcher = await detached([], ['probe', 'catch', '15']);
    await says(catcher, 'ready');
    await docker.docker('stop', '--time=30', catcher);
    expect(await docker.inspect(catcher, '.State.ExitCode')).to.equal('15');
    expect(await docker.docker('logs', catcher)).to.equal('ready\ncaught a signal');
    // A process 1 that does not ask for a signal does not get it.
    const waiter = await detached([], ['probe', 'wait']);
    await says(waiter, 'ready');
    await docker.docker('stop', '--time=1', waiter);
    expect(await docker.inspect(waiter, '.State.ExitCode')).to.equal('137');
  });

  it('kill ends it: 137', async () => {
    const id = await detached([], ['probe', 'wait']);
    await says(id, 'ready');
    await docker.docker('kill', id);
    expect(await docker.docker('wait', id)).to.equal('137');
  });

  it('pause stops a program, unpause lets it go on', async () => {
    const id = await detached(['-i'], ['cat']);
    await docker.docker('pause', id);
    expect(await docker.inspect(id, '.State.Status')).to.equal('paused');
    await docker.docker('unpause', id);
    await docker.docker('kill', id);
    expect(await docker.docker('wait', id)).to.equal('137');
  });

  it('a shell starts programs, also in the background and through pipes', async () => {
    const script =
      'echo one; cat /etc/motd | cat; (exit 3); echo $?; for i in 1 2; do id -u & done; wait; exit 5';
    const { status, stdout, stderr } = await run([], ['sh', '-c', script]);
    expect({ status, stderr }).to.deep.equal({ status: 5, stderr: '' });
    expect(stdout).to.equal('one\nfrom the image\n3\n0\n0\n');
  });

  it('--init puts a process 1 before the program, which passes signals on', async () => {
    const { status, stdout } = await run(['--init'], ['sh', '-c', 'echo $$; exit 4']);
    expect({ status, isFirst: stdout === '1\n' }).to.deep.equal({ status: 4, isFirst: false });
    const id = await detached(['--init'], ['probe', 'wait']);
    await says(id, 'ready');
    await docker.docker('stop', '--time=30', id);
    expect(await docker.inspect(id, '.State.ExitCode')).to.equal('143');
  });

  it('logs keep what a container said that has ended, and it can be started again', async () => {
    const id = await detached([], ['echo', 'once']);
    await docker.docker('wait', id);
    expect(await docker.docker('logs', id)).to.equal('once');
    expect(await docker.docker('start', '--attach', id)).to.equal('once');
    expect(await docker.docker('logs', id)).to.equal('once\nonce');
  });

  it('runs several of one image at once', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, (_, i) => run([], ['echo', String(i)])));
    expect(results.map(({ stdout }) => stdout)).to.deep.equal(results.map((_, i) => `${String(i)}\n`));
  });

  describe('exec', () => {
    const exec = (
      options: readonly string[],
      command: readonly string[],
      input?: string,
    ): Promise<CommandResult> =>
      docker.try(['exec', ...options, ...command], input === undefined ? {} : { input });

    it('runs a program in the container: its output, its input, its status', async () => {
      const id = await detached([], ['probe', 'wait']);
      expect(await exec([id], ['echo', 'two words', '', '$HOME'])).to.deep.equal(
        printed('two words  $HOME\n'),
      );
      const both = await exec([id], ['sh', '-c', 'echo out; echo err >&2; exit 7']);
      expect(both).to.deep.equal({ status: 7, stdout: 'out\n', stderr: 'err\n' });
      const text = Array.from({ length: 20_000 }, (_, i) => `line ${String(i)}\n`).join('');
      expect(await exec(['-i', id], ['cat'], text)).to.deep.equal(printed(text));
      expect(await exec([id], ['cat'], text)).to.deep.equal(printed(''));
      expect((await exec([id], ['sh', '-c', 'kill -9 $$'])).status).to.equal(137);
    });

    it('says 127 for a program that is not there, 126 for one that is none', async () => {
      const id = await detached([], ['probe', 'wait']);
      const missing = await exec([id], ['nope']);
      expect(missing.stdout + missing.stderr).to.contain('executable file not found in $PATH');
      // docker's own, by its version.
      expect(missing.status).to.be.oneOf([126, 127]);
      expect((await exec([id], ['/no/such'])).status).to.be.oneOf([126, 127]);
      const plain = await exec([id], ['/usr/bin/plain']);
      expect(plain.stdout + plain.stderr).to.contain('permission denied');
      expect(plain.status).to.equal(126);
    });

    it('-u, -w and -e', async () => {
      const id = await detached(['--env=FROM=run'], ['probe', 'wait']);
      expect(await exec(['-u', '5:6', id], ['id'])).to.deep.equal(printed('uid=5 gid=6 groups=6\n'));
      expect((await exec(['-u', 'alice', id], ['id', '-un'])).stdout).to.equal('alice\n');
      expect(await exec(['-w', '/etc', id], ['pwd'])).to.deep.equal(printed('/etc\n'));
      const { stdout } = await exec(['-e', 'A=b c', id], ['env']);
      expect(stdout.split('\n')).to.include.members(['FROM=run', 'A=b c', 'PATH=/usr/bin']);
    });

    it('-it is on a terminal, of its size', async () => {
      const id = await detached([], ['probe', 'wait']);
      const { status, stdout } = await onTerminal(
        'docker',
        [
          ...docker.client,
          'exec',
          '-it',
          id,
          'sh',
          '-c',
          'echo ready; read -r line; echo "got $line"; tty; exit 5',
        ],
        'typed\r',
        'ready',
      );
      expect(stdout).to.match(/^ready\r\ntyped\r\ngot typed\r\n\/dev\/pts\/\d+\r\n$/);
      expect(status).to.equal(5);
    });

    it('-d leaves it running, top shows it, and it ends with the container', async () => {
      const id = await detached([], ['probe', 'wait']);
      expect(await exec(['-d', id], ['sh', '-c', 'echo here > /mark; exec probe wait'])).to.deep.equal(
        printed(''),
      );
      await until(async () => (await exec([id], ['cat', '/mark'])).stdout === 'here\n', 'it has begun');
      const top = await docker.docker('top', id);
      const processes = top.split('\n').slice(1);
      expect(processes.map((line) => /(probe|sh) .*/.exec(line)?.[0])).to.have.members([
        'probe wait',
        'sh -c echo here > /mark; exec probe wait',
      ]);
      await docker.docker('kill', id);
      expect(await docker.docker('wait', id)).to.equal('137');
    });

    it('is refused while the container is paused, and ends with it', async () => {
      const id = await detached([], ['probe', 'wait']);
      await docker.docker('pause', id);
      const paused = await exec([id], ['id']);
      expect(paused.status).to.equal(1);
      expect(paused.stderr).to.contain('is paused');
      await docker.docker('unpause', id);
      const running = exec([id], ['sh', '-c', 'echo here > /mark; exec probe wait']);
      await until(async () => (await exec([id], ['cat', '/mark'])).stdout === 'here\n', 'it has begun');
      await docker.docker('kill', id);
      expect((await running).status).to.equal(137);
    });

    it('100 at once', async () => {
      const id = await detached([], ['probe', 'wait']);
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          exec([id], ['sh', '-c', `echo ${String(i)}; exit ${String(i % 50)}`]),
        ),
      );
      expect(results).to.deep.equal(
        results.map((_, i) => ({ status: i % 50, stdout: `${String(i)}\n`, stderr: '' })),
      );
    });

    it('HEALTHCHECK turns healthy, and unhealthy when its command fails', async () => {
      const check = ['--health-cmd=cat /healthy', '--health-interval=200ms', '--health-retries=2'];
      const id = await detached(check, ['probe', 'wait']);
      const becomes = (wanted: string): Promise<void> =>
        until(async () => (await docker.inspect(id, '.State.Health.Status')) === wanted, `it is ${wanted}`);
      await becomes('unhealthy');
      await exec([id], ['touch', '/healthy']);
      await becomes('healthy');
    });
  });

  it('cp brings files in before the start, and out of the image', async () => {
    const id = await docker.docker('create', '--network=none', IMAGE, 'cat', '/put');
    await docker.docker('cp', shared, `${id}:/put`);
    expect(await docker.docker('start', '--attach', id)).to.equal('from the host');
    const out = join(docker.folder, 'motd');
    await docker.docker('cp', `${id}:/etc/motd`, out);
    expect(readFileSync(out, 'utf8')).to.equal('from the image\n');
  });

  it('cp brings out what exec has written in a running container', async () => {
    const id = await detached([], ['probe', 'wait']);
    await docker.docker('exec', id, 'sh', '-c', 'echo written > /new; busybox sync');
    const out = join(docker.folder, 'new');
    await docker.docker('cp', `${id}:/new`, out);
    expect(readFileSync(out, 'utf8')).to.equal('written\n');
  });
});
