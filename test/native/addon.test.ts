import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { errnoOf } from '../../src/errors.ts';
import {
  connectUnix,
  listenUnix,
  lockFile,
  makeRaw,
  openInRoot,
  pidfdOpen,
  pidfdSendSignal,
  receiveMessage,
  sealedMemfd,
  sendMessage,
  setSubreaper,
  socketPair,
  spawn,
  tryLockFile,
  waitExit,
  waitReadable,
} from '../../src/native.ts';
import { openProcess, processStat } from '../../src/sandbox/process.ts';
import { procStatus, witnessPath } from './support.ts';

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return errnoOf(error);
  }
  return undefined;
}

describe('addon', () => {
  let folder = '';
  const fds: number[] = [];
  const own = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-addon-'));
  });
  afterEach(() => {
    for (const fd of fds.splice(0)) closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  });

  function busybox(): number {
    return own(sealedMemfd('busybox', readFileSync('/bin/busybox'), 'executable'));
  }

  function shell(text: string, descriptors: readonly number[], environment: readonly string[] = []): number {
    const { pidfd } = spawn({
      executableFd: busybox(),
      argv: ['sh', '-c', text],
      environment,
      descriptors,
    });
    return own(pidfd);
  }

  describe('processes', () => {
    it('are spawned with the arguments, environment and descriptors of the plan and no other', async () => {
      const out = own(openSync(join(folder, 'out'), 'w'));
      const null1 = own(openSync('/dev/null', 'r'));
      // Every source in another's place.
      const descriptors = [null1, out, 2, out, null1];
      const pidfd = shell('echo "$A|$HOME|$0"; ls /proc/$$/fd; exit 3', descriptors, ['A=b c', 'PATH=/bin']);
      expect(await waitExit(pidfd)).to.deep.equal({ type: 'exited', code: 3 });
      const lines = readFileSync(join(folder, 'out'), 'utf8').trim().split('\n');
      expect(lines).to.deep.equal(['b c||sh', '0', '1', '2', '3', '4']);
    });

    it('start with default signals, whatever this process ignores or blocks', async () => {
      expect(procStatus(process.pid)['SigIgn'], 'Node ignores SIGPIPE').not.to.equal('0000000000000000');
      const { pid, pidfd } = spawn({
        executableFd: busybox(),
        argv: ['sleep', '1000'],
        environment: [],
        descriptors: [0, 1, 2],
      });
      own(pidfd);
      expect(procStatus(pid)).to.include({ SigBlk: '0000000000000000', SigIgn: '0000000000000000' });
      pidfdSendSignal(pidfd, 9);
      await waitExit(pidfd);
    });

    it('that cannot be executed are thrown errors, and leave nothing', () => {
      const children = (): string[] =>
        readFileSync(`/proc/self/task/${String(process.pid)}/children`, 'utf8').split(' ');
      const before = children();
      const text = own(sealedMemfd('text', Buffer.from('no program'), 'executable'));
      const data = own(sealedMemfd('data', readFileSync(witnessPath()), 'data'));
      const attempt = (executableFd: number) => () =>
        spawn({ executableFd, argv: ['x'], environment: [], descriptors: [0, 1, 2] });
      expect(codeOf(attempt(text))).to.equal('ENOEXEC');
      expect(codeOf(attempt(data))).to.equal('EACCES');
      expect(codeOf(attempt(9999))).to.equal('EBADF');
      expect(
        codeOf(() => spawn({ executableFd: text, argv: ['a\0'], environment: [], descriptors: [] })),
      ).to.equal('EINVAL');
      expect(children()).to.deep.equal(before);
    });

    it('tell how they ended: status or signal', async () => {
      const idle = (): number => shell('exec sleep 1000', [0, 1, 2], ['PATH=/bin:/usr/bin']);
      for (const signal of [9, 15]) {
        const pidfd = idle();
        pidfdSendSignal(pidfd, signal);
        expect(await waitExit(pidfd)).to.deep.equal({ type: 'signaled', signal });
        expect(codeOf(() => pidfdSendSignal(pidfd, 0))).to.equal('ESRCH');
      }
      expect(await waitExit(shell('exit 255', [0, 1, 2]))).to.deep.equal({ type: 'exited', code: 255 });
    });

    it('can be waited for in any number at once', async () => {
      const [gate, theirs] = socketPair();
      const waiting = Array.from({ length: 50 }, (_, i) =>
        waitExit(shell(`read x; exit ${String(i)}`, [theirs, 1, 2])),
      );
      closeSync(theirs);
      closeSync(gate);
      const codes = (await Promise.all(waiting)).map((status) =>
        status.type === 'exited' ? status.code : -1,
      );
      expect(codes).to.deep.equal(Array.from({ length: 50 }, (_, i) => i));
    });

    it('that are not ours cannot be waited for', async () => {
      const grandchild = Number(
        execFileSync('sh', ['-c', 'sleep 1000 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' }),
      );
      const pidfd = own(pidfdOpen(grandchild));
      pidfdSendSignal(pidfd, 9);
      const error = await waitExit(pidfd).catch((thrown: unknown) => thrown);
      expect(errnoOf(error)).to.equal('ECHILD');
    });

    it('are known by pid and start time, never by pid alone', () => {
      const own1 = processStat(process.pid);
      expect(own1?.parentPid).to.equal(process.ppid);
      const startTime = own1?.startTime ?? 0n;
      expect(own(openProcess(process.pid, startTime) ?? -1)).to.be.greaterThan(2);
      expect(openProcess(process.pid, startTime + 1n)).to.equal(undefined);
      expect(openProcess(2 ** 22 + 1, startTime)).to.equal(undefined);
      expect(processStat(2 ** 22 + 1)).to.equal(undefined);
    });

    it('whose parent died come to a subreaper', async () => {
      const before = setSubreaper(true);
      try {
        const pid = Number(
          execFileSync('sh', ['-c', 'sleep 1000 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' }),
        );
        const pidfd = own(pidfdOpen(pid));
        pidfdSendSignal(pidfd, 9);
        expect(await waitExit(pidfd)).to.deep.equal({ type: 'signaled', signal: 9 });
        expect(setSubreaper(before)).to.equal(true);
      } finally {
        setSubreaper(before);
      }
    });
  });

  describe('files', () => {
    it('sealed in memory cannot be changed by anybody', () => {
      const fd = own(sealedMemfd('x', Buffer.from('content'), 'data'));
      expect(codeOf(() => writeSync(fd, 'y'))).to.equal('EPERM');
      const again = own(openSync(`/proc/self/fd/${String(fd)}`, 'r+'));
      expect(codeOf(() => writeSync(again, 'y'))).to.equal('EPERM');
      expect(readFileSync(`/proc/self/fd/${String(fd)}`, 'utf8')).to.equal('content');
      expect(fstatSync(fd).mode & 0o777).to.equal(0o400);
      expect(fstatSync(own(sealedMemfd('x', Buffer.from('x'), 'executable'))).mode & 0o777).to.equal(0o111);
    });

    it('below a root are found by no path that leaves it', () => {
      mkdirSync(join(folder, 'root/sub'), { recursive: true });
      writeFileSync(join(folder, 'secret'), 'secret');
      writeFileSync(join(folder, 'root/file'), 'inside');
      symlinkSync('/file', join(folder, 'root/absolute'));
      symlinkSync('../../../../file', join(folder, 'root/sub/up'));
      symlinkSync('/../secret', join(folder, 'root/out'));
      symlinkSync('loop', join(folder, 'root/loop'));
      const root = own(openSync(join(folder, 'root'), constants.O_DIRECTORY));
      const read = (path: string): string => {
        const fd = own(openInRoot(root, path, constants.O_RDONLY));
        const text = Buffer.alloc(100);
        return text.toString('utf8', 0, readSync(fd, text));
      };
      for (const path of ['file', '/file', '../../file', '/absolute', 'sub/up', '/sub/../../absolute']) {
        expect(read(path), path).to.equal('inside');
      }
      for (const path of ['../secret', 'out', realpathSync(join(folder, 'secret'))]) {
        expect(
          codeOf(() => read(path)),
          path,
        ).to.equal('ENOENT');
      }
      expect(codeOf(() => read('loop'))).to.equal('ELOOP');
      expect(codeOf(() => read('file\0x'))).to.equal('EINVAL');
      const proc = own(openSync('/proc', constants.O_DIRECTORY));
      expect(codeOf(() => openInRoot(proc, `self/fd/${String(root)}`, constants.O_RDONLY))).to.equal('ELOOP');
    });

    it('below a root can be made', () => {
      const root = own(openSync(folder, constants.O_DIRECTORY));
      const fd = own(
        openInRoot(root, '/new', constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o640),
      );
      expect(fstatSync(fd).mode & 0o777).to.equal(0o640);
    });

    it('are locked against other holders, and a waiter gets the lock when it is free', async () => {
      const path = join(folder, 'lock');
      const first = openSync(path, 'w');
      const second = own(openSync(path, 'r'));
      await lockFile(first, 'exclusive');
      expect(tryLockFile(second, 'shared')).to.equal(false);
      let locked = false;
      const waiting = lockFile(second, 'exclusive').then(() => {
        locked = true;
      });
      await new Promise(setImmediate);
      expect(locked).to.equal(false);
      closeSync(first);
      await waiting;
      const third = own(openSync(path, 'r'));
      expect(tryLockFile(third, 'exclusive')).to.equal(false);
      await lockFile(second, 'shared');
      expect(tryLockFile(third, 'shared')).to.equal(true);
    });
  });

  describe('sockets', () => {
    it('carry messages with descriptors, close-on-exec, and the true pid of the sender', async () => {
      const [a, b] = socketPair();
      own(a);
      own(b);
      const file = own(openSync('/dev/null', 'r'));
      sendMessage(b, Buffer.from('hello'), [file, file]);
      const message = await receiveMessage(a);
      message.fds.forEach(own);
      expect(message.data.toString()).to.equal('hello');
      expect(message.senderPid).to.equal(process.pid);
      expect(message.fds).to.have.length(2);
      for (const fd of message.fds) {
        const info = readFileSync(`/proc/self/fdinfo/${String(fd)}`, 'utf8');
        expect(parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? '0', 8) & 0o2000000).not.to.equal(0);
      }
    });

    it('wait for a message without blocking, and see the other end go', async () => {
      const [a, b] = socketPair();
      own(a);
      const waiting = receiveMessage(a);
      sendMessage(b, Buffer.from('x'));
      expect((await waiting).data.toString()).to.equal('x');
      const end = receiveMessage(a);
      closeSync(b);
      expect((await end).data).to.have.length(0);
      expect(codeOf(() => sendMessage(a, Buffer.from('x')))).to.equal('EPIPE');
    });

    it('are reached through a folder whose path is longer than a socket address', async () => {
      const deep = join(folder, ...Array.from({ length: 12 }, () => 'long-name-of-a-folder'));
      mkdirSync(deep, { recursive: true });
      const directory = own(openSync(deep, constants.O_DIRECTORY));
      expect(codeOf(() => connectUnix(directory, 's'))).to.equal('ENOENT');
      const listener = listenUnix(directory, 's');
      expect(readdirSync(deep)).to.deep.equal(['s']);
      expect(codeOf(() => listenUnix(directory, 's'))).to.equal('EADDRINUSE');
      const connection = own(connectUnix(directory, 's'));
      await waitReadable(listener);
      sendMessage(connection, Buffer.from('x'));
      closeSync(listener);
      expect(codeOf(() => connectUnix(directory, 's'))).to.equal('ECONNREFUSED');
      for (const name of ['', 'a/b', '../s', 'n'.repeat(100)]) {
        expect(
          codeOf(() => connectUnix(directory, name)),
          name,
        ).to.equal('EINVAL');
      }
    });
  });

  it('waits on a regular file, which is always readable, and refuses what is no descriptor', async () => {
    await waitReadable(own(openSync('/etc/passwd', 'r')));
    expect(codeOf(() => void waitReadable(9999))).to.equal('EBADF');
  });

  it('says ENOTTY of what is no terminal', () => {
    expect(codeOf(() => makeRaw(own(openSync('/dev/null', 'r'))))).to.equal('ENOTTY');
  });

  it('lets the program end while nothing is waited for', () => {
    const text = `import { socketPair, receiveMessage, sendMessage } from './src/native.ts';
      const [a, b] = socketPair(); setImmediate(() => sendMessage(b, Buffer.from('x')));
      console.log((await receiveMessage(a)).data.toString());`;
    for (const runtime of [
      [process.execPath, '--import', 'tsx', '--input-type=module'],
      ['node_modules/.bin/bun', 'run', '-'],
    ]) {
      const [program = '', ...args] = runtime;
      const input = program === process.execPath ? ['-e', text] : [];
      const result = spawnSync(program, [...args, ...input], {
        input: text,
        encoding: 'utf8',
        timeout: 20000,
      });
      expect(result.stderr).to.equal('');
      expect({ status: result.status, out: result.stdout }, program).to.deep.equal({ status: 0, out: 'x\n' });
    }
  });
});
