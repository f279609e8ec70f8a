/** What a guest gets beyond Solo5's ABI: only what it asks for, and of that only what the plan allows. */
import { expect } from 'chai';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pipePair, receiveMessage, sendMessage, socketPair, windowMemfd } from '../../src/native.ts';
import type { Outcome } from '../unikernels/guest.ts';
import { scratchFolder } from '../unikernels/guest.ts';
import { abiNote, type ExtrasNote, extrasNote, manifestNote, writeKernel } from './kernel-file.ts';
import { buildExtrasGuest, buildPlainGuest, expectRefusal, tender, tenderPath } from './test-guest.ts';

const EXTRAS = {
  'exec-heap': 1,
  'boot-config': 2,
  sud: 4,
  'rootfs-map': 8,
  vnet: 16,
  vtimer: 32,
  memctl: 64,
  stdio: 128,
  channel: 256,
} as const;
type Extra = keyof typeof EXTRAS;
const ALL = Object.keys(EXTRAS) as Extra[];
const MIB = 2 ** 20;
const BYTES = 5000;

describe('extras of the tender', () => {
  const folder = scratchFolder();
  const config = join(folder, 'config');
  const image = join(folder, 'image');
  let guest: string;
  let plain: string;

  before(() => {
    guest = buildExtrasGuest(folder);
    plain = buildPlainGuest(folder);
    writeFileSync(config, Buffer.alloc(BYTES, 'c'));
    writeFileSync(image, Buffer.alloc(2 * BYTES, 'i'));
  });

  const allow = (...extras: Extra[]): string => `--allow-extras=${extras.join(',')}`;
  const run = (extras: readonly Extra[], what: string, ...options: string[]): Outcome =>
    tender(['--mem=64', allow(...extras), ...options, guest, ...what.split(' ')]);
  const printed = ({ stdout, stderr }: Outcome): Record<string, number> => {
    const lines = stdout.toString().trim().split('\n');
    expect(stderr).to.equal('');
    return Object.fromEntries(
      lines.map((line) => line.split('=')).map(([name, value]) => [name, Number(value)]),
    );
  };

  describe('by note', () => {
    const path = join(folder, 'kernel.spt');
    const load = (note: ExtrasNote, ...options: string[]): Outcome =>
      tender([...options, writeKernel(path, { notes: [abiNote(), manifestNote(), extrasNote(note)] })]);

    it('are none for a guest that does not ask, whatever is allowed', () => {
      expect(load({}, allow(...ALL)).end).to.equal(0);
      const filter = (kernel: string, ...options: string[]): string =>
        tender(['--seccomp-dump', ...options, kernel]).stdout.toString();
      expect(filter(plain, allow(...ALL))).to.equal(filter(plain));
    });

    it('are none for a guest that may do without and is not allowed any', () => {
      expect(load({ wanted: 0x1ff }).end).to.equal(0);
      expect(printed(tender([guest, 'info']))).to.include({ granted: 0, version: 1 });
    });

    it('that a guest needs must be allowed, and it says which', () => {
      for (const name of ALL)
        expectRefusal(
          load({ needed: EXTRAS[name] }),
          `needs the extra ${name}, which is not allowed; give --allow-extras=${name}`,
        );
      expectRefusal(load({ needed: 0xff }, allow('exec-heap')), 'needs the extra boot-config');
      expect(
        load({ needed: EXTRAS.memctl | EXTRAS['exec-heap'] }, allow('exec-heap', 'memctl')).end,
      ).to.equal(0);
    });

    it('that the tender does not know are refused, wanted or needed', () => {
      expectRefusal(load({ wanted: 1 << 9 }), 'an extra that this tender does not know (bit 9)');
      expectRefusal(load({ needed: 0x80000000 }, allow(...ALL)), 'does not know (bit 31)');
    });

    it('in a note of another version, size or shape are refused', () => {
      expectRefusal(load({ version: 2 }), 'extras note has version 2; this tender knows 1');
      expectRefusal(load({ reserved: 5 }), '0x5 where 0 is reserved');
      expectRefusal(load({ addresses: [0n] }), 'extras note has 24 bytes, not 64');
      expectRefusal(load({ addresses: Array<bigint>(7).fill(0n) }), 'has a descriptor of 76 bytes');
    });

    it('of an unknown name cannot be allowed', () => {
      expectRefusal(load({}, '--allow-extras=sudo'), "there is no extra 'sudo'");
      expectRefusal(load({}, '--allow-extras=sud,,stdio'), "there is no extra ''");
      expect(load({}, '--allow-extras=').end).to.equal(0);
    });

    it('whose file is given but not granted are refused', () => {
      expectRefusal(tender([`--boot-config=${config}`, plain]), '--boot-config');
      expectRefusal(tender([`--rootfs=${config}`, guest]), '--allow-extras must name it');
      expectRefusal(
        tender([allow('boot-config'), `--segments=${config}`, guest]),
        'has not the extra rootfs-map',
      );
      expectRefusal(tender([allow('boot-config'), `--image=${config}`, guest]), 'rootfs-map');
    });

    it('with addresses outside of the kernel image are refused', () => {
      const text = 0x100000n;
      const good = [text, 16n, 0x101000n, text, 0x101000n, 4096n];
      // Each in turn at guest memory that is not the image's, and at the end of all addresses.
      for (const [index, what] of [
        [0, 'the gate'],
        [2, 'the selector'],
        [3, 'the signal handler'],
        [4, 'the signal stack'],
      ] as const)
        for (const address of [0n, 0x11000n, 0x200000n, 0xfffffffffffffff0n]) {
          const addresses = good.with(index, address);
          const note = extrasNote({ needed: EXTRAS.sud, addresses });
          const kernel = writeKernel(path, {
            segments: [{}, { flags: 6, offset: 0x2000n, vaddr: 0x101000n, memsz: 0x2000n }],
            notes: [abiNote(), manifestNote(), note],
          });
          expectRefusal(tender([allow('sud'), kernel]), `puts ${what} at`);
        }
    });
  });

  it('exec-heap makes the heap executable', () => {
    expect(run(['exec-heap'], 'execute').stdout.toString()).to.equal('executed\n');
    expect(run([], 'execute').end).to.equal('SIGSEGV');
  });

  describe('boot-config', () => {
    it('maps a blob of any size above guest memory, from a path or a descriptor', () => {
      writeFileSync(config, Buffer.alloc(BYTES, 'c'));
      const expected = { config_size: BYTES, config_last: 'c'.charCodeAt(0), config_above: 1 };
      expect(printed(run(['boot-config'], 'info', `--boot-config=${config}`))).to.include(expected);
      const fd = openSync(config, 'r');
      const options = ['--mem=64', allow('boot-config'), '--boot-config=@3', guest, 'info'];
      const byFd = tender(options, { stdio: ['ignore', 'pipe', 'pipe', fd] });
      closeSync(fd);
      expect(printed(byFd)).to.include(expected);
      truncateSync(config, 64 * MIB + 1);
      expect(printed(run(['boot-config'], 'info', `--boot-config=${config}`))).to.include({
        config_size: 64 * MIB + 1,
        config_last: 0,
      });
      writeFileSync(config, Buffer.alloc(BYTES, 'c'));
    });

    it('is read-only', () => {
      expect(run(['boot-config'], 'write-config', `--boot-config=${config}`).end).to.equal('SIGSEGV');
    });

    it('that is empty or no file is refused', () => {
      writeFileSync(image, '');
      expectRefusal(run(['boot-config'], 'info', `--boot-config=${image}`), 'is empty');
      expectRefusal(run(['boot-config'], 'info', `--boot-config=${folder}`), 'neither a regular file');
      writeFileSync(image, Buffer.alloc(2 * BYTES, 'i'));
    });

    it('hands over a fresh seed, the vDSO and what the processor needs', () => {
      const ELF = 0x464c457f;
      const info = printed(run(['boot-config'], 'info', `--boot-config=${config}`));
      expect(info).to.include({ seed: 1, vdso: ELF });
      expect(info['minsigstksz']).to.be.within(1024, 65536);
    });
  });

  describe('rootfs-map', () => {
    const files = (): string[] => [`--rootfs=${image}`, `--segments=${config}`];

    it('maps the image, and its companion inside guest memory', () => {
      const info = printed(run(['rootfs-map'], 'info', ...files()));
      expect(info).to.include({ rootfs_size: 2 * BYTES, rootfs_last: 'i'.charCodeAt(0) });
      expect(info).to.include({ segments_size: BYTES, segments_last: 'c'.charCodeAt(0) });
      expect((info['segments'] ?? 1) % (2 * MIB)).to.equal(0);
      expect(info['segments']).to.be.lessThan(64 * MIB - BYTES);
    });

    it('maps further images beside it, as many as the boot info can name', () => {
      const info = printed(run(['rootfs-map'], 'info', ...files(), `--image=${config}`, `--image=${image}`));
      expect(info).to.include({ images_count: 2, image_0_size: BYTES, image_1_size: 2 * BYTES });
      expect(info).to.include({ image_0_last: 'c'.charCodeAt(0), image_1_last: 'i'.charCodeAt(0) });
      expect(run(['rootfs-map'], 'write-image', `--image=${config}`).end).to.equal('SIGSEGV');
      const images = Array.from({ length: 64 }, () => `--image=${config}`);
      expect(printed(run(['rootfs-map'], 'info', ...images))).to.include({ images_count: 64 });
      expectRefusal(run(['rootfs-map'], 'info', ...images, `--image=${config}`), 'more than 64 times');
    });

    it('puts the companion below 2 GiB in a large memory, or where the plan says', () => {
      const large = tender(['--mem=1048576', allow('rootfs-map'), ...files(), guest, 'info']);
      expect(printed(large)['segments']).to.equal(0x7fe00000 - 2 * MIB);
      const base = `--segments=${config},base=0x800000`;
      expect(printed(run(['rootfs-map'], 'info', base))['segments']).to.equal(0x800000);
    });

    it('finds the companion within a larger file', () => {
      const part = `--segments=${image},offset=0x1000,size=0x1000`;
      const info = printed(run(['rootfs-map'], 'info', part));
      expect(info).to.include({ segments_size: 4096, segments_last: 'i'.charCodeAt(0) });
      const rest = printed(run(['rootfs-map'], 'info', `--segments=${image},offset=0x1000`));
      expect(rest).to.include({ segments_size: 2 * BYTES - 4096 });
      const based = printed(run(['rootfs-map'], 'info', `${part},base=0x800000`));
      expect(based).to.include({ segments: 0x800000, segments_size: 4096 });
      const place = printed(run(['rootfs-map'], 'info', part, '--program=0,0x1000,0x400000'));
      expect(place).to.include({ program: 0x400000, program_offset: 0, program_first: 'i'.charCodeAt(0) });
    });

    it('lets the guest write to its copy of the companion and not to the image', () => {
      const writing = run(['rootfs-map'], 'write-segments', ...files());
      expect(writing.stdout.toString()).to.equal('written\n');
      expect(readFileSync(config)[0]).to.equal('c'.charCodeAt(0));
      expect(run(['rootfs-map'], 'write-rootfs', ...files()).end).to.equal('SIGSEGV');
    });

    it('refuses a companion that does not fit or would cover the kernel', () => {
      const at = (base: string): Outcome => run(['rootfs-map'], 'info', `--segments=${config},base=${base}`);
      expectRefusal(at('0x100000'), 'do not fit into guest memory');
      expectRefusal(at('0x10000'), 'do not fit');
      expectRefusal(at('0x4000000'), 'do not fit');
      expectRefusal(at('0x3fff000'), 'do not fit');
      expectRefusal(at('0xfffffffffffff000'), 'do not fit');
      for (const base of ['0x800001', '-4096', 'x', '', '0x10000000000000000'])
        expectRefusal(at(base), 'is not a multiple of the page size');
      for (const part of ['offset=0x3000', 'size=0x3000', 'offset=0x1000,size=0x2000'])
        expectRefusal(run(['rootfs-map'], 'info', `--segments=${image},${part}`), 'are not within');
      for (const part of ['offset=1', 'size=0', 'size=-1', 'offset='])
        expectRefusal(run(['rootfs-map'], 'info', `--segments=${image},${part}`), 'is not a multiple');
      for (const part of ['', 'x', 'offset', 'base'])
        expectRefusal(run(['rootfs-map'], 'info', `--segments=${image},${part}`), 'expected offset=');
      expectRefusal(tender(['--mem=2', allow('rootfs-map'), `--segments=${config}`, guest]), 'raise --mem');
    });
  });

  describe('rootfs-map, and a program at its own address', () => {
    const program = (place: string, ...more: string[]): Outcome =>
      run(['rootfs-map'], 'info', ...more, `--program=${place}`);
    const segments = (): string => `--segments=${config}`;

    it('maps a part of the companion there as well', () => {
      const info = printed(program('0,0x1000,0x400000', segments()));
      expect(info).to.include({ program: 0x400000, program_size: 0x1000, program_offset: 0 });
      expect(info['program_first']).to.equal('c'.charCodeAt(0));
    });

    it('refuses what is not in the companion, not in pages, or in the way', () => {
      expectRefusal(program('0,0x1000,0x400000'), 'give --segments');
      expectRefusal(program(`0,0x${(2 ** 30).toString(16)},0x400000`, segments()), 'not within');
      expectRefusal(program('0xfffffffffffff000,0x1000,0x400000', segments()), 'not within');
      for (const address of ['0', '0x100000', '0x3fff000', '0xfffffffffffff000'])
        expectRefusal(program(`0,0x1000,${address}`, segments()), "are not between the kernel's end");
      for (const place of ['', '1', '1,2,3', '0,0x1000', '0,0x1000,0x400000,', '0,-4096,0x400000', '0,,0'])
        expectRefusal(program(place, segments()), 'expected OFFSET,SIZE,ADDR');
      expectRefusal(program('0,0,0x400000', segments()), 'its SIZE is 0');
    });
  });

  it('give up to 1 TiB of address space to guests with the note', () => {
    expect(printed(tender(['--mem=1048576', guest, 'info']))['mem_size']).to.equal(2 ** 40);
    expectRefusal(tender(['--mem=1048577', guest]), 'from 1 to 1048576');
  });

  describe('sud', () => {
    it('dispatches calls from outside of the gate to the guest', () => {
      expect(printed(run(['sud'], 'dispatch 41'))).to.deep.equal({ signal: 31, syscall: 41 });
    });

    it('gives the guest its faults', () => {
      expect(printed(run(['sud'], 'fault'))).to.deep.equal({ signal: 11 });
    });

    it('enters the guest with the selector at "allow", whatever its file says', () => {
      expect(printed(run(['sud'], 'info'))['selector']).to.equal(0);
    });

    it('kills the guest on an exit status that no process has', () => {
      expect(run(['sud'], 'exit 256').end).to.equal('SIGSYS');
    });
  });

  it('vtimer interrupts a guest that computes, and needs sud', () => {
    const { stdout } = run(['sud', 'vtimer'], 'spin');
    expect(stdout.toString()).to.equal('spinning\nsignal=26\n');
    expectRefusal(run(['vtimer'], 'spin'), 'the extra vtimer needs the extra sud');
  });

  it('leave closed gaps between places for stacks where the guest cannot close memory itself', () => {
    const large = (extras: readonly Extra[], what: string): Outcome =>
      tender(['--mem=16384', allow(...extras), guest, what]);
    const GIB = 2 ** 30;
    expect(printed(large(['sud'], 'info'))).to.include({ stack_slots: 4 * GIB, stack_slots_count: 256 });
    expect(printed(large(['sud', 'memctl'], 'info'))).to.include({ stack_slots: 0, stack_slots_count: 0 });
    expect(printed(large([], 'info'))).to.include({ stack_slots: 0, stack_slots_count: 0 });
    expect(printed(run(['sud'], 'info')), 'a small memory').to.include({ stack_slots: 0 });
    expect(large(['sud'], 'stack-guard').stdout.toString()).to.equal('above\nsignal=11\n');
  });

  describe('memctl', () => {
    it('protects and forgets guest memory', () => {
      expect(printed(run(['memctl', 'sud'], 'protect'))).to.deep.equal({ protect: 0, signal: 11 });
      expect(printed(run(['memctl'], 'forget'))).to.deep.equal({ forget: 0, then: 0 });
    });

    for (const [what, call] of [
      ['a range that starts above guest memory', 'protect-above'],
      ['a range longer than the gap above guest memory', 'protect-long'],
      ['other protections than read, write and execute', 'protect-growing'],
      ['other advice', 'advise-free'],
    ] as const)
      it(`kills the guest on ${what}`, () => {
        expect(run(['memctl', 'exec-heap'], call).end).to.equal('SIGSYS');
      });

    it('forgets the rootfs image as a whole, which shows again, and no part of it', () => {
      const files = `--rootfs=${image}`;
      expect(printed(run(['memctl', 'rootfs-map'], 'forget-rootfs', files))).to.deep.equal({
        forget: 0,
        then: 'i'.charCodeAt(0),
      });
      expect(run(['memctl', 'rootfs-map'], 'forget-rootfs-part', files).end).to.equal('SIGSYS');
      expect(run(['rootfs-map'], 'forget-rootfs', files).end).to.equal('SIGSYS');
    });

    it('kills the guest where it was not granted', () => {
      expect(run([], 'forget').end).to.equal('SIGSYS');
    });
  });

  describe('channel', () => {
    /** Runs the guest with the far end of a socket pair as descriptor 3 and, if asked for, a window as 4. */
    const withChannel = async (
      what: string,
      options: readonly string[],
      talk: (end: number) => void,
      window?: number,
    ): Promise<Outcome> => {
      const [near, far] = socketPair();
      try {
        talk(near);
        const child = spawn(tenderPath, ['--mem=64', ...options, guest, ...what.split(' ')], {
          stdio: ['ignore', 'pipe', 'pipe', far, window ?? 'ignore'],
        });
        closeSync(far);
        const [stdout, stderr, [status, signal]] = await Promise.all([
          child.stdout?.toArray() ?? [],
          child.stderr?.toArray() ?? [],
          once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
        ]);
        return {
          end: status ?? signal,
          stdout: Buffer.concat(stdout as Buffer[]),
          stderr: Buffer.concat(stderr).toString(),
        };
      } finally {
        closeSync(near);
      }
    };
    const allowed = allow('channel', 'stdio');

    it('reads and writes on a socket of the plan, which it finds by name and in the epoll set', async () => {
      let answer = Buffer.alloc(0);
      const [near, far] = socketPair();
      const child = spawn(tenderPath, ['--mem=64', allowed, '--channel=files=@3', guest, 'channel'], {
        stdio: ['ignore', 'pipe', 'inherit', far],
      });
      closeSync(far);
      // From the start: Node throws away what nobody reads once the program has ended.
      const printed = child.stdout?.toArray();
      try {
        sendMessage(near, Buffer.from('to the guest'));
        for (;;) {
          const { data } = await receiveMessage(near, 0);
          if (data.length === 0) break;
          answer = Buffer.concat([answer, data]);
        }
      } finally {
        closeSync(near);
      }
      expect(answer.toString()).to.equal('to the guest');
      const text = Buffer.concat((await printed) as Buffer[]).toString();
      expect(text).to.equal('files\nread=12\nwritten=12\n');
    });

    it('with --keep, the other end stays open in the process, and the filter allows nothing on it', async () => {
      const options = [allowed, '--channel=files=@3', '--keep=@4'];
      const other = openSync(config, 'r+');
      try {
        const { stdout, stderr } = await withChannel(
          'channel',
          ['--seccomp-dump', ...options],
          () => undefined,
          other,
        );
        expect(stdout.toString(), stderr).to.match(/read\(fd = 3\)/);
        expect(stdout.toString()).not.to.match(/fd = 4\b/);
        const running = await withChannel(
          'channel',
          options,
          (near) => sendMessage(near, Buffer.from('hello')),
          other,
        );
        expect(running.stdout.toString(), running.stderr).to.equal('files\nread=5\nwritten=5\n');
        for (const wrong of ['--keep=/dev/null', '--keep=4'])
          expectRefusal(
            await withChannel('info', [allowed, wrong], () => undefined, other),
            'is not @ and the number',
          );
        expectRefusal(
          await withChannel('info', [...options, '--keep=@3'], () => undefined, other),
          'two devices',
        );
      } finally {
        closeSync(other);
      }
    });

    it('shares a sealed window with the guest', async () => {
      const window = windowMemfd('window', 8192);
      const option = '--channel=files=@3,window=@4';
      const run = await withChannel('window', [allowed, option], () => undefined, window);
      expect(run.stdout.toString(), run.stderr).to.equal('window_size=8192\n');
      const content = Buffer.alloc(3);
      readSync(window, content, 0, 3, 8189);
      closeSync(window);
      expect(content.toString()).to.equal('end');
    });

    it('lets the guest read what comes by its pipes, and write nothing to them', async () => {
      const [out, into] = pipePair(65_536);
      const options = [allowed, '--channel=files=@3,pipe=@4'];
      writeSync(into, 'hello');
      const read = await withChannel('pipes', options, () => undefined, out);
      expect(read.stdout.toString(), read.stderr).to.equal('pipes=1\nread=5\nagain=11\n');
      expect((await withChannel('pipes w', options, () => undefined, out)).end).to.equal('SIGSYS');
      for (const [option, text] of [
        ['--channel=files=@3,pipe=@4,pipe=@4', 'two devices'],
        [`--channel=files=@3${',pipe=@4'.repeat(5)}`, 'more than 4 pipes'],
        ['--channel=files=@3,pipe=@3', 'not the end of a pipe to read from'],
      ] as const)
        expectRefusal(await withChannel('info', [allowed, option], () => undefined, out), text);
      const wrongEnd = await withChannel('info', options, () => undefined, into);
      expectRefusal(wrongEnd, 'not the end of a pipe to read from');
      closeSync(out);
      closeSync(into);
    });

    it('is refused where it is no socket, has a bad name, or no window that stays', async () => {
      const plainFile = openSync(config, 'r+');
      const refused = async (option: string, text: string, ...more: string[]): Promise<void> => {
        expectRefusal(
          await withChannel('info', [allowed, option, ...more], () => undefined, plainFile),
          text,
        );
      };
      await refused('--channel=files=@4', 'neither a UNIX socket nor a connected UDP socket');
      await refused('--channel=files=@3,window=@4', 'not sealed against shrinking');
      await refused('--channel=files=@3,other=@4', 'expected window=@FD');
      await refused('--channel=files=/dev/null', 'is not @ and the number');
      for (const name of ['', 'Files', 'abcdefghijkl', 'a b'])
        await refused(`--channel=${name}=@3`, 'expected NAME=@FD');
      await refused('--channel=files=@3', 'is given twice', '--channel=files=@3');
      await refused('--channel=files=@3', 'cannot wait for it', '--channel=other=@3');
      closeSync(plainFile);
      expectRefusal(
        await withChannel('info', [allow('stdio'), '--channel=files=@3'], () => undefined),
        'has not the extra channel',
      );
    });

    it('adds nothing to the filter of a guest without one', () => {
      const filter = (...extras: Extra[]): string =>
        tender(['--seccomp-dump', allow(...extras), guest]).stdout.toString();
      expect(filter('stdio', 'channel')).to.equal(filter('stdio'));
    });
  });

  describe('stdio', () => {
    const echoArgs = (): string[] => ['--mem=2', allow('stdio'), guest, 'echo'];

    it('reads standard input to its end', () => {
      const input = 'x'.repeat(200_000);
      expect(tender(echoArgs(), { input, stdio: 'pipe' }).stdout.toString()).to.equal(input);
    });

    it('wakes the guest when input comes', async () => {
      const child = spawn(tenderPath, echoArgs(), { stdio: 'pipe' });
      const ended = once(child, 'close');
      for (const line of ['one\n', 'two\n', 'three\n']) {
        child.stdin.write(line);
        const [answer] = (await once(child.stdout, 'data')) as [Buffer];
        expect(answer.toString()).to.equal(line);
      }
      child.stdin.end();
      expect(await ended).to.deep.equal([0, null]);
    });

    it('leaves O_NONBLOCK off for others who hold the same pipe', () => {
      // The shell's own end of the pipe is looked at after the guest has run with it.
      const script = `"$0" --mem=2 ${allow('stdio')} "$1" info >/dev/null
        grep flags /proc/$$/fdinfo/0`;
      const { stdout } = spawnSync('sh', ['-c', `true | sh -c '${script}' ${tenderPath} ${guest}`]);
      const O_NONBLOCK = 0o4000;
      const [, flags = ''] = /^flags:\s+([0-7]+)\n$/.exec(stdout.toString()) ?? [];
      expect(flags).to.not.equal('');
      expect(Number.parseInt(flags, 8) & O_NONBLOCK).to.equal(0);
    });

    it('says which descriptors are files that are always ready', () => {
      const fd = openSync('/dev/null', 'r');
      const run = tender(['--mem=2', allow('stdio'), guest, 'info'], { stdio: [fd, 'pipe', 'pipe'] });
      closeSync(fd);
      expect(printed(run)).to.include({ stdio_ready: 1, stdio_nonblock: 7, stdio_tty: 0, timerfd: 0 });
    });

    it('tells the size of a terminal, and forbids the call without one', () => {
      expect(run(['stdio'], 'winsize').end).to.equal('SIGSYS');
      const command = `stty rows 31 cols 99; exec ${tenderPath} --mem=2 ${allow('stdio')} ${guest} winsize`;
      const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      expect(stdout.toString().replaceAll('\r', '')).to.equal('winsize=0\nrows=31\ncolumns=99\n');
    });
  });
});
