/** What the process of a guest has and can be made to do: nothing of the host, and to end when told. */
import { expect } from 'chai';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { scratchFolder } from '../unikernels/guest.ts';
import { buildExtrasGuest, buildPlainGuest, tenderPath } from './test-guest.ts';

interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly protection: string;
  readonly name: string;
}

function mappings(pid: number): Mapping[] {
  const lines = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [range = '', protection = '', , , , ...name] = line.split(/\s+/);
    const [start = '', end = ''] = range.split('-');
    return { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), protection, name: name.join(' ') };
  });
}

/** The vDSO and its data, and the vsyscall page. */
function isOfKernel({ name }: Mapping): boolean {
  return name.startsWith('[v');
}

/** Everything the process could read, the kernel's own pages left out. */
function memory(pid: number): Buffer {
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  const parts = mappings(pid)
    .filter((mapping) => mapping.protection.startsWith('r') && !isOfKernel(mapping))
    .map(({ start, end }) => {
      const bytes = Buffer.alloc(Number(end - start));
      readSync(fd, bytes, 0, bytes.length, start);
      return bytes;
    });
  closeSync(fd);
  return Buffer.concat(parts);
}

/** Starts a command and resolves once it has printed a line. */
async function started(command: string, args: readonly string[], env = process.env): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  if (child.stdout === null) throw new Error('no pipe');
  await once(child.stdout, 'data');
  return child;
}

async function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return signal ?? status;
}

/** The one child of a process. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

const FATAL = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM'] as const;

describe('the process of a guest', () => {
  const folder = scratchFolder();
  const secret = 'correct-horse-battery-staple';
  const disk = join(folder, 'path-of-the-host');
  let guest: string;
  let extras: string;
  before(() => {
    guest = buildPlainGuest(folder);
    extras = buildExtrasGuest(folder);
    writeFileSync(disk, Buffer.alloc(4096, 'd'));
  });

  describe('while it runs', () => {
    let child: ChildProcess;
    let pid: number;
    const args = ['--mem=8', '--allow-extras=rootfs-map', `--rootfs=${disk}`];

    before(async () => {
      const env = { ...process.env, SECRET: secret, PATH: `/bin:/${secret}` };
      // The shell hands on a descriptor that nobody asked for.
      const script = `exec 9<${disk}; exec "$@"`;
      child = await started(
        'sh',
        ['-c', script, 'sh', tenderPath, ...args, extras, 'wait', 'an-argument'],
        env,
      );
      if (child.pid === undefined) throw new Error('not started');
      pid = child.pid;
    });
    after(async () => {
      child.kill('SIGKILL');
      await ended(child);
    });

    it('holds nothing of the environment and of the options', () => {
      const bytes = memory(pid);
      expect(bytes.includes('an-argument'), 'the memory was read').to.equal(true);
      expect(bytes.includes(secret)).to.equal(false);
      expect(bytes.includes('SECRET')).to.equal(false);
      expect(bytes.includes(disk)).to.equal(false);
      expect(bytes.includes('--rootfs')).to.equal(false);
      expect(readFileSync(`/proc/${pid}/environ`).includes(secret)).to.equal(false);
    });

    it('shows the guest’s command line to ps', () => {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '').split('\0');
      expect(words).to.deep.equal([extras, 'wait', 'an-argument']);
    });

    it('has of the tender one page of code and the signal stack', () => {
      const memSize = 8n << 20n;
      const own = mappings(pid).filter((mapping) => mapping.start >= memSize && !isOfKernel(mapping));
      const shape = own.map(({ start, end, protection, name }) => [
        protection,
        Number(end - start) >> 10,
        name,
      ]);
      const stack = shape.pop();
      expect(shape).to.deep.equal([
        ['r--s', 4, disk],
        ['r-xp', 4, tenderPath],
        ['rw-p', 128, ''],
      ]);
      // The command line for ps, in one page or across a border.
      expect(stack?.[0]).to.equal('rw-p');
      expect(stack?.[1]).to.be.oneOf([4, 8]);
      // An executable page that can be written to would be a way around the kernel's W^X.
      expect(mappings(pid).filter(({ protection }) => protection.startsWith('rwx'))).to.deep.equal([]);
    });

    it('does not map the first pages', () => {
      expect(mappings(pid)[0]?.start).to.equal(0x10000n);
    });

    it('has no descriptors but the standard ones and those in use', () => {
      const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(targets.slice(3).sort()).to.deep.equal(['anon_inode:[eventpoll]', 'anon_inode:[timerfd]']);
    });

    it('may gain no privileges, leave no core, and is filtered', () => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(status).to.match(/^NoNewPrivs:\t1$/m);
      expect(status).to.match(/^Seccomp:\t2$/m);
      expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).to.match(/^Max core file size +0 +0 /m);
    });

    it('is not dumpable: its files in /proc are root’s, whoever runs it', async () => {
      const id = 65534;
      execFileSync('chmod', ['755', folder]);
      const command = [
        '--reuid',
        String(id),
        '--regid',
        String(id),
        '--clear-groups',
        tenderPath,
        guest,
        'wait',
      ];
      const other = await started('setpriv', command);
      const owner = execFileSync('stat', ['-c', '%u', `/proc/${other.pid}/environ`], { encoding: 'utf8' });
      other.kill('SIGKILL');
      await ended(other);
      expect(owner.trim()).to.equal('0');
    });
  });

  describe('ends on a host signal', () => {
    for (const signal of FATAL)
      it(`with 128 + ${constants.signals[signal]} on ${signal}`, async () => {
        const child = await started(tenderPath, ['--mem=2', guest, 'wait']);
        child.kill(signal);
        expect(await ended(child)).to.equal(128 + constants.signals[signal]);
      });

    it('while it computes', async () => {
      const child = await started(tenderPath, ['--mem=2', guest, 'spin']);
      child.kill('SIGTERM');
      expect(await ended(child)).to.equal(128 + constants.signals.SIGTERM);
    });

    it('and not on one that its parent had it ignore', async () => {
      const child = await started('sh', ['-c', 'trap "" HUP; exec "$@"', 'sh', tenderPath, guest, 'wait']);
      child.kill('SIGHUP');
      child.kill('SIGTERM');
      expect(await ended(child)).to.equal(128 + constants.signals.SIGTERM);
    });

    it('although its parent had blocked it', async () => {
      const child = await started('env', ['--block-signal=TERM', tenderPath, guest, 'wait']);
      child.kill('SIGTERM');
      expect(await ended(child)).to.equal(128 + constants.signals.SIGTERM);
    });
  });

  describe('as pid 1 of a namespace', () => {
    const asInit = (...args: string[]): Promise<ChildProcess> =>
      started('unshare', ['--pid', '--fork', '--kill-child', tenderPath, '--mem=2', ...args]);

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR1'] as const)
      it(`ends with 128 + ${constants.signals[signal]} on ${signal}`, async () => {
        const unshare = await asInit(guest, 'wait');
        process.kill(childOf(unshare.pid ?? 0), signal);
        expect(await ended(unshare)).to.equal(128 + constants.signals[signal]);
      });

    /** unshare(1) kills itself by the signal that killed its child. */
    const end = (...args: string[]): NodeJS.Signals | number | null => {
      const shell = ['--pid', '--fork', tenderPath, '--mem=2', guest, ...args];
      const script = 'unshare "$@"; echo "status $?"';
      const out = execFileSync('sh', ['-c', script, 'sh', ...shell], { encoding: 'utf8', stdio: 'pipe' });
      return Number(/status (\d+)/.exec(out)?.[1]);
    };

    it('is killed by SIGSEGV where it touches what it has not', () => {
      expect(end('fault')).to.equal(128 + constants.signals.SIGSEGV);
    });

    it('is killed by SIGSYS on a forbidden call', () => {
      expect(end('dispatch', '39')).to.equal(128 + constants.signals.SIGSYS);
    });

    it('ends with its status', () => {
      expect(end('exit', '42')).to.equal(42);
    });
  });

  it('starts in an empty root without /proc and /dev, as a user without rights', () => {
    const jail = join(folder, 'jail');
    mkdirSync(jail);
    copyFileSync(tenderPath, join(jail, 'tender'));
    const nobody = '--userspec=65534:65534';
    // Descriptor 3 is the kernel; the tender's name in front of @3 is what ps shows.
    const script = 'exec 3<"$1"; exec chroot "$2" "$3" /tender --allow-extras=stdio --mem=2 @3 args inside';
    const run = spawnSync('sh', ['-c', script, 'sh', extras, nobody, jail], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    expect(run.stderr.toString()).to.equal('');
    expect(run.stdout.toString()).to.equal('inside');
    expect(run.status).to.equal(0);
  });

  it('gives a guest with sud the host’s signals instead', async () => {
    const child = spawn(tenderPath, ['--allow-extras=sud', extras, 'wait'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      if (output === '') child.kill('SIGTERM');
      output += data.toString();
    });
    expect(await ended(child)).to.equal(0);
    expect(output).to.equal(`waiting\nsignal=${constants.signals.SIGTERM}\n`);
  });
});
