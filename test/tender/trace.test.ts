/** --trace and --seccomp-dump: what the guest may call, and what it calls. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { buildPlainGuest, tender, tenderPath } from './test-guest.ts';

describe('--trace', () => {
  const folder = scratchFolder();
  let guest: string;
  before(() => {
    guest = buildPlainGuest(folder);
  });

  it('prints each host call of the guest and none of the tender', () => {
    const run = tender(['--trace', guest, 'args', 'hello']);
    expect(run.stdout.toString()).to.equal('hello');
    expect(run.stderr).to.match(/^trace: write\(1, 0x[0-9a-f]+, 5\) = 5\ntrace: exit_group\(0\) = \?\n$/);
    expect(run.end).to.equal(0);
  });

  it('shows a forbidden call and ends as the guest ends', () => {
    const run = tender(['--trace', guest, 'dispatch', '39']);
    expect(run.stderr).to.match(/^trace: getpid\(.*\) = \? \(forbidden\)\n$/);
    expect(run.end).to.equal('SIGSYS');
  });

  it('ends as the guest ends by a fault, a status, a status out of range', () => {
    expect(tender(['--trace', guest, 'fault']).end).to.equal('SIGSEGV');
    expect(tender(['--trace', guest, 'exit', '7']).end).to.equal(7);
    const run = tender(['--trace', guest, 'exit', '256']);
    expect(run.stderr).to.include('trace: exit_group(256) = ');
    expect(run.stderr).to.include("tender-spt: the guest's exit status is not within 0 to 255");
    expect(run.end).to.equal(255);
  });

  it('shows errors by name', () => {
    const { stderr } = tender(['--trace', unikernel('syscall'), 'syscall', '1', '1', '0', '1']);
    expect(stderr).to.include('trace: write(1, 0, 1) = -14 (Bad address)\n');
  });

  it('passes signals on to the guest', async () => {
    const child = spawn(tenderPath, ['--trace', guest, 'wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'close')).to.deep.equal([128 + 15, null]);
  });

  it('does not leave the guest behind when it is killed', async () => {
    const child = spawn(tenderPath, ['--trace', guest, 'wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    // The guest holds the pipe: its end comes when the guest is gone.
    await once(child.stdout, 'end');
  });

  it('says what is wrong with the kernel once', () => {
    expect(tender(['--trace', '--mem=1', guest]).stderr).to.match(/^tender-spt: [^\n]+raise --mem\n$/);
  });
});

describe('--seccomp-dump', () => {
  const folder = scratchFolder();

  it('prints the calls of a plain guest, their arguments, and runs nothing', () => {
    const run = tender(['--seccomp-dump', unikernel('hello')]);
    expect(run.stdout.toString().replace(/(epfd|fd) = [3-9]/g, '$1 = N')).to.equal(
      [
        'allow  write(fd = 1)  # console',
        'allow  write(fd = 2)  # console',
        'allow  exit_group(status <= 255)  # exit',
        'trap   exit_group(status > 255)  # exit status that does not fit',
        'allow  clock_gettime(clockid = 1)  # monotonic clock',
        'allow  clock_gettime(clockid = 0)  # wall clock',
        'allow  arch_prctl(op = 0x1002)  # thread area',
        'allow  epoll_pwait(epfd = N, sigmask = 0)  # wait',
        'allow  timerfd_settime(fd = N, flags = 1, old_value = 0)  # deadline',
        'kill   everything else',
        '',
      ].join('\n'),
    );
    expect(run.end).to.equal(0);
  });

  it('prints the bounds of block devices', () => {
    const disk = join(folder, 'disk');
    writeFileSync(disk, Buffer.alloc(16384));
    const options = [`--block:disk=${disk},ro`, '--block-sector-size:disk=4096'];
    const { stdout } = tender(['--seccomp-dump', ...options, unikernel('block')]);
    const lines = stdout.toString().split('\n');
    expect(lines.filter((line) => line.includes('pread64') || line.includes('pwrite64'))).to.have.length(2);
    expect(stdout.toString()).to.match(
      /^allow {2}pread64\(fd = \d, count = 0x1000, offset <= 0x3000\) {2}# disk$/m,
    );
    expect(stdout.toString()).to.match(
      /^errno 30 pwrite64\(fd = \d, count = 0x1000, offset <= 0x3000\) {2}# disk$/m,
    );
  });
});
