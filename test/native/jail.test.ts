import { execFileSync } from 'node:child_process';
import { openSync, readdirSync, readFileSync, readlinkSync, statSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { RunncError } from '../../src/errors.ts';
import { pidfdSendSignal, sealedMemfd, waitExit } from '../../src/native.ts';
import { isDead, procStatus, Sandbox } from './support.ts';

describe('jail of a container', () => {
  const sandboxes: Sandbox[] = [];
  function sandbox(...args: ConstructorParameters<typeof Sandbox>): Sandbox {
    const made = new Sandbox(...args);
    sandboxes.push(made);
    return made;
  }
  afterEach(async () => {
    for (const made of sandboxes.splice(0)) await made.release();
  });

  /** What must hold of the process as soon as the container is created, and ever after. */
  function expectJailed(pid: number): void {
    const status = procStatus(pid);
    const folder = `/proc/${String(pid)}`;
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(status[set], set).to.equal('0000000000000000');
    }
    expect(status['NoNewPrivs']).to.equal('1');
    expect(status['Uid']).to.equal('123456\t123456\t123456\t123456');
    expect(status['Gid']).to.equal('123457\t123457\t123457\t123457');
    expect(status['Groups']).to.equal('');
    expect(readdirSync(`${folder}/root/`)).to.deep.equal([]);
    expect(readlinkSync(`${folder}/cwd`)).to.equal('/');
    expect(readFileSync(`${folder}/mountinfo`, 'utf8')).to.match(
      /^\d+ \d+ \d+:\d+ \/ \/ ro,nosuid,nodev,noexec,relatime - tmpfs \S+ ro,[^\n]*\n$/,
    );
    // The files of a process that is not dumpable are root's, not its user's.
    expect(statSync(`${folder}/environ`).uid).to.equal(0);
    expect(readFileSync(`${folder}/environ`, 'utf8')).to.equal('');
    const limits = readFileSync(`${folder}/limits`, 'utf8');
    expect(limits).to.match(/^Max core file size +0 +0 /m);
    expect(readFileSync(`${folder}/maps`, 'utf8')).not.to.match(/ \/(?!memfd:)/);
  }

  it('is shut when the container is created, before it is started', async () => {
    const box = sandbox();
    const init = await box.create();
    expectJailed(init.pid);
    expect(procStatus(init.pid)['Name']).to.equal('runnc-init');
    for (const fd of readdirSync(`/proc/${String(init.pid)}/fd`)) {
      const target = readlinkSync(`/proc/${String(init.pid)}/fd/${fd}`);
      if (Number(fd) > 2) expect(target, fd).to.match(/^(\/dev\/null|socket:.*|\/memfd:.*)$/);
    }
  });

  it('holds the program: nothing to see, nothing to open, nothing to regain', async () => {
    const box = sandbox({}, ['witness', '42', 'a b', '', 'ü"\\']);
    const init = await box.create();
    await box.start();
    const report = await box.report();
    expectJailed(init.pid);
    expect(report).to.include({
      pid: '1',
      sid: '1',
      uid: '123456',
      euid: '123456',
      gid: '123457',
      groups: '0',
      // From its first instruction on: it may not read its own executable.
      dumpable: '0',
      nnp: '1',
      environment: '0',
      arg2: 'a b',
      arg3: '',
      arg4: 'ü"\\',
      fds: '0,1,2',
      entries: '2',
      'open /proc/self/status': 'ENOENT',
      'open /etc/passwd': 'ENOENT',
      'open ../../../etc/passwd': 'ENOENT',
      'open /new': 'EROFS',
      chroot: 'EPERM',
      setuid: 'EPERM',
      tty: '0',
    });
    // NOROOT, NO_CAP_AMBIENT_RAISE and the locks of all.
    expect(Number(report['securebits'])).to.equal(0b11101011);
    expect(await box.finish(init)).to.deep.equal({ type: 'exited', code: 42 });
  });

  it('gives the program the descriptors of the plan by position, and no other', async () => {
    const files = Array.from({ length: 70 }, () => openSync('/dev/null', 'r'));
    const box = sandbox({ descriptors: files });
    const init = await box.create();
    for (const fd of files) closeSync(fd);
    await box.start();
    const expected = Array.from({ length: 73 }, (_, i) => String(i)).join(',');
    expect((await box.report())['fds']).to.equal(expected);
    await box.finish(init);
  });

  it('keeps signals for the program that come before it can take them', async () => {
    const box = sandbox();
    const init = await box.create();
    await box.start();
    await box.report();
    const blocked = BigInt(`0x${procStatus(init.pid)['SigBlk'] ?? ''}`);
    for (const signal of [1, 2, 3, 10, 15]) expect(blocked & (1n << BigInt(signal - 1))).to.not.equal(0n);
    await box.finish(init);
  });

  it('moves the root in place of pivoting where that was asked for', async () => {
    const box = sandbox({ jail: { uid: 123456, gid: 123457, noPivot: true } });
    await box.create();
    await box.start();
    expect(await box.report()).to.include({
      entries: '2',
      'open ../../../etc/passwd': 'ENOENT',
      chroot: 'EPERM',
    });
  });

  it('sets limits, and forbids core dumps whatever is asked for', async () => {
    const box = sandbox({
      rlimits: [
        { type: 'RLIMIT_NOFILE', soft: 100n, hard: 200n },
        { type: 'RLIMIT_CORE', soft: 1n, hard: 1n },
        { type: 'RLIMIT_FSIZE', soft: 1000n, hard: 2n ** 64n - 1n },
      ],
    });
    const init = await box.create();
    const limits = readFileSync(`/proc/${String(init.pid)}/limits`, 'utf8');
    expect(limits).to.match(/^Max open files +100 +200 /m);
    expect(limits).to.match(/^Max file size +1000 +unlimited /m);
    expect(limits).to.match(/^Max core file size +0 +0 /m);
  });

  it('names the limit that the kernel refuses', async () => {
    const box = sandbox({ rlimits: [{ type: 'RLIMIT_NOFILE', soft: 200n, hard: 100n }] });
    const error = await box.create().catch((thrown: unknown) => thrown);
    expect((error as RunncError).message).to.equal(
      'process.rlimits: error setting RLIMIT_NOFILE: Invalid argument',
    );
  });

  it('sets oom_score_adj, scheduler and I/O priority', async () => {
    const box = sandbox({
      oomScoreAdj: 321,
      scheduler: {
        policy: 3,
        flags: 0n,
        nice: 7,
        priority: 0,
        runtimeNs: 0n,
        deadlineNs: 0n,
        periodNs: 0n,
      },
      ioPriority: { class: 2, priority: 6 },
    });
    const init = await box.create();
    expect(readFileSync(`/proc/${String(init.pid)}/oom_score_adj`, 'utf8').trim()).to.equal('321');
    const stat =
      readFileSync(`/proc/${String(init.pid)}/stat`, 'utf8')
        .split(') ')[1]
        ?.split(' ') ?? [];
    expect(stat[16], 'nice').to.equal('7');
    expect(stat[38], 'policy').to.equal('3');
    await box.start();
    expect((await box.report())['ioprio']).to.equal(String((2 << 13) | 6));
  });

  it('gives each container a session keyring of its own, unless told not to', async () => {
    const keyrings: string[] = [];
    for (const newKeyring of [true, true, false, false]) {
      const box = sandbox({ newKeyring });
      await box.create();
      await box.start();
      keyrings.push((await box.report())['keyring'] ?? '');
    }
    expect(new Set(keyrings.slice(0, 2)).size).to.equal(2);
    expect(keyrings[0]).not.to.equal(keyrings[2]);
    expect(keyrings[2]).to.equal(keyrings[3]);
  });

  it('opens pipes anew, so that O_NONBLOCK set inside reaches nobody else', async () => {
    const box = sandbox();
    const fifo = join(box.folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const ours = box.own(openSync(fifo, 'r+'));
    const original = openSync(fifo, 'w');
    Object.assign(box.plan, { stdio: [box.plan.stdio[0], original, 2], reopenStdio: true });
    const init = await box.create();
    // Its own open file: another entry of /proc/PID/fdinfo changes when ours is changed, were it the same one.
    const flags = (pid: number | 'self', fd: number): string =>
      /flags:\s*(\d+)/.exec(readFileSync(`/proc/${String(pid)}/fdinfo/${String(fd)}`, 'utf8'))?.[1] ?? '';
    expect(parseInt(flags(init.pid, 1), 8) & 0o4003).to.equal(0o1);
    execFileSync('cc', ['-x', 'c', '-o', join(box.folder, 'setfl'), '-'], {
      input: '#include <fcntl.h>\nint main(void) { return fcntl(5, F_SETFL, O_NONBLOCK) != 0; }',
    });
    execFileSync(join(box.folder, 'setfl'), {
      stdio: ['ignore', 'ignore', 'ignore', 'ignore', 'ignore', original],
    });
    expect(parseInt(flags('self', original), 8) & 0o4000, 'ours').to.equal(0o4000);
    expect(parseInt(flags(init.pid, 1), 8) & 0o4000, 'its own').to.equal(0);
    closeSync(original);
    expect(ours).to.be.greaterThan(2);
  });

  it('ends a created container by TERM even as pid 1', async () => {
    const init = await sandbox().create();
    pidfdSendSignal(init.pidfd, 15);
    expect(await waitExit(init.pidfd)).to.deep.equal({ type: 'exited', code: 143 });
  });

  it('says that there is nothing to start when the container runs, or is dead', async () => {
    const running = sandbox();
    await running.create();
    await running.start();
    const dead = sandbox();
    const init = await dead.create();
    pidfdSendSignal(init.pidfd, 9);
    await waitExit(init.pidfd);
    for (const box of [running, dead]) {
      const error = await box.start().catch((thrown: unknown) => thrown);
      expect((error as RunncError).code).to.equal('STATE');
    }
  });

  it('reports at start what cannot be executed', async () => {
    const box = sandbox();
    Object.assign(box.plan, {
      executableFd: box.own(sealedMemfd('text', Buffer.from('no ELF'), 'executable')),
    });
    const init = await box.create();
    const error = await box.start().catch((thrown: unknown) => thrown);
    expect((error as RunncError).message).to.equal('cannot execute the tender: Exec format error');
    expect(await waitExit(init.pidfd)).to.deep.equal({ type: 'exited', code: 1 });
  });

  it('ends the process when what is to happen outside fails', async () => {
    const box = sandbox();
    let pid = 0;
    const error = await box
      .create(async (init) => {
        pid = init.pid;
        throw new RunncError('HOST', 'no network');
      })
      .catch((thrown: unknown) => thrown);
    expect((error as RunncError).message).to.equal('no network');
    expect(pid).to.be.greaterThan(0);
    expect(isDead(pid)).to.equal(true);
  });

  it('leaks no descriptor, whether creation succeeds or fails', async () => {
    const cycle = async (changes: ConstructorParameters<typeof Sandbox>[0]): Promise<void> => {
      const box = new Sandbox(changes);
      const init = await box.create().catch(() => undefined);
      if (init !== undefined) {
        await box.start();
        await box.report();
        await box.finish(init);
      }
      await box.release();
    };
    await cycle({});
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 5; i++) {
      await cycle({});
      await cycle({ hostname: 'x'.repeat(100) });
      await cycle({ namespaces: [{ kind: 'user' }] });
    }
    expect(readdirSync('/proc/self/fd').length).to.equal(before);
  });

  it('refuses text with a NUL, which C would cut short', async () => {
    const error = await sandbox({}, ['witness', 'a\0b'])
      .create()
      .catch((thrown: unknown) => thrown);
    expect((error as RunncError).code).to.equal('INVALID');
  });
});
