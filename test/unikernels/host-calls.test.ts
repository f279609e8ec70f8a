/** Every host system call by its number, from inside a guest: exactly those of DESIGN's table come back. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dist, scratchFolder, Tender, unikernel } from './guest.ts';

/** Past the last number that Linux has given out (471 in 6.18). */
const LAST = 500;

/* uretprobe and uprobe pass every filter by the kernel's own design (Linux 6.14, 6.18): no filter can stop them.
 * Called from anywhere but a trampoline of the kernel's own they kill the caller or fail. */
const PASSES_EVERY_FILTER = [335, 336];

type Fate = 'returned' | 'exited' | `${NodeJS.Signals}` | string;

describe('host calls of a plain Solo5 guest', () => {
  const tender = new Tender(join(dist, 'tender-spt'));
  const folder = scratchFolder();
  const disk = join(folder, 'disk');
  const namespace = `runnc-calls-${process.pid}`;
  const BLOCKS = 8;

  before(() => {
    writeFileSync(disk, Buffer.alloc(BLOCKS * 512));
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'tuntap', 'add', 'name', 'tap', 'mode', 'tap']);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'tap', 'up']);
  });
  after(() => {
    execFileSync('ip', ['netns', 'delete', namespace]);
  });

  const fate = (
    kernel: string,
    options: readonly string[],
    within: readonly string[],
    call: string,
  ): Fate => {
    const run = tender.run({ within, options: ['--mem=2', ...options], kernel, args: call.split(' ') });
    const output = run.stdout.toString();
    if (run.end === 0) return output.startsWith('returned ') ? 'returned' : output === '' ? 'exited' : output;
    return typeof run.end === 'string' ? run.end : `status ${run.end}: ${output}${run.stderr}`;
  };
  const alone = (call: string): Fate => fate(unikernel('syscall'), [], [], call);
  const withDevices = (call: string): Fate =>
    fate(
      unikernel('syscalldev'),
      ['--net:net=tap', `--block:disk=${disk}`],
      ['ip', 'netns', 'exec', namespace],
      call,
    );

  /** Arguments that the filter lets through; a call that is not here gets zeros. */
  const everyGuest: Readonly<Record<number, string>> = {
    1: '1 buffer 0',
    158: '0x1002 0',
    228: '1 buffer',
    231: '0',
    281: 'epoll buffer 1 0',
    286: 'timer 1 buffer',
  };
  const deviceCalls: Readonly<Record<number, string>> = {
    0: 'fd:net buffer 2048',
    17: 'fd:disk buffer 512 0',
    18: 'fd:disk buffer 512 0',
  };

  const survivors = (
    make: (call: string) => Fate,
    args: Readonly<Record<number, string>>,
  ): { survived: number[]; odd: string[] } => {
    const survived: number[] = [];
    const odd: string[] = [];
    for (let number = 0; number <= LAST; number++) {
      const end = make(`syscall ${number} ${args[number] ?? '0'}`);
      if (end === 'returned' || end === 'exited') survived.push(number);
      else if (end !== 'SIGSYS') odd.push(`${number}: ${end}`);
    }
    return { survived, odd };
  };
  const numbers = (args: Readonly<Record<number, string>>): number[] => Object.keys(args).map(Number);
  const filtered = (list: readonly number[]): number[] =>
    list.filter((n) => !PASSES_EVERY_FILTER.includes(n));
  const filteredOdd = (list: readonly string[]): string[] =>
    list.filter((line) => !PASSES_EVERY_FILTER.includes(Number.parseInt(line)));

  it(`of 0 to ${LAST}, six come back without devices`, () => {
    const { survived, odd } = survivors(alone, everyGuest);
    expect(filtered(survived)).to.deep.equal(numbers(everyGuest));
    expect(filteredOdd(odd)).to.deep.equal([]);
  }).timeout(120_000);

  it(`of 0 to ${LAST}, nine come back with a network and a block device`, () => {
    const args = { ...everyGuest, ...deviceCalls };
    const { survived, odd } = survivors(withDevices, args);
    expect(filtered(survived)).to.deep.equal(numbers(args));
    expect(filteredOdd(odd)).to.deep.equal([]);
  }).timeout(120_000);

  it('end by exit_group only, not by exit', () => {
    expect(alone('syscall 231 0')).to.equal('exited');
    expect(alone('syscall 60 0')).to.equal('SIGSYS');
  });

  it('cannot be made by another entry: 32-bit, x32, the vsyscall page', () => {
    for (const number of [1, 4, 20, 102, 120]) expect(alone(`int80 ${number}`)).to.equal('SIGSYS');
    for (const number of [0, 1, 39, 231, 512, 520]) {
      expect(alone(`syscall ${0x40000000 + number} 1 buffer 0`), `x32 ${number}`).to.equal('SIGSYS');
    }
    // Where the host has no such page (vsyscall=none) the jump itself fails.
    expect(alone('vsyscall')).to.be.oneOf(['SIGSYS', 'SIGSEGV']);
  });

  describe('have their arguments pinned:', () => {
    const allowed: readonly string[] = [
      'syscall 1 1 buffer 0',
      'syscall 1 2 buffer 0',
      'syscall 1 fd:net buffer 0',
      'syscall 0 fd:net buffer 2048',
      'syscall 228 0 buffer',
      'syscall 228 1 buffer',
      'syscall 17 fd:disk buffer 512 0',
      `syscall 17 fd:disk buffer 512 ${(BLOCKS - 1) * 512}`,
      `syscall 18 fd:disk buffer 512 ${(BLOCKS - 1) * 512}`,
    ];
    for (const call of allowed) {
      it(`${call} comes back`, () => {
        expect(withDevices(call)).to.equal('returned');
      });
    }

    const forbidden: readonly [string, readonly string[]][] = [
      [
        'a write to another descriptor',
        ['0', '-1', '99', 'epoll', 'timer', 'fd:disk', '0x100000001'].map((fd) => `syscall 1 ${fd} buffer 0`),
      ],
      [
        'a read of another descriptor',
        ['0', '1', '-1', '99', 'epoll', 'timer', 'fd:disk'].map((fd) => `syscall 0 ${fd} buffer 8`),
      ],
      [
        'another clock',
        ['2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '-1', '-2', '0x100000000'].map(
          (clock) => `syscall 228 ${clock} buffer`,
        ),
      ],
      [
        'another epoll set',
        ['0', '1', 'timer', 'fd:net', 'fd:disk', '-1'].map((fd) => `syscall 281 ${fd} buffer 1 0`),
      ],
      ['a signal mask while waiting', ['syscall 281 epoll buffer 1 0 buffer 8']],
      ['another timer', ['0', 'epoll', 'fd:net', 'fd:disk', '-1'].map((fd) => `syscall 286 ${fd} 1 buffer`)],
      ['a look at the timer’s old value', ['syscall 286 timer 1 buffer buffer']],
      [
        'another use of arch_prctl',
        // SET_GS, GET_FS, GET_GS, SET_CPUID, REQ_XCOMP_PERM, MAP_VDSO_64, ENABLE_TAGGED_ADDR, SHSTK_ENABLE
        ['0x1001', '0x1003', '0x1004', '0x1012', '0x1023', '0x2003', '0x4002', '0x5001'].map(
          (code) => `syscall 158 ${code} 0`,
        ),
      ],
      ...(['17', '18'] as const).flatMap((nr): [string, readonly string[]][] => [
        [
          `call ${nr} on another descriptor`,
          ['0', '1', 'epoll', 'timer', 'fd:net', '-1'].map((fd) => `syscall ${nr} ${fd} buffer 512 0`),
        ],
        [
          `call ${nr} with another size`,
          ['0', '1', '511', '513', '1024', '-1', '0x100000200'].map(
            (size) => `syscall ${nr} fd:disk buffer ${size} 0`,
          ),
        ],
        [
          `call ${nr} beyond the device`,
          [(BLOCKS - 1) * 512 + 1, BLOCKS * 512, 1 << 30, -1, -512, '0x8000000000000000'].map(
            (offset) => `syscall ${nr} fd:disk buffer 512 ${offset}`,
          ),
        ],
      ]),
    ];
    for (const [what, calls] of forbidden) {
      it(`${what} ends the guest by SIGSYS`, () => {
        const fates = calls.map((call) => `${call}: ${withDevices(call)}`);
        expect(fates).to.deep.equal(calls.map((call) => `${call}: SIGSYS`));
      });
    }
  });
});
