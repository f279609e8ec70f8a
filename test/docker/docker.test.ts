/** What Docker's users do, with a real dockerd and real containers. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readlinkSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { cgroupFile, joinCgroups, procStatus } from '../support/host-state.ts';
import { GREETING, IMAGE } from '../support/images.ts';
import { isOurs, runtime } from '../support/paths.ts';
import { onTerminal } from '../support/terminal.ts';

const MIB = 1024 * 1024;

describe('docker', function () {
  this.timeout(120_000);
  let docker: Dockerd;

  before(async () => {
    docker = await Dockerd.start();
  });

  afterEach(() => docker.removeAll());

  after(async () => {
    const leftovers = docker.leftovers();
    await docker.stop();
    expect(leftovers).to.deep.equal([]);
  });

  describe('info', () => {
    it('lists the runtime', async () => {
      const runtimes: Record<string, { path: string }> = JSON.parse(
        await docker.docker('info', '--format', '{{json .Runtimes}}'),
      );
      expect(runtimes['runnc']).to.include({ path: runtime });
    });
  });

  describe('run', () => {
    it('shows what the guest prints and ends with its status', async () => {
      const { status, stdout, stderr } = await docker.run(['--rm'], ['/hello']);
      expect(stderr).to.equal('');
      expect(stdout).to.contain(GREETING);
      expect(status).to.equal(0);
    });

    for (const status of [1, 42, 255]) {
      it(`passes the exit status ${String(status)} on`, async () => {
        expect((await docker.run(['--name=probe'], ['/exit', 'exit', String(status)])).status).to.equal(
          status,
        );
        expect(await docker.inspect('probe', '.State.ExitCode')).to.equal(String(status));
        expect(await docker.inspect('probe', '.State.Status')).to.equal('exited');
      });
    }

    it('hands arguments over as they are', async () => {
      const words = ['one', 'two words', '', '--flag=ä"\\', '$HOME'];
      const { stdout } = await docker.run(['--rm'], ['/args', ...words]);
      expect(stdout).to.contain('$HOME').and.contain('--flag=');
      expect(stdout).to.contain('one').and.contain('two words');
    });

    it('loses nothing of a flood of output', async () => {
      const size = 8 * MIB;
      const { status, stdout } = await docker.run(['--rm'], ['/flood', String(size), '65536']);
      expect(status).to.equal(0);
      expect(stdout.length).to.equal(size);
      expect(sha256(stdout)).to.equal(
        sha256('abcdefghijklmnopqrstuvwxyz'.repeat(size / 26 + 1).slice(0, size)),
      );
    });

    it('says 127 for a program that is not there', async () => {
      const { status, stderr } = await docker.run(['--rm'], ['/no-such-program']);
      expect(stderr).to.match(/no such file or directory|executable file not found/);
      expect(status).to.equal(127);
    });

    it('says 126 for a program that is not executable', async () => {
      const { status, stderr } = await docker.run(['--rm'], ['/not-executable']);
      expect(stderr).to.contain('permission denied');
      expect(status).to.equal(126);
    });

    it('leaves a container that failed to start in a state that can be removed', async () => {
      await docker.run(['--name=probe'], ['/no-such-program']);
      expect(await docker.inspect('probe', '.State.Status')).to.equal('created');
      await docker.docker('rm', 'probe');
    });

    it('takes the flags that mean nothing to a sandbox', async () => {
      const { status, stdout, stderr } = await docker.run(
        [
          ...['--rm', '--read-only', '--user=1000:1000', '--hostname=box', '--workdir=/data'],
          ...['--cap-drop=ALL', '--cap-add=NET_ADMIN', '--security-opt=no-new-privileges', '--env=A=b'],
          ...['--ulimit=nofile=1024:2048', '--tmpfs=/scratch', '--shm-size=8m', '--volume=/tmp:/data:ro'],
          ...['--label=a=b', '--group-add=7', '--oom-score-adj=500', '--ipc=private', '--pid='],
        ],
        ['/hello'],
      );
      expect(stderr).to.equal('');
      expect(stdout).to.contain(GREETING);
      expect(status).to.equal(0);
    });

    it('joins the namespaces of the host and of other containers', async () => {
      const id = await docker.runDetached(['--ipc=shareable']);
      for (const options of [
        ['--network=host', '--pid=host', '--ipc=host', '--uts=host', '--cgroupns=host'],
        [`--network=container:${id}`, `--pid=container:${id}`, `--ipc=container:${id}`],
      ]) {
        const { status, stdout, stderr } = await docker.try(['run', '--rm', ...options, IMAGE, '/hello']);
        expect(stderr).to.equal('');
        expect(stdout).to.contain(GREETING);
        expect(status).to.equal(0);
      }
    });

    it("ends with SIGTERM also in the host's pid namespace", async () => {
      const id = await docker.runDetached(['--pid=host']);
      await docker.docker('stop', '--time=30', id);
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('143');
    });

    it('runs a privileged container, which is as confined as any', async () => {
      const { status, stderr } = await docker.run(['--rm', '--privileged'], ['/hello']);
      expect(stderr).to.equal('');
      expect(status).to.equal(0);
    });
  });

  describe('run -d', () => {
    it('has its output in the logs', async () => {
      const id = await docker.runDetached([], ['/hello']);
      expect(await docker.docker('wait', id)).to.equal('0');
      expect(await docker.docker('logs', id)).to.contain(GREETING);
    });

    it('is followed by logs -f to its end', async () => {
      const id = await docker.runDetached();
      await waiting(id);
      const following = docker.try(['logs', '--follow', id]);
      await docker.docker('stop', id);
      expect((await following).stdout).to.contain('waiting');
    });

    it('starts again after it has ended', async () => {
      const id = await docker.runDetached([], ['/hello']);
      await docker.docker('wait', id);
      expect(await docker.docker('start', '--attach', id)).to.contain(GREETING);
      expect((await docker.docker('logs', id)).split(GREETING)).to.have.length(3);
    });

    it('is restarted as often as --restart says', async () => {
      const id = await docker.runDetached(['--restart=on-failure:2'], ['/exit', 'exit', '3']);
      // `wait` answers at each end; the policy has been followed when docker says that it no longer restarts.
      while ((await docker.inspect(id, '.State.Status')) !== 'exited') await docker.docker('wait', id);
      expect(await docker.inspect(id, '.RestartCount')).to.equal('2');
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('3');
    });

    it('is restarted by restart', async () => {
      const id = await docker.runDetached();
      const before = await docker.pid(id);
      await docker.docker('restart', id);
      expect(await docker.inspect(id, '.State.Running')).to.equal('true');
      expect(await docker.pid(id)).to.not.equal(before);
    });
  });

  describe('stop and kill', () => {
    it('stop ends it with SIGTERM: 143', async () => {
      const id = await docker.runDetached();
      await docker.docker('stop', '--time=30', id);
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('143');
    });

    it('stop kills it when the grace period is over: 137', async () => {
      // A signal that means nothing to who does not ask for it.
      const id = await docker.runDetached(['--stop-signal=SIGURG']);
      await docker.docker('stop', '--time=1', id);
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('137');
      expect(await docker.inspect(id, '.State.OOMKilled')).to.equal('false');
    });

    for (const [signal, status] of [
      ['KILL', 137],
      ['SIGTERM', 143],
      ['2', 130],
    ] as const) {
      it(`kill -s ${signal} ends it with ${String(status)}`, async () => {
        const id = await docker.runDetached();
        await waiting(id);
        await docker.docker('kill', '--signal', signal, id);
        expect(await docker.docker('wait', id)).to.equal(String(status));
      });
    }

    it('kill of one that has ended says so', async () => {
      const id = await docker.runDetached([], ['/hello']);
      await docker.docker('wait', id);
      expect((await docker.try(['kill', id])).stderr).to.contain('is not running');
    });

    it('rm -f removes it while it runs', async () => {
      const id = await docker.runDetached();
      await docker.docker('rm', '--force', id);
      expect(await docker.docker('ps', '--all', '--quiet')).to.equal('');
    });
  });

  describe('pause', () => {
    it('stops and continues it', async () => {
      const id = await docker.runDetached();
      const pid = await docker.pid(id);
      await docker.docker('pause', id);
      expect(await docker.inspect(id, '.State.Status')).to.equal('paused');
      expect(cgroupFile(pid, 'freezer', 'freezer.state', 'cgroup.freeze')).to.be.oneOf(['FROZEN', '1']);
      await docker.docker('unpause', id);
      expect(await docker.inspect(id, '.State.Status')).to.equal('running');
      await docker.docker('stop', id);
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('143');
    });

    it('does not keep rm -f from removing it', async () => {
      const id = await docker.runDetached();
      await docker.docker('pause', id);
      await docker.docker('rm', '--force', id);
      expect(await docker.docker('ps', '--all', '--quiet')).to.equal('');
    });
  });

  describe('top, stats and update', () => {
    it('top lists the one process', async () => {
      const id = await docker.runDetached();
      const lines = (await docker.docker('top', id, '-o', 'pid')).split('\n');
      expect(lines.slice(1).map(Number)).to.include(await docker.pid(id));
    });

    it('stats shows memory, processes and the limit', async () => {
      const id = await docker.runDetached(['--memory=64m']);
      const line = await docker.docker('stats', '--no-stream', '--format', '{{.MemUsage}}|{{.PIDs}}', id);
      expect(line).to.match(/^[\d.]+[KM]iB \/ 64MiB\|[12]$/);
      expect(line).to.not.match(/^0B/);
    });

    it('takes limits', async () => {
      const id = await docker.runDetached([
        ...['--memory=64m', '--memory-swap=128m', '--cpus=0.5', '--cpu-shares=512', '--pids-limit=33'],
        ...['--cpuset-cpus=0', '--blkio-weight=500'],
      ]);
      const pid = await docker.pid(id);
      expect(cgroupFile(pid, 'memory', 'memory.limit_in_bytes', 'memory.max')).to.equal(String(64 * MIB));
      expect(cgroupFile(pid, 'cpu', 'cpu.cfs_quota_us', 'cpu.max')).to.match(/^50000( 100000)?$/);
      expect(cgroupFile(pid, 'pids', 'pids.max', 'pids.max')).to.equal('33');
      expect(cgroupFile(pid, 'cpuset', 'cpuset.cpus', 'cpuset.cpus')).to.equal('0');
    });

    it('update changes limits while it runs', async () => {
      const id = await docker.runDetached(['--memory=64m', '--memory-swap=64m']);
      const pid = await docker.pid(id);
      await docker.docker(
        'update',
        '--memory=96m',
        '--memory-swap=128m',
        '--cpus=0.25',
        '--pids-limit=44',
        id,
      );
      expect(cgroupFile(pid, 'memory', 'memory.limit_in_bytes', 'memory.max')).to.equal(String(96 * MIB));
      expect(cgroupFile(pid, 'cpu', 'cpu.cfs_quota_us', 'cpu.max')).to.match(/^25000( 100000)?$/);
      expect(cgroupFile(pid, 'pids', 'pids.max', 'pids.max')).to.equal('44');
    });

    it('OOMKilled is true when the host ran out of memory for it', async () => {
      // A guest cannot use more than its share, so others are put beside it that do.
      const id = await docker.runDetached(['--memory=32m', '--memory-swap=32m']);
      const pid = await docker.pid(id);
      const ended = docker.docker('wait', id);
      // containerd's shim tells of it and of the end in any order, and dockerd believes it only when it comes
      // first: so it happens once before.
      const events = spawn('docker', [...docker.client, 'events', '--since=1m', '--filter=event=oom'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const large = fillMemory(pid, 1, '100m');
      for await (const chunk of events.stdout) if (String(chunk).includes(id)) break;
      events.kill();
      large.end();
      expect(await docker.inspect(id, '.State.Running')).to.equal('true');
      // Now it is the kernel's first choice, as none of the others takes all there is.
      writeFileSync(`/proc/${String(pid)}/oom_score_adj`, '1000');
      const small = fillMemory(pid, 8, '5m');
      expect(await ended).to.equal('137');
      small.end();
      expect(await docker.inspect(id, '.State.OOMKilled')).to.equal('true');
    });

    /** Processes beside this one that take that much memory each, until they are told to end. */
    function fillMemory(pid: number, processes: number, size: string): { end(): void } {
      const one = `{ head -c ${size} /dev/zero; cat <&3; } | tail -c ${size}`;
      const script = `read go; exec 3<&0; for i in $(seq ${String(processes)}); do ${one} & done; wait`;
      const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'] });
      joinCgroups(Number(child.pid), pid);
      child.stdin.write('go\n');
      return { end: () => child.stdin.end() };
    }
  });

  describe('the process of a container', () => {
    it('has the host name, and a file system, network and users of its own', async () => {
      const id = await docker.runDetached(['--hostname=box']);
      const pid = await docker.pid(id);
      const host = await succeed('nsenter', ['--uts', '--target', String(pid), 'hostname']);
      expect(host).to.equal('box');
      for (const kind of ['mnt', 'net', 'pid', 'ipc', 'uts']) {
        expect(namespace(pid, kind)).to.not.equal(namespace(process.pid, kind));
      }
    });

    if (isOurs) {
      it('is nobody, may do nothing, and is under a filter', async () => {
        const id = await docker.runDetached();
        await waiting(id);
        const pid = await docker.pid(id);
        expect(procStatus(pid, 'Uid').split('\t').map(Number)).to.satisfy((uids: number[]) =>
          uids.every((uid) => uid > 65535),
        );
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
          expect(BigInt(`0x${procStatus(pid, set)}`)).to.equal(0n);
        }
        expect(procStatus(pid, 'NoNewPrivs')).to.equal('1');
        expect(procStatus(pid, 'Seccomp')).to.equal('2');
      });

      it('is not the same nobody in two containers', async () => {
        const pids = await Promise.all(
          [await docker.runDetached(), await docker.runDetached()].map((id) => docker.pid(id)),
        );
        const [one, other] = pids.map((pid) => procStatus(pid, 'Uid'));
        expect(one).to.not.equal(other);
      });

      it('cannot be entered by exec, and says why', async () => {
        const id = await docker.runDetached();
        const { status, stdout, stderr } = await docker.try(['exec', id, '/hello']);
        expect(status).to.not.equal(0);
        // docker shows the reason on either, by its version.
        expect(stdout + stderr).to.contain('not supported by this guest');
        expect(await docker.inspect(id, '.State.Running')).to.equal('true');
      });
    }
  });

  describe('a terminal', () => {
    it('run -it shows output on it', async () => {
      const { status, stdout } = await onTerminal('docker', [
        ...docker.client,
        'run',
        '-it',
        '--rm',
        '--network=none',
        IMAGE,
        '/hello',
      ]);
      expect(stdout).to.contain(GREETING);
      expect(status).to.equal(0);
    });

    it('run -it ends with the exit status', async () => {
      const { status } = await onTerminal('docker', [
        ...docker.client,
        'run',
        '-it',
        '--rm',
        '--network=none',
        IMAGE,
        '/exit',
        'exit',
        '5',
      ]);
      expect(status).to.equal(5);
    });

    it('run -t without anybody watching leaves its output in the logs', async () => {
      const id = await docker.runDetached(['-t'], ['/hello']);
      await docker.docker('wait', id);
      expect(await docker.docker('logs', id)).to.contain(`${GREETING}\r`);
    });
  });

  it('runs 50 containers at once', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => docker.runDetached()));
    expect(new Set(ids).size).to.equal(50);
    expect((await docker.docker('ps', '--quiet')).split('\n')).to.have.length(50);
    await docker.docker('stop', ...ids);
    const states = await docker.docker(
      'inspect',
      '--format',
      '{{.State.ExitCode}} {{.State.OOMKilled}}',
      ...ids,
    );
    expect(new Set(states.split('\n'))).to.deep.equal(new Set(['143 false']));
  });

  it('leaves nothing behind when containers are gone', async () => {
    await docker.removeAll();
    expect(docker.leftovers()).to.deep.equal([]);
  });

  /** Until the guest is past its start. */
  async function waiting(id: string): Promise<void> {
    const logs = spawn('docker', [...docker.client, 'logs', '--follow', id], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    for await (const chunk of logs.stdout) if (String(chunk).includes('waiting')) break;
    logs.kill();
  }
});

function namespace(pid: number, kind: string): string {
  return readlinkSync(`/proc/${String(pid)}/ns/${kind}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
