/** The probes of unikernels/, each with what a tender must make of it. The same for ours and for Solo5's. */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, scratchFolder, type Tender, unikernel } from './guest.ts';

/** Options before "--": enough memory for every probe, and little to zero. */
const MEMORY = '--mem=16';

export function describeProbes(tender: Tender): void {
  const probe = (name: string, ...args: string[]): Outcome =>
    tender.run({ options: [MEMORY], kernel: unikernel(name), args });

  describe('arguments', () => {
    it('arrive joined by single spaces, each as it was', () => {
      const args = ['a', 'b  c', '', '"quoted"', '\\', '$HOME', 'ü', '--mem=1'];
      const text = args.join(' ');
      const { end, stdout } = probe('args', ...args);
      expect(stdout.toString()).to.equal(`length=${Buffer.byteLength(text)}\n${text}`);
      expect(end).to.equal(0);
    });

    it('are empty when there are none', () => {
      expect(probe('args').stdout.toString()).to.equal('length=0\n');
    });

    it('may have 8191 bytes together and no more', () => {
      const longest = ['x'.repeat(4095), 'y'.repeat(4095)];
      expect(probe('args', ...longest).stdout.toString()).to.equal(`length=8191\n${longest.join(' ')}`);
      const { end, stdout, stderr } = probe('args', ...longest, '');
      expect(end).to.equal(1);
      expect(stdout.toString()).to.equal('');
      expect(stderr.trim().split('\n')).to.have.lengthOf(1);
    });

    it('that begin with --solo5: are not the program’s', () => {
      const run = probe('args', '--solo5:quiet', '--solo5:debug', 'x', '--solo5:quiet');
      expect(run.stdout.toString()).to.equal('length=15\nx --solo5:quiet');
    });
  });

  describe('exit status', () => {
    for (const status of [0, 1, 42, 254, 255]) {
      it(`is ${status} when solo5_app_main returns it and when solo5_exit gets it`, () => {
        expect(probe('exit', 'return', String(status)).end).to.equal(status);
        expect(probe('exit', 'exit', String(status)).end).to.equal(status);
      });
    }

    it('is 255 after solo5_abort', () => {
      expect(probe('exit', 'abort').end).to.equal(255);
    });

    it('is death by SIGILL after an invalid instruction', () => {
      expect(probe('exit', 'trap').end).to.equal('SIGILL');
    });
  });

  describe('memory', () => {
    it('has initialised data, zeroed bss, a zeroed heap and the stack on top', () => {
      const { end, stdout } = probe('globals');
      expect(stdout.toString()).to.equal(`heap_end=${16 << 20}\nPASS\n`);
      expect(end).to.equal(0);
    });

    it('allows what it must', () => {
      expectPass(probe('memory', 'allowed'));
    });

    const forbidden = [
      'null-read',
      'null-write',
      'null-page-end',
      'null-exec',
      'text-write',
      'constant-write',
      'constant-exec',
      'data-exec',
      'heap-exec',
      'stack-exec',
      'beyond-read',
      'beyond-write',
      'kernel-read',
    ];
    for (const mode of forbidden) {
      it(`ends the guest by SIGSEGV on ${mode}`, () => {
        const { end, stdout } = probe('memory', mode);
        expect(stdout.toString()).to.equal('');
        expect(end).to.equal('SIGSEGV');
      });
    }

    it('of too small a size is refused with one line', () => {
      const run = tender.run({ options: ['--mem=1'], kernel: unikernel('globals') });
      expect(run.end).not.to.equal(0);
      expect(run.stdout.toString() + run.stderr).to.match(/mem/i);
    });
  });

  describe('thread-local storage', () => {
    it('gives each block its own initialised and aligned variables', () => {
      expectPass(probe('tls'));
    });

    it('does not exist before a base is set', () => {
      expect(probe('tls', 'none').end).to.equal('SIGSEGV');
    });

    it('refuses a base that is no address', () => {
      expectPass(probe('tls', 'refused'));
    });
  });

  describe('stack protector', () => {
    it('aborts a function that overran its buffer before it returns', () => {
      const { end, stdout } = probe('ssp', 'smash');
      expect(end).to.equal(255);
      expect(stdout.toString())
        .to.match(/stack corruption detected\n$/i)
        .and.not.include('FAIL');
    });

    it('has another canary in each run, with a zero byte that stops strings', () => {
      const canaries = [1, 2, 3].map(() => probe('ssp').stdout.toString().trim());
      expect(new Set(canaries).size).to.equal(3);
      for (const canary of canaries) expect(canary).to.match(/^canary=[0-9a-f]+00$/);
    });
  });

  it('the floating-point unit starts clean and keeps its registers across host calls', () => {
    expectPass(probe('simd'));
  });

  describe('time', () => {
    it('goes forwards, is the host’s, and yield waits until its deadline', () => {
      const before = BigInt(Date.now()) * 1_000_000n;
      const run = probe('time');
      const after = BigInt(Date.now() + 1) * 1_000_000n;
      expect(run.stdout.toString()).to.match(/^wall=\d+\nPASS\n$/);
      const wall = BigInt(/^wall=(\d+)/.exec(run.stdout.toString())?.[1] ?? 0);
      expect(wall >= before && wall <= after, `wall clock ${wall} between ${before} and ${after}`).to.equal(
        true,
      );
    });

    it('of a yield without end passes until the guest is killed', async () => {
      const guest = tender.start({ options: [MEMORY], kernel: unikernel('time'), args: ['forever'] });
      await guest.printed('waiting');
      guest.signal('SIGKILL');
      const { end, stdout } = await guest.ended();
      expect(end).to.equal('SIGKILL');
      expect(stdout.toString()).to.equal('waiting\n');
    });
  });

  describe('console', () => {
    for (const [bytes, chunk] of [
      [100_000, 1],
      [3_000_000, 777],
      [64 << 20, 1 << 20],
    ] as const) {
      it(`carries ${bytes} bytes in writes of ${chunk} whole and in order`, () => {
        const { end, stdout } = probe('flood', String(bytes), String(chunk));
        expect(end).to.equal(0);
        expect(stdout.length).to.equal(bytes);
        const wrong = stdout.findIndex((byte, i) => byte !== 97 + (i % 26));
        expect(wrong).to.equal(-1);
      });
    }
  });

  describe('block devices', () => {
    const folder = scratchFolder();
    const image = (name: string, content: Buffer): string => {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    };
    const withDisk = (path: string, options: readonly string[], ...args: string[]): Outcome =>
      tender.run({ options: [MEMORY, `--block:disk=${path}`, ...options], kernel: unikernel('block'), args });

    it('are described by capacity and block size', () => {
      const disk = image('info', Buffer.alloc(10 * 512));
      expect(withDisk(disk, [], 'info').stdout.toString()).to.equal('capacity=5120\nblock_size=512\n');
    });

    for (const size of [512, 1024, 4096, 32768]) {
      it(`read, write and refuse what they must with blocks of ${size} bytes`, () => {
        const disk = image(`check${size}`, Buffer.alloc(8 * size));
        const sizes = size === 512 ? [] : [`--block-sector-size:disk=${size}`];
        expect(withDisk(disk, sizes, 'info').stdout.toString()).to.equal(
          `capacity=${8 * size}\nblock_size=${size}\n`,
        );
        expectPass(withDisk(disk, sizes, 'check'));
      });
    }

    it('can have a single block', () => {
      expectPass(withDisk(image('single', Buffer.alloc(512)), [], 'check'));
    });

    it('are acquired once', () => {
      expectPass(withDisk(image('again', Buffer.alloc(512)), [], 'again'));
    });

    it('show the file and write into it, at the right place and nowhere else', () => {
      const content = Buffer.alloc(4 * 512, 0xee);
      content.fill('third', 2 * 512, 3 * 512);
      const disk = image('place', content);
      expect(withDisk(disk, [], 'read', '2').stdout).to.deep.equal(content.subarray(1024, 1536));
      expectPass(withDisk(disk, [], 'write', '1'));
      const letters = Buffer.from(Array.from({ length: 512 }, (_, i) => 97 + (i % 26)));
      letters.copy(content, 512);
      expect(readFileSync(disk)).to.deep.equal(content);
    });

    it('can be 63, each found by its name', () => {
      const disks = Array.from({ length: 63 }, (_, i) => image(`disk${i}`, Buffer.alloc(512, i)));
      const options = disks.map((path, i) => `--block:disk${i}=${path}`);
      expectPass(tender.run({ options: [MEMORY, ...options], kernel: unikernel('block63') }));
      for (const [i, path] of disks.entries()) {
        expect([...readFileSync(path).subarray(0, 3)]).to.deep.equal([i, 255 - i, i]);
      }
    });
  });
}

function expectPass({ end, stdout, stderr }: Outcome): void {
  expect({ end, stdout: stdout.toString(), stderr }).to.include({ end: 0, stdout: 'PASS\n' });
}
