/** Programs beside the container's own one. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../src/errors.ts';
import { pidfdGetfd, pidfdOpen, receiveMessage, sendMessage } from '../../src/native.ts';
import { templateSpec } from '../../src/oci/spec-template.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type Draft, Playground, type Result, until } from '../support/bundle.ts';
import { ConsoleSocket } from '../support/console.ts';
import { random } from '../support/hostile-guest.ts';
import { procStatus } from '../support/host-state.ts';
import { needs, runtime } from '../support/paths.ts';
import { onTerminal } from '../support/terminal.ts';

const APPLETS = [
  'cat',
  'echo',
  'env',
  'head',
  'id',
  'kill',
  'ls',
  'mkdir',
  'ps',
  'pwd',
  'sh',
  'sleep',
  'stty',
  'tty',
  'wc',
];
/** A program that only says that it runs, and waits. */
const WAITING = ['sh', '-c', 'echo ready; exec sleep 1000'];

describe('exec', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  before(() => {
    rootfs = new Rootfs();
    for (const name of APPLETS) symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
    rootfs.write('/usr/bin/plain', 'no program\n');
    rootfs.write('/usr/bin/garbage', '\x7fELF, not really\n', 0o755);
    mkdirSync(rootfs.path('/dev'));
    mkdirSync(rootfs.path('/proc'));
  });
  after(() => {
    rootfs.remove();
  });
  beforeEach(() => {
    host = new Playground();
  });
  afterEach(async () => {
    await host.runnc(['delete', '--force', 'box']);
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  async function startBox(
    args: readonly string[] = ['sleep', '1000'],
    change: (spec: Draft) => void = () => undefined,
  ): Promise<void> {
    const { status, stderr } = await host.runnc([
      'run',
      '-d',
      '-b',
      rootfs.bundle(host, args, change),
      'box',
    ]);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
  }

  const exec = (args: readonly string[], input?: string): Promise<Result> =>
    host.runnc(['exec', ...args], input === undefined ? {} : { input });
  const inBox = (...command: string[]): Promise<Result> => exec(['box', ...command]);
  const printed = (stdout: string): Result => ({ status: 0, stdout, stderr: '' });

  /** Starts a program with --detach; its pid on the host. */
  async function detached(command: readonly string[]): Promise<number> {
    const file = join(host.folder, 'exec.pid');
    const { status, stderr } = await exec(['--detach', '--pid-file', file, 'box', ...command]);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    return Number(readFileSync(file, 'utf8'));
  }

  const gone = (pid: number): Promise<void> =>
    until(() => Promise.resolve(isGone(pid)), `process ${String(pid)} is gone`);

  function isGone(pid: number): boolean {
    try {
      return procStatus(pid, 'State').startsWith('Z');
    } catch {
      return true;
    }
  }

  /** The commands of the guest's processes, as its own ps has them. */
  async function programs(): Promise<readonly string[]> {
    const { stdout } = await inBox('ps', '-o', 'args');
    return stdout
      .split('\n')
      .slice(1)
      .filter((line) => line !== '' && !line.endsWith('ps -o args'));
  }

  const runs = (command: string): Promise<void> =>
    until(async () => (await programs()).includes(command), `${command} runs in the guest`);
  const runsNoMore = (command: string): Promise<void> =>
    until(async () => !(await programs()).includes(command), `${command} is gone from the guest`);

  /** Of the container's broker; undefined if there is none. */
  function brokerPid(): number | undefined {
    const line = host.leftovers().find((entry) => {
      const pid = /^process (\d+)$/.exec(entry)?.[1];
      try {
        return pid !== undefined && readFileSync(`/proc/${pid}/comm`, 'utf8') === 'runnc-broker\n';
      } catch {
        return false;
      }
    });
    return line === undefined ? undefined : Number(line.slice('process '.length));
  }

  describe('a program', () => {
    beforeEach(() => startBox());

    it('runs in the container, and its output and status are those of exec', async () => {
      expect(await inBox('echo', 'two words', '', '$HOME')).to.deep.equal(printed('two words  $HOME\n'));
      expect(await inBox('sh', '-c', 'echo out; echo err >&2; exit 7')).to.deep.equal({
        status: 7,
        stdout: 'out\n',
        stderr: 'err\n',
      });
      expect((await inBox('sh', '-c', 'kill -9 $$')).status).to.equal(137);
      expect((await inBox('sh', '-c', 'kill $$')).status).to.equal(143);
    });

    it('has a parent outside of the container, and leads a session', async () => {
      const { stdout } = await inBox(
        'sh',
        '-c',
        'read -r p c s pp g sid rest < /proc/$$/stat; echo $pp $((p - g)) $((p - sid))',
      );
      expect(stdout).to.equal('0 0 0\n');
      expect(await programs()).to.deep.equal(['sleep 1000']);
    });

    it('sees the same files as the others, also those that were made since', async () => {
      await inBox('sh', '-c', 'echo shared > /tmp/file');
      expect(await inBox('cat', '/tmp/file')).to.deep.equal(printed('shared\n'));
    });

    it('reads standard input to its end', async () => {
      const text = Array.from({ length: 50_000 }, (_, i) => `line ${String(i)}\n`).join('');
      expect(await exec(['box', 'cat'], text)).to.deep.equal(printed(text));
      expect(await exec(['box', 'head', '-n', '1'], text)).to.deep.equal(printed('line 0\n'));
      expect(await exec(['box', 'cat'])).to.deep.equal(printed(''));
    });

    it('writes as much as there is, and nothing is lost at its end', async () => {
      const { status, stdout } = await inBox('head', '-c', '3000000', '/dev/zero');
      expect({ status, length: stdout.length }).to.deep.equal({ status: 0, length: 3_000_000 });
    });

    it('gets SIGPIPE when nobody reads its output any more', async () => {
      const script = `${runtime} --root ${host.root} exec box sh -c 'while echo y; do :; done' | head -n 3; echo $\{PIPESTATUS[0]}`;
      const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
      let text = '';
      for await (const chunk of child.stdout) text += String(chunk);
      // 141 by the signal; a shell may catch the error first.
      expect(text).to.match(/^y\ny\ny\n(141|1)\n$/);
    });

    it('is not there after its end, nor is anything on the host', async () => {
      await inBox('echo', 'x');
      expect(await programs()).to.deep.equal(['sleep 1000']);
      const { pid } = await host.state('box');
      await until(() => Promise.resolve(brokerPid() === undefined), 'the broker has ended');
      expect(await host.runnc(['ps', '--format', 'json', 'box'])).to.deep.equal(
        printed(`[${String(pid)}]\n`),
      );
    });

    it('can be one of many at once', async () => {
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          inBox('sh', '-c', `cat /proc/self/stat > /dev/null; echo ${String(i)}; exit ${String(i)}`),
        ),
      );
      expect(results).to.deep.equal(
        results.map((_, i) => ({ status: i, stdout: `${String(i)}\n`, stderr: '' })),
      );
    });

    it('may leave others behind, whose output then goes nowhere', async () => {
      expect(
        await inBox('sh', '-c', '(sleep 0.2; echo late; echo done > /tmp/late) & echo early'),
      ).to.deep.equal(printed('early\n'));
      await until(
        async () => (await inBox('cat', '/tmp/late')).stdout === 'done\n',
        'the other one has ended',
      );
    });
  });

  describe('says in the words that callers look for', () => {
    beforeEach(() => startBox());

    const fails = async (args: readonly string[], message: string): Promise<void> => {
      const { status, stdout, stderr } = await exec(args);
      expect({ status, stdout }).to.deep.equal({ status: 1, stdout: '' });
      expect(stderr).to.equal(`${message}\n`);
      expect(stderr.split('\n')).to.have.lengthOf(2);
    };
    const start = 'exec failed: unable to start container process: ';

    it('that a program is not in PATH, not there, not executable, not a program', async () => {
      await fails(['box', 'nope'], `${start}exec: "nope": executable file not found in $PATH`);
      await fails(['box', '/no/such'], `${start}exec: "/no/such": stat /no/such: no such file or directory`);
      await fails(['box', 'plain'], `${start}exec: "plain": permission denied`);
      await fails(['box', '/usr/bin/plain'], `${start}exec: "/usr/bin/plain": permission denied`);
      await fails(['box', '/usr/bin/garbage'], `${start}exec: "/usr/bin/garbage": exec format error`);
    });

    it('that a working directory is not there', async () => {
      await fails(
        ['--cwd', '/nowhere', 'box', 'id'],
        `${start}chdir to cwd ("/nowhere") failed: no such file or directory`,
      );
      await fails(
        ['--cwd', '/etc/passwd', 'box', 'id'],
        `${start}chdir to cwd ("/etc/passwd") failed: not a directory`,
      );
    });

    it('that a command, a user or a terminal is missing', async () => {
      await fails(['box'], 'exec: give a command, or --process with a file that has one');
      await fails(
        ['-u', 'nobody-here', 'box', 'id'],
        '--user: /etc/passwd of the image has no user "nobody-here"',
      );
      await fails(
        ['-t', '-d', 'box', 'id'],
        'a terminal needs --console-socket to hand it over, or no --detach',
      );
      await fails(
        ['--process', '/no/file', 'box'],
        "--process: cannot read /no/file: ENOENT: no such file or directory, open '/no/file'",
      );
    });

    it('what is wrong with a flag', async () => {
      await fails(
        ['-u', '1:nobody-here', 'box', 'id'],
        '--user: /etc/group of the image has no group "nobody-here"',
      );
      await fails(['-u', '1:2:3', 'box', 'id'], '--user: expected USER or USER:GROUP, got "1:2:3"');
      await fails(
        ['-g', 'video', 'box', 'id'],
        '--additional-gids: expected the number of a group, got "video"',
      );
      await fails(['--cwd', 'tmp', 'box', 'id'], '--cwd: expected an absolute path, got "tmp"');
      await fails(
        ['--console-socket', '/no', 'box', 'id'],
        '--console-socket: the process does not ask for a terminal (--tty)',
      );
      expect((await exec(['-t', '--console-socket', '/no/socket', 'box', 'id'])).stderr).to.match(
        /^--console-socket: cannot connect to \/no\/socket: ENOENT: [^\n]*\n$/,
      );
      expect((await exec(['--pid-file', '/no/pid', 'box', 'id'])).stderr).to.match(
        /^--pid-file: cannot write \/no\/pid: ENOENT: [^\n]*\n$/,
      );
    });

    it('which field of a --process file is wrong, and runs nothing', async () => {
      const file = join(host.folder, 'process.json');
      const good = { args: ['id'], cwd: '/', user: { uid: 0, gid: 0 } };
      for (const [wrong, message] of [
        [{ args: 'id' }, 'args: expected a non-empty array of strings, got "id"'],
        [{ args: ['a\0b'] }, 'args[0]: expected a string, got "a\\u0000b"'],
        [{ cwd: undefined }, 'cwd: is required (an absolute path)'],
        [{ cwd: 'tmp' }, 'cwd: expected an absolute path, got "tmp"'],
        [{ user: { uid: -1 } }, 'user.uid: expected an integer from 0 to 4294967295, got -1'],
        [
          { user: { username: 'nobody-here' } },
          'user.username: /etc/passwd of the image has no user "nobody-here"',
        ],
        [{ env: [1] }, 'env[0]: expected a string, got 1'],
        [{ terminal: 'yes' }, 'terminal: expected true or false, got "yes"'],
        [
          { rlimits: [{ type: 'RLIMIT_X', soft: 1, hard: 1 }] },
          'rlimits[0].type: Linux has no limit "RLIMIT_X"',
        ],
      ] as const) {
        writeFileSync(file, JSON.stringify({ ...good, ...wrong }));
        await fails(['--process', file, 'box'], `${file}: ${message}`);
      }
      writeFileSync(file, '{');
      expect((await exec(['--process', file, 'box'])).stderr).to.match(
        /^[^\n]*process.json: is not JSON: [^\n]*\n$/,
      );
      expect(await programs()).to.deep.equal(['sleep 1000']);
    });

    it('that the container is not there', async () => {
      await fails(['nobody', 'id'], 'container does not exist');
    });
  });

  describe('by the state of its container', () => {
    it('is refused before it is started, when it is paused and when it has stopped', async () => {
      await host.create('box', rootfs.bundle(host, ['sleep', '1000']));
      expect((await inBox('id')).stderr).to.equal(
        'cannot exec in a container that was not started: container not running\n',
      );
      await host.runnc(['start', 'box']);
      await host.runnc(['pause', 'box']);
      expect((await inBox('id')).stderr).to.equal(
        'cannot exec in a paused container (use --ignore-paused to override)\n',
      );
      const waiting = host.start(['exec', '--ignore-paused', 'box', 'echo', 'thawed']);
      await host.runnc(['resume', 'box']);
      expect(await waiting.end()).to.deep.equal(printed('thawed\n'));
      await host.runnc(['kill', 'box', 'KILL']);
      await host.reaches('box', 'stopped');
      expect(await inBox('id')).to.deep.equal({
        status: 1,
        stdout: '',
        stderr: 'cannot exec a container that has stopped\n',
      });
    });

    it('ends with 137 when the container does', async () => {
      await startBox();
      const call = host.start(['exec', 'box', ...WAITING]);
      await call.prints('ready');
      await host.runnc(['kill', 'box', 'KILL']);
      expect((await call.end()).status).to.equal(137);
      expect(await host.runnc(['delete', 'box'])).to.deep.equal(printed(''));
    });

    it('ends with 137 when process 1 ends by itself', async () => {
      await startBox(['sh', '-c', 'while [ ! -e /tmp/end ]; do sleep 0.05; done']);
      const call = host.start(['exec', 'box', ...WAITING]);
      await call.prints('ready');
      await inBox('sh', '-c', '> /tmp/end');
      expect((await call.end()).status).to.equal(137);
    });

    it('is not held up by its limit on processes, which it has reached', async () => {
      await startBox(['sleep', '1000'], ({ linux }) => {
        linux.resources = { ...linux.resources, pids: { limit: 1 } };
      });
      expect(await inBox('echo', 'well')).to.deep.equal(printed('well\n'));
    });

    it("has the container's oom_score_adj, and can do with it what its capabilities allow", async () => {
      await startBox(['sh', '-c', 'cat /proc/self/oom_score_adj >/tmp/own; sleep 1000'], ({ process }) => {
        process.oomScoreAdj = 321;
      });
      expect(
        await inBox('sh', '-c', 'until [ -s /tmp/own ]; do sleep 0.01; done; cat /tmp/own'),
      ).to.deep.equal(printed('321\n'));
      const change = (value: number): string =>
        `echo ${value} 2>&1 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj`;
      const { stdout } = await inBox('sh', '-c', `${change(500)}; ${change(321)}; ${change(320)}`);
      expect(stdout).to.match(/^500\n321\nsh: write error: Permission denied\n321\n$/);
    });

    it('is not supported by a Solo5 guest', async () => {
      await host.runnc(['run', '-d', '-b', host.bundle('time', ['forever']), 'box']);
      expect((await inBox('/hello')).stderr).to.equal(
        'exec: not supported by this guest: a unikernel runs one program and no second one beside it\n',
      );
    });
  });

  describe('flags', () => {
    beforeEach(() =>
      startBox(['sleep', '1000'], ({ process }) => {
        process.user = { uid: 3, gid: 4, additionalGids: [9], umask: 0o077 };
        process.env = ['PATH=/usr/bin', 'FROM=config'];
      }),
    );

    it('-u, -g, -e, --cwd and --cap change what config.json says', async () => {
      expect(await inBox('id')).to.deep.equal(printed('uid=3 gid=4 groups=9\n'));
      expect(await exec(['-u', '5', 'box', 'id'])).to.deep.equal(printed('uid=5 gid=4 groups=9\n'));
      expect(await exec(['-u', '5:6', '-g', '7', '-g', '8', 'box', 'id'])).to.deep.equal(
        printed('uid=5 gid=6 groups=7,8,9\n'),
      );
      expect(await exec(['-u', 'alice', 'box', 'id'])).to.deep.equal(
        printed('uid=1000(alice) gid=1001(alice) groups=9,44(video)\n'),
      );
      const { stdout } = await exec(['-e', 'A=b c', '-e', 'FROM=exec', '--cwd', '/tmp', 'box', 'env']);
      expect(stdout.split('\n')).to.include.members(['A=b c', 'FROM=exec', 'PATH=/usr/bin']);
      expect(await exec(['--cwd', '/tmp', 'box', 'pwd'])).to.deep.equal(printed('/tmp\n'));
      expect(await inBox('sh', '-c', 'umask')).to.deep.equal(printed('0077\n'));
    });

    it('--process is all there is', async () => {
      const file = join(host.folder, 'process.json');
      const process = {
        args: ['sh', '-c', 'id -u; pwd; umask; env; ulimit -n; grep -e Cap -e NoNew /proc/self/status'],
        cwd: '/tmp',
        env: ['PATH=/usr/bin', 'ONLY=this', 'HOME=/x'],
        user: { uid: 11, gid: 12, umask: 0o027 },
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 99 }],
        capabilities: { bounding: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'], effective: [] },
        noNewPrivileges: true,
      };
      rootfs.path('/usr/bin/grep');
      if (!existsSync(rootfs.path('/usr/bin/grep'))) symlinkSync('busybox', rootfs.path('/usr/bin/grep'));
      process.args[2] = process.args[2]?.replace('grep', 'busybox grep') ?? '';
      writeFileSync(file, JSON.stringify(process));
      const { status, stdout, stderr } = await exec(['--process', file, 'box']);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
      const lines = stdout.split('\n').map((line) => line.replace('\t', ' '));
      expect(lines.slice(0, 3)).to.deep.equal(['11', '/tmp', '0027']);
      expect(lines).to.include.members([
        'ONLY=this',
        'HOME=/x',
        '77',
        'CapBnd: 0000000000000001',
        'NoNewPrivs: 1',
      ]);
      writeFileSync(file, JSON.stringify({ ...process, args: [] }));
      expect((await exec(['--process', file, 'box'])).stderr).to.contain(`${file}: args:`);
    });

    it('--detach leaves a process of its own, whose pid is in the pid file and in ps', async () => {
      const pid = await detached(['sleep', '500']);
      expect(readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')).to.equal('sleep\0' + '500\0');
      const { stdout } = await host.runnc(['ps', '--format', 'json', 'box']);
      expect(JSON.parse(stdout)).to.have.members([pid, (await host.state('box')).pid]);
      expect(await programs()).to.deep.equal(['sleep 1000', 'sleep 500']);
    });
  });

  describe('a proxy', () => {
    beforeEach(() => startBox());

    it('passes signals on', async () => {
      const script =
        'for s in HUP INT QUIT USR1 USR2 TERM; do trap "echo $s" $s; done; echo ready; while :; do sleep 0.05; done';
      const call = host.start(['exec', 'box', 'sh', '-c', script]);
      await call.prints('ready');
      for (const signal of ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'TERM'] as const) {
        call.child.kill(`SIG${signal}`);
        await call.prints(`${signal}\n`);
      }
      const waiter = await detached(['sleep', '500']);
      process.kill(waiter, 'SIGTERM');
      await gone(waiter);
      await runsNoMore('sleep 500');
      call.child.kill('SIGKILL');
    });

    it('that is killed takes its program with it', async () => {
      const pid = await detached(['sleep', '500']);
      await runs('sleep 500');
      process.kill(pid, 'SIGKILL');
      await runsNoMore('sleep 500');
    });

    it('can do next to nothing: no privileges, no paths, no calls but its own', async () => {
      const pid = await detached(['sleep', '500']);
      const broker = await new Promise<number>((resolve, reject) => {
        const found = brokerPid();
        if (found === undefined) reject(new Error('there is no broker'));
        else resolve(found);
      });
      for (const one of [pid, broker]) {
        expect(procStatus(one, 'CapEff')).to.equal('0000000000000000');
        expect(procStatus(one, 'CapPrm')).to.equal('0000000000000000');
        expect(procStatus(one, 'NoNewPrivs')).to.equal('1');
        expect(procStatus(one, 'Seccomp')).to.equal('2');
        expect(procStatus(one, 'Uid').split('\t')[0]).not.to.equal('0');
      }
    });

    it('goes with the broker, and the program too; the next one has a new broker', async () => {
      const pid = await detached(['sleep', '500']);
      const broker = brokerPid();
      process.kill(broker ?? 0, 'SIGKILL');
      await gone(pid);
      await runsNoMore('sleep 500');
      expect(await inBox('echo', 'again')).to.deep.equal(printed('again\n'));
    });

    it('killed together with the broker, at the next exec its program is gone', async () => {
      const pid = await detached(['sleep', '500']);
      const broker = brokerPid();
      process.kill(pid, 'SIGSTOP');
      process.kill(broker ?? 0, 'SIGKILL');
      process.kill(pid, 'SIGKILL');
      await gone(pid);
      await runsNoMore('sleep 500');
    });

    it('and its broker are ended by delete --force', async () => {
      await detached(['sleep', '500']);
      expect(await host.runnc(['delete', '--force', 'box'])).to.deep.equal(printed(''));
      expect(host.leftovers()).to.deep.equal([]);
    });
  });

  it('the guest survives 10,000 random messages of a runtime that lies', async () => {
    await startBox();
    const record = JSON.parse(readFileSync(join(host.root, 'box/state.json'), 'utf8')) as {
      pid: number;
      controlFd: number;
    };
    const pidfd = pidfdOpen(record.pid);
    const channel = pidfdGetfd(pidfd, record.controlFd);
    closeSync(pidfd);
    const below = random(1);
    const epoch = 77n << 32n;
    try {
      for (let i = 0; i < 10_000; i++) {
        const head = Buffer.alloc(16);
        head.writeUInt16LE(i === 0 ? 1 : ([1, 2, 2, 2, 3, 4, 5, 16, 17, 18, 99][below(11)] ?? 0), 0);
        head.writeUInt16LE(below(4), 2);
        head.writeUInt32LE([0, 1, 1, 9, 64, 65, 0xffffffff][below(7)] ?? 0, 4);
        head.writeBigUInt64LE(epoch | BigInt(below(20)), 8);
        // Records of a request, as often right as wrong.
        const record = Buffer.alloc(8 + below(64), below(2) === 0 ? 0 : below(256));
        record.writeUInt32LE(1 + below(15), 0);
        record.writeUInt32LE(below(3) === 0 ? below(1 << 30) : Math.max(0, record.length - 8), 4);
        const message = Buffer.concat([
          head,
          below(5) === 0 ? Buffer.alloc(below(32768), below(256)) : record,
        ]);
        await sendWhenReady(channel, message.subarray(0, below(50) === 0 ? below(16) + 1 : message.length));
      }
    } finally {
      closeSync(channel);
    }
    expect(await inBox('echo', 'well')).to.deep.equal(printed('well\n'));
    expect(await programs()).to.deep.equal(['sleep 1000']);
  });

  /** Reads what the guest says meanwhile: it may wait for that. */
  async function sendWhenReady(channel: number, message: Buffer): Promise<void> {
    for (;;) {
      try {
        sendMessage(channel, message);
        return;
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error;
        await receiveMessage(channel);
      }
    }
  }

  describe('in a user namespace', () => {
    it('of root: the ids are those of the namespace', async () => {
      await startBox(['sleep', '1000'], ({ linux }) => {
        linux.namespaces = [...(linux.namespaces ?? []), { type: 'user' }];
        linux.uidMappings = linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 2000 }];
      });
      expect(await exec(['-u', '5:6', 'box', 'id'])).to.deep.equal(printed('uid=5 gid=6\n'));
      const call = host.start(['exec', 'box', ...WAITING]);
      await call.prints('ready');
      await host.runnc(['kill', 'box', 'KILL']);
      expect((await call.end()).status).to.equal(137);
    });

    it('of an ordinary user: output, input, status, signals, its end with the container', async () => {
      const user = { uid: 65534, gid: 65534 };
      chownSync(host.folder, user.uid, user.gid);
      mkdirSync(host.root);
      chownSync(host.root, user.uid, user.gid);
      const cache = join(host.folder, 'cache');
      mkdirSync(cache);
      chownSync(cache, user.uid, user.gid);
      const env = { PATH: '/usr/bin:/bin', XDG_RUNTIME_DIR: host.folder, XDG_CACHE_HOME: cache };
      const asUser = { ...user, env };
      const bundle = rootfs.bundle(host, ['sleep', '1000'], (spec) => {
        const { process } = spec;
        Object.assign(spec, structuredClone(templateSpec({ rootless: user })), { root: spec.root });
        spec.process = { ...process, capabilities: {} };
      });
      chownSync(bundle, user.uid, user.gid);
      expect(await host.runnc(['run', '-d', '-b', bundle, 'box'], asUser)).to.deep.equal(printed(''));
      const exec = (args: readonly string[], input?: string): Promise<Result> =>
        host.runnc(['exec', 'box', ...args], { ...asUser, ...(input === undefined ? {} : { input }) });
      expect(await exec(['sh', '-c', 'id -u; exit 7'])).to.deep.equal({
        status: 7,
        stdout: '0\n',
        stderr: '',
      });
      expect(await exec(['cat'], 'typed\n')).to.deep.equal(printed('typed\n'));
      const call = host.start(['exec', 'box', ...WAITING], asUser);
      await call.prints('ready');
      expect(await host.runnc(['delete', '--force', 'box'], asUser)).to.deep.equal(printed(''));
      expect((await call.end()).status).to.equal(137);
    });
  });

  describe('a terminal', () => {
    beforeEach(() =>
      startBox(['sleep', '1000'], (spec) => {
        spec.mounts = [...(spec.mounts ?? [])];
      }),
    );

    it('over --console-socket: size, line editing, ^C, changes of the size, the exit', async () => {
      const path = join(host.folder, 'console');
      const socket = await ConsoleSocket.listen(path);
      const file = join(host.folder, 'process.json');
      const script =
        'stty size; tty; trap "stty size" WINCH; trap "echo stopped; exit 4" INT; read -r line; echo "got $line"; while :; do sleep 0.05; done';
      writeFileSync(
        file,
        JSON.stringify({
          terminal: true,
          consoleSize: { width: 100, height: 30 },
          args: ['sh', '-c', script],
          cwd: '/',
          env: ['PATH=/usr/bin'],
        }),
      );
      const pidFile = join(host.folder, 'pid');
      const call = host.start([
        'exec',
        '--detach',
        '--pid-file',
        pidFile,
        '--console-socket',
        path,
        '--process',
        file,
        'box',
      ]);
      const terminal = await socket.receive();
      try {
        expect(await call.end()).to.deep.equal(printed(''));
        expect(terminal.isRaw).to.equal(true);
        expect(await terminal.readUntil('\r\n')).to.equal('30 100\r\n');
        expect(await terminal.readUntil('\r\n')).to.match(/^\/dev\/pts\/\d+\r\n$/);
        terminal.type('helly\x7fo\r');
        await terminal.readUntil('got hello\r\n');
        terminal.size = { columns: 132, rows: 43 };
        await terminal.readUntil('43 132\r\n');
        terminal.type('\x03');
        await terminal.readUntil('stopped\r\n');
        await gone(Number(readFileSync(pidFile, 'utf8')));
      } finally {
        terminal.close();
        socket.close();
      }
    });

    it('-t in the background stops until it is in the foreground', async () => {
      const exec = `${runtime} --root ${host.root} exec -t box sh -c 'echo shown; exit 6'`;
      const { stdout } = await onTerminal('bash', [
        '-c',
        `set -m; ${exec} & wait; echo; fg > /dev/null; echo "ended $?"`,
      ]);
      expect(stdout).to.match(/Stopped .*exec -t box [^]*\r\nshown\r\nended 6\r\n$/);
    });

    it("-t is on the caller's own one", async () => {
      const { status, stdout } = await onTerminal(
        runtime,
        [
          '--root',
          host.root,
          'exec',
          '-t',
          'box',
          'sh',
          '-c',
          'echo ready; read -r line; echo "got $line"; exit 5',
        ],
        'typed\r',
        'ready',
      );
      expect(stdout).to.equal('ready\r\ntyped\r\ngot typed\r\n');
      expect(status).to.equal(5);
    });
  });

  describe('killed before any of its calls', () => {
    // In the order in which the helper makes them; strace kills whoever makes one.
    const calls = [
      'pidfd_getfd',
      'memfd_create',
      'setsid',
      'fchdir',
      'flock',
      'bind',
      'listen',
      'fork',
      'epoll_create1',
      'accept4',
      'setresuid',
      'seccomp',
      'poll',
    ];

    before(() => needs('/usr/bin/strace'));
    beforeEach(() => startBox());

    for (const call of calls) {
      it(`(${call}) leaves nothing that the next exec or delete --force does not mend`, async () => {
        const tracer = spawn(
          'strace',
          [
            '-f',
            '-qq',
            '-o',
            '/dev/null',
            `--trace=${call}`,
            `--inject=${call}:signal=SIGKILL:when=1`,
            runtime,
            '--root',
            host.root,
            'exec',
            'box',
            'sleep',
            '500',
          ],
          { stdio: 'ignore' },
        );
        await until(
          () => Promise.resolve(tracer.exitCode !== null || tracer.signalCode !== null),
          `exec ends that is killed before ${call}`,
        );
        expect(await inBox('echo', 'well')).to.deep.equal(printed('well\n'));
        await runsNoMore('sleep 500');
        if (tracer.exitCode === null && tracer.signalCode === null) await once(tracer, 'exit');
      });
    }
  });
});
