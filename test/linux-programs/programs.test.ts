/** Linux programs, unchanged, through the installed runtime. What they do on this machine is what they have to do. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Draft, Playground, until } from '../support/bundle.ts';
import { procStatus } from '../support/host-state.ts';
import { runtime } from '../support/paths.ts';
import { onTerminal } from '../support/terminal.ts';
import { type Linkage, Rootfs } from './rootfs.ts';

const MIB = 1024 * 1024;
const LINKAGES: readonly Linkage[] = [
  'static',
  'static-pie',
  'dynamic',
  'dynamic-nopie',
  'musl-static',
  'musl-dynamic',
];

describe('Linux programs', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;
  let calls = 0;

  before(() => {
    rootfs = new Rootfs();
    for (const linkage of LINKAGES) rootfs.compile('hello.c', linkage, `hello-${linkage}`);
    rootfs.compile('hello.go', 'go', 'hello-go');
    rootfs.compile('load.go', 'go');
    rootfs.compile('threads.c', 'static');
    rootfs.compile('threads.c', 'musl-static', 'threads-musl');
    rootfs.compile('vectors.c', 'dynamic');
    rootfs.compile('probe.c', 'dynamic');
    rootfs.compile('probe.c', 'dynamic-nopie', 'probe-fixed');
    rootfs.compile('probe.c', 'musl-static', 'probe-musl');
    rootfs.write('/usr/bin/script', '#!/usr/bin/busybox cat\nthe script itself\n', 0o755);
    rootfs.write('/usr/bin/with-argument', '#! /usr/bin/hello-static  one argument \n', 0o755);
    rootfs.write('/usr/bin/of-script', '#!/usr/bin/with-argument\n', 0o755);
    rootfs.write('/usr/bin/orphan', '#!/no/such/interpreter\n', 0o755);
    rootfs.write('/usr/bin/fixed-script', '#!/usr/bin/probe-fixed wait\n', 0o755);
    rootfs.write('/usr/bin/plain', 'no program\n', 0o644);
    rootfs.write('/usr/bin/private', '#!/usr/bin/busybox cat\n', 0o700);
  });
  after(() => {
    rootfs.remove();
  });
  beforeEach(() => {
    host = new Playground();
  });
  afterEach(async () => {
    const leftovers = host.leftovers();
    await host.close();
    expect(leftovers).to.deep.equal([]);
  });

  const run = (
    args: readonly string[],
    change?: (spec: Draft) => void,
    options: { readonly input?: string; readonly flags?: readonly string[] } = {},
  ): ReturnType<Playground['runnc']> =>
    host.runnc(
      [
        'run',
        ...(options.flags ?? []),
        '--bundle',
        rootfs.bundle(host, args, change),
        `run-${String(calls++)}`,
      ],
      options,
    );

  /** The same program here and there: same output, same status. */
  async function same(args: readonly string[], input?: string): Promise<void> {
    const [guest, native] = await Promise.all([
      run(args, undefined, input === undefined ? {} : { input }),
      rootfs.native(args, input),
    ]);
    expect(guest, args.join(' ')).to.deep.equal({
      status: native.status,
      stdout: native.stdout,
      stderr: native.stderr,
    });
  }

  /** /proc/PID/maps of the process, once the program says that it is ready. */
  async function mapsOf(args: readonly string[]): Promise<string> {
    const id = `maps-${String(calls++)}`;
    const call = host.start(['run', '-b', rootfs.bundle(host, args), id]);
    await call.prints('ready');
    const { pid } = await host.state(id);
    const maps = readFileSync(`/proc/${String(pid)}/maps`, 'utf8');
    await host.runnc(['kill', id, 'KILL']);
    await call.end();
    return maps;
  }

  describe('of every kind', () => {
    for (const linkage of [...LINKAGES, 'go'] as const) {
      it(`runs: ${linkage}`, () => same([`/usr/bin/hello-${linkage}`, 'two words', '', 'ü"\\$']));
    }

    it('runs: scripts, also of scripts, with the argument of their first line', async () => {
      await same(['/usr/bin/script']);
      await same(['/usr/bin/with-argument', 'more']);
      await same(['/usr/bin/of-script', 'more']);
    });

    it('keeps goroutines, channels, timers and the collector of a Go program going', () => same(['load']));

    it('runs 1000 threads of glibc and of musl', async () => {
      await same(['threads']);
      await same(['threads-musl']);
    });

    it('keeps each thread its vector registers and its rounding', () => same(['vectors']));
  });

  describe('end', () => {
    it('with their own status', async () => {
      for (const status of ['0', '7', '255']) await same(['probe', 'exit', status]);
    });

    it('by a stack overflow and by a write to a page without rights, as by SIGSEGV', async () => {
      expect((await run(['probe', 'overflow'])).status).to.equal(139);
      expect((await run(['probe', 'guard'])).status).to.equal(139);
    });

    it('by SIGKILL and by signals from outside that they catch; what they do not catch passes process 1 by', async () => {
      const waiting = host.start(['run', '-b', rootfs.bundle(host, ['probe', 'wait']), 'waiter']);
      await waiting.prints('ready');
      for (const signal of [1, 2, 10, 15]) await host.runnc(['kill', 'waiter', String(signal)]);
      // It answers this one after those.
      await host.runnc(['kill', 'waiter', '12']);
      await waiting.prints('caught USR2');
      expect((await host.state('waiter')).status).to.equal('running');
      await host.runnc(['kill', 'waiter', 'KILL']);
      expect((await waiting.end()).status).to.equal(137);
      for (const signal of [1, 2, 10, 15]) {
        const bundle = rootfs.bundle(host, ['probe', 'catch', String(signal)]);
        const call = host.start(['run', '-b', bundle, 'catcher']);
        await call.prints('ready');
        await host.runnc(['kill', 'catcher', String(signal)]);
        expect(await call.end()).to.deep.include({ status: signal, stdout: 'ready\ncaught a signal\n' });
      }
    });
  });

  describe('that cannot be started', () => {
    for (const [what, args, status, text] of [
      ['is not there', ['/no/such'], 1, '"/no/such": no such file'],
      ['is not in PATH', ['nowhere'], 1, 'executable file not found in $PATH'],
      ['is not executable', ['/usr/bin/plain'], 1, 'permission denied'],
      ['is a script without its interpreter', ['/usr/bin/orphan'], 127, 'no such file or directory'],
    ] as const) {
      it(`say so: one that ${what}`, async () => {
        const result = await run(args);
        expect(result).to.deep.include({ status, stdout: '' });
        expect(result.stderr)
          .to.contain(text)
          .and.match(/^[^\n]+\n$/);
      });
    }

    it('say so: one that its user may not execute', async () => {
      const result = await run(['/usr/bin/private'], (spec) => {
        spec.process.user = { uid: 1000, gid: 1000 };
        spec.process.capabilities = {};
      });
      expect(result).to.deep.include({ status: 126, stdout: '' });
      expect(result.stderr).to.contain('permission denied');
    });
  });

  describe('see', () => {
    it('all of standard input, and its end', async () => {
      const text = Array.from({ length: 60_000 }, (_, i) => `line ${String(i)}\n`).join('');
      await same(['busybox', 'cat'], text);
      await same(['busybox', 'wc'], text);
      await same(['busybox', 'cat'], '');
    });

    it('their environment, and HOME as the image has it where it is not given', async () => {
      const { stdout } = await run(['busybox', 'env'], (spec) => {
        spec.process.env = ['PATH=/usr/bin', 'EMPTY=', 'ODD=a=b "c"\nd'];
        spec.process.user = { uid: 1000, gid: 1000 };
      });
      expect(stdout).to.equal('PATH=/usr/bin\nEMPTY=\nODD=a=b "c"\nd\nHOME=/home/alice\n');
    });

    it('their folder, which is made if it is missing', async () => {
      for (const folder of ['/etc', '/made/by/us']) {
        const { stdout } = await run(['busybox', 'pwd'], (spec) => {
          spec.process.cwd = folder;
        });
        expect(stdout).to.equal(`${folder}\n`);
      }
    });

    it('the ids, groups, umask and limits of config.json, names looked up in the image', async () => {
      const numbers = await run(['probe', 'identity'], (spec) => {
        spec.process.user = { uid: 5, gid: 6, additionalGids: [7, 8], umask: 0o027 };
        spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }];
      });
      expect(numbers.stdout).to.equal('uid 5 5 gid 6 6 groups 7 8 umask 027 files 100 200\n');
      const names = await run(['probe', 'identity'], (spec) => {
        spec.process.user = { username: 'alice' };
      });
      expect(names.stdout).to.match(/^uid 1000 1000 gid 1001 1001 groups 44 umask 022 /);
      const nobody = await run(['probe', 'identity'], (spec) => {
        spec.process.user = { username: 'carol' };
      });
      expect(nobody).to.deep.include({ status: 1, stdout: '' });
      expect(nobody.stderr).to.contain('/etc/passwd of the image has no user "carol"');
    });

    it('limits that would break the process around them, and live', async () => {
      const { status, stdout } = await run(['probe', 'identity'], (spec) => {
        spec.process.rlimits = [
          ...(['RLIMIT_AS', 'RLIMIT_DATA'] as const).map((type) => ({
            type,
            soft: 64 * MIB,
            hard: 64 * MIB,
          })),
          { type: 'RLIMIT_NOFILE', soft: 4, hard: 4 },
          { type: 'RLIMIT_NPROC', soft: 1, hard: 1 },
          { type: 'RLIMIT_FSIZE', soft: 0, hard: 0 },
          { type: 'RLIMIT_CPU', soft: 60, hard: 60 },
        ];
      });
      expect(stdout).to.contain('files 4 4');
      expect(status).to.equal(0);
    });

    it('the host name and domain name of the container', async () => {
      const { stdout } = await run(
        ['busybox', 'cat', '/proc/sys/kernel/hostname', '/proc/sys/kernel/domainname'],
        (spec) => {
          spec.hostname = 'box';
          spec.domainname = 'example.org';
        },
      );
      expect(stdout).to.equal('box\nexample.org\n');
    });

    it('files that are mounted; what they write to them stays with them', async () => {
      const file = join(host.folder, 'resolv.conf');
      writeFileSync(file, 'nameserver 192.0.2.1\n');
      const mount =
        (...options: string[]) =>
        (spec: Draft) => {
          spec.mounts = [
            ...(spec.mounts ?? []),
            { destination: '/etc/resolv.conf', type: 'bind', source: file, options: ['rbind', ...options] },
          ];
        };
      expect((await run(['busybox', 'cat', '/etc/resolv.conf'], mount())).stdout).to.equal(
        'nameserver 192.0.2.1\n',
      );
      const create = ['probe', 'create', '/etc/resolv.conf'];
      expect((await run(create, mount())).stdout).to.equal('written\n');
      expect((await run(create, mount('ro'))).stdout).to.equal('Read-only file system\n');
      expect(readFileSync(file, 'utf8')).to.equal('nameserver 192.0.2.1\n');
    });

    it('a root that is read-only, or one whose changes are theirs alone', async () => {
      const readonly = await run(['probe', 'create', '/etc/new'], (spec) => {
        spec.root = { path: rootfs.folder, readonly: true };
      });
      expect(readonly.stdout).to.equal('Read-only file system\n');
      expect((await run(['probe', 'create', '/etc/new'])).stdout).to.equal('written\n');
      expect((await run(['probe', 'create', '/etc/passwd'])).stdout).to.equal('written\n');
      expect(readFileSync(rootfs.path('/etc/passwd'), 'utf8')).to.contain('alice');
      expect((await run(['busybox', 'ls', '/etc'])).stdout).to.equal('group\npasswd\n');
    });

    it('a folder of the host, which they can change unless it is mounted read-only', async () => {
      const folder = join(host.folder, 'data');
      mkdirSync(join(folder, 'deep'), { recursive: true });
      writeFileSync(join(folder, 'deep/file'), 'of the host\n');
      const mount = (option: string) => (spec: Draft) => {
        const entry = { destination: '/data', type: 'bind', source: folder, options: ['rbind', option] };
        spec.mounts = [...(spec.mounts ?? []), entry];
      };
      expect((await run(['busybox', 'cat', '/data/deep/file'], mount('ro'))).stdout).to.equal(
        'of the host\n',
      );
      // Too large to be held in memory: it is an image in the cache then, made again when it changes.
      writeFileSync(join(folder, 'large'), Buffer.alloc(17 * MIB, 'x'));
      const words = ['busybox', 'wc', '-c', '/data/large', '/data/deep/file'];
      expect((await run(words, mount('ro'))).stdout).to.match(/^ *17825792 \S+\n *12 /);
      writeFileSync(join(folder, 'deep/file'), 'of the host, now\n');
      expect((await run(words, mount('ro'))).stdout).to.match(/^ *17825792 \S+\n *17 /);
      expect((await run(['busybox', 'touch', '/data/new'], mount('ro'))).status).to.equal(1);
      expect((await run(['busybox', 'touch', '/data/new'], mount('rw'))).status).to.equal(0);
      expect(existsSync(join(folder, 'new')), 'on the host').to.equal(true);
    });

    it('their terminal: its size, and lines edited on it', async () => {
      const bundle = rootfs.bundle(host, ['busybox', 'sh', '-c', 'read line && echo "<$line>"'], (spec) => {
        spec.process.terminal = true;
      });
      const typed = await onTerminal(
        runtime,
        ['--root', host.root, 'run', '-b', bundle, 'tty'],
        'wrong\x15right\r',
      );
      expect(typed.stdout).to.contain('<right>\r\n');
      expect(typed.status).to.equal(0);
    });
  });

  describe('and memory', () => {
    it('give it back to the host when they free it', async () => {
      const bundle = rootfs.bundle(host, ['probe', 'hold', '100']);
      const call = host.start(['run', '-b', bundle, 'hold']);
      await call.prints('holding');
      const { pid } = await host.state('hold');
      const residentMib = (): number => parseInt(procStatus(pid, 'VmRSS'), 10) / 1024;
      expect(residentMib()).to.be.greaterThan(100);
      await host.runnc(['kill', 'hold', 'USR1']);
      await call.prints('freed');
      await until(() => Promise.resolve(residentMib() < 20), 'the memory is back');
      await host.runnc(['kill', 'hold', 'USR1']);
      expect((await call.end()).status).to.equal(0);
    });

    it('run where they lie in the image, shared with all who run them, wherever they were linked to', async () => {
      const FIXED = /^00400000-\S+ r--p .*\/image/m;
      expect(await mapsOf(['probe-fixed', 'wait'])).to.match(FIXED);
      expect(await mapsOf(['fixed-script']), 'the interpreter of a script').to.match(FIXED);
      const anywhere = executedFromImage(await mapsOf(['probe', 'wait']));
      expect(anywhere, 'the program, its interpreter and the C library').to.have.length.of.at.least(3);
      // A change of what is not its content leaves a program where it is.
      const changed = ['probe', 'chmod-and-exec', '/usr/bin/probe', 'wait'];
      expect(executedFromImage(await mapsOf(changed))).to.deep.equal(anywhere);
    });

    it('of the image that they have read is given back when they sleep', async () => {
      const call = host.start(['run', '-b', rootfs.bundle(host, ['probe', 'wait']), 'sleeper']);
      await call.prints('ready');
      const { pid } = await host.state('sleeper');
      await until(
        () => Promise.resolve(residentKib(pid, /^\S+ r--s .*\/image$/) === 0),
        'the image is not resident',
      );
      await host.runnc(['kill', 'sleeper', 'KILL']);
      await call.end();
    });

    it("are killed when they take more than the container's limit, and others go on", async () => {
      const little = (spec: Draft): void => {
        spec.linux.resources = { memory: { limit: 64 * MIB } };
      };
      const alone = await run(['probe', 'devour'], little);
      expect(alone).to.include({ status: 137, stdout: '' });
      expect(alone.stderr).to.match(
        /^linux: out of memory: killed process 1 \(probe\), which holds \d+ KiB\n$/,
      );
      const child = await run(['busybox', 'sh', '-c', 'probe devour; echo "status $?"'], little);
      expect(child).to.include({ status: 0, stdout: 'status 137\n' });
    });

    it('of large reservations need no more than they touch: Go, threads', async () => {
      for (const args of [['load'], ['threads'], ['hello-go']]) {
        const [guest, native] = await Promise.all([
          run(args, (spec) => {
            spec.linux.resources = { memory: { limit: 48 * MIB } };
          }),
          rootfs.native(args),
        ]);
        expect(guest, args.join(' ')).to.deep.equal({
          status: native.status,
          stdout: native.stdout,
          stderr: '',
        });
      }
    });
  });

  describe('and annotations', () => {
    it('run under the strict profile, whose filter knows neither mprotect nor madvise', async () => {
      const strict = (spec: Draft): void => {
        spec.annotations = { 'io.runnc.profile': 'strict' };
      };
      for (const args of [['hello-dynamic'], ['hello-go'], ['threads'], ['load']]) {
        const [guest, native] = await Promise.all([run(args, strict), rootfs.native(args)]);
        expect(guest).to.deep.equal({ status: native.status, stdout: native.stdout, stderr: '' });
      }
    });

    it('still fault under the strict profile where a stack grows too far, of the first thread or another', async () => {
      const strict = (spec: Draft): void => {
        spec.annotations = { 'io.runnc.profile': 'strict' };
      };
      for (const which of ['overflow', 'overflow-of-a-thread'])
        expect((await run(['probe', which], strict)).status, which).to.equal(139);
    });

    it('count their calls: of those in hot loops hardly any traps, with glibc, musl and Go', async () => {
      for (const args of [
        ['probe', 'hot'],
        ['probe-musl', 'hot'],
        ['probe-fixed', 'hot'],
        ['hello-go', 'hot'],
      ]) {
        const { stderr } = await run(args, (spec) => {
          spec.annotations = { 'io.runnc.count-calls': 'true' };
        });
        const [, calls = '', trapped = ''] =
          /^linux: (\d+) system calls, (\d+) of them trapped\n$/.exec(stderr) ?? [];
        expect(Number(calls)).to.be.greaterThan(80_000);
        expect(Number(trapped) / Number(calls), `${args.join(' ')}: ${stderr}`).to.be.lessThan(0.05);
      }
    });

    it('are refused under a profile that does not exist', async () => {
      const { status, stderr } = await run(['hello-static'], (spec) => {
        spec.annotations = { 'io.runnc.profile': 'loose' };
      });
      expect(status).to.equal(1);
      expect(stderr).to.contain('annotations[io.runnc.profile]: expected "default" or "strict", got "loose"');
    });

    it('show their calls with --strace', async () => {
      const { status, stdout, stderr } = await run(['hello-static'], undefined, { flags: ['--strace'] });
      expect({ status, stdout }).to.deep.equal({ status: 1, stdout: 'hello-static\n' });
      expect(stderr)
        .to.match(/^\[1\] write\(1, .*, 13\) = 13$/m)
        .and.match(/exit_group\(1\)/);
    });
  });

  it('are named by ps on the host', async () => {
    const bundle = rootfs.bundle(host, ['probe', 'catch', '15']);
    const call = host.start(['run', '-b', bundle, 'named']);
    await call.prints('ready');
    const { pid } = await host.state('named');
    const words = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0');
    expect(words.slice(0, 3)).to.deep.equal(['probe', 'catch', '15']);
    await host.runnc(['kill', 'named', 'KILL']);
    expect((await call.end()).status).to.equal(137);
  });
});

/** Addresses of code that is mapped from the image's segments. */
function executedFromImage(maps: string): readonly string[] {
  return [...maps.matchAll(/^(\S+) r-xp .*\/image/gm)].map(([, address = '']) => address);
}

/** Of the mappings whose line is such a one. */
function residentKib(pid: number, mapping: RegExp): number {
  let kib = 0;
  let counts = false;
  for (const line of readFileSync(`/proc/${String(pid)}/smaps`, 'utf8').split('\n')) {
    if (/^[0-9a-f]+-/.test(line)) counts = mapping.test(line);
    else if (counts && line.startsWith('Rss:')) kib += parseInt(line.slice(4), 10);
  }
  return kib;
}
