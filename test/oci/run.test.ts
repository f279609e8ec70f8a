import { expect } from 'chai';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Playground } from '../support/bundle.ts';
import { run as runCommand } from '../support/command.ts';
import { procStatus } from '../support/host-state.ts';
import { runtime } from '../support/paths.ts';

describe('runnc run', () => {
  let host: Playground;

  beforeEach(() => {
    host = new Playground();
  });
  afterEach(async () => {
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  it('prints what the guest prints, returns its status and leaves nothing', async () => {
    const { status, stdout, stderr } = await host.runnc(['run', '--bundle', host.bundle('hello'), 'hello']);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    expect(stdout).to.equal('Hello from a unikernel\n');
  });

  it('runs where no folder for temporary files can be written or lets anything be executed', async () => {
    const call = [runtime, '--root', host.root, 'run', '--bundle', host.bundle('hello'), 'noexec'];
    for (const mount of [
      'mount -o remount,noexec /dev/shm',
      'mount -t tmpfs -o ro none /dev/shm',
      'mount -t proc none /dev/shm',
    ]) {
      const result = await runCommand('unshare', [
        '-m',
        'sh',
        '-c',
        `${mount} && TMPDIR=/proc exec "$@"`,
        'sh',
        ...call,
      ]);
      expect(result, mount).to.deep.equal({ status: 0, stdout: 'Hello from a unikernel\n', stderr: '' });
    }
  });

  it('returns every way in which a guest ends', async () => {
    for (const [args, status] of [
      [['exit', '0'], 0],
      [['exit', '7'], 7],
      [['return', '42'], 42],
      [['abort'], 255],
      [['trap'], 128 + 4],
    ] as const) {
      const result = await host.runnc(['run', '-b', host.bundle('exit', args), 'end']);
      expect(result.status, args.join(' ')).to.equal(status);
    }
  });

  it('passes the arguments on as they are', async () => {
    const args = ['a b', '--mem=7', '', '"q"', "it's", '$HOME', 'ü'];
    const { stdout } = await host.runnc(['run', '-b', host.bundle('args', args), 'args']);
    expect(stdout).to.include(args.join(' '));
  });

  it('tells a rumprun unikernel its arguments, environment and folder in the JSON it reads', async () => {
    const bundle = host.bundle('args', [], (spec) => {
      spec.process.args = ['/bin/app.nabla', 'a b'];
      spec.process.env = ['A=b'];
      spec.process.cwd = '/srv';
    });
    mkdirSync(join(bundle, 'rootfs/bin'));
    copyFileSync(join(bundle, 'rootfs/args.spt'), join(bundle, 'rootfs/bin/app.nabla'));
    const { stdout } = await host.runnc(['run', '-b', bundle, 'rumprun']);
    for (const part of ['"env":"A=b"', '"cmdline":"/bin/app.nabla ', 'a b', '"cwd":"/srv"']) {
      expect(stdout).to.include(part);
    }
  });

  it('takes a relative bundle, the working directory by default, and a rootfs behind a link', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.root = { path: 'link' };
    });
    symlinkSync('rootfs', join(bundle, 'link'));
    for (const [flags, cwd] of [
      [['--bundle', bundle.split('/').at(-1) ?? ''], host.folder],
      [[], bundle],
    ] as const) {
      const { stdout } = await host.runnc(['run', ...flags, 'relative'], { cwd });
      expect(stdout).to.include('Hello');
    }
  });

  it('finds the program through PATH and relative to cwd', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.process.args = ['hello'];
      spec.process.env = ['PATH=/nope:/opt/bin'];
    });
    mkdirSync(join(bundle, 'rootfs/opt/bin'), { recursive: true });
    copyFileSync(join(bundle, 'rootfs/hello.spt'), join(bundle, 'rootfs/opt/bin/hello'));
    expect((await host.runnc(['run', '-b', bundle, 'path'])).stdout).to.include('Hello');
    const relative = host.bundle('hello', [], (spec) => {
      spec.process.args = ['./hello.spt'];
    });
    expect((await host.runnc(['run', '-b', relative, 'cwd'])).stdout).to.include('Hello');
  });

  it('passes signals on, and returns the status of the signal that ended the guest', async () => {
    for (const [signal, number] of [
      ['SIGTERM', 15],
      ['SIGINT', 2],
    ] as const) {
      const call = host.start(['run', '-b', host.bundle('time', ['forever']), 'signal']);
      await call.prints('waiting');
      call.child.kill(signal);
      expect((await call.end()).status).to.equal(128 + number);
    }
    const call = host.start(['run', '-b', host.bundle('time', ['forever']), 'killed']);
    await call.prints('waiting');
    await host.runnc(['kill', 'killed', 'KILL']);
    expect((await call.end()).status).to.equal(128 + 9);
  });

  it('keeps the container with --keep', async () => {
    await host.runnc(['run', '--keep', '-b', host.bundle('hello'), 'kept']);
    expect(await host.state('kept')).to.include({ status: 'stopped', pid: 0 });
    expect((await host.runnc(['delete', 'kept'])).status).to.equal(0);
  });

  it('returns at once with --detach', async () => {
    const pidFile = join(host.folder, 'pid');
    const flags = ['--detach', '--pid-file', pidFile];
    const call = host.start(['run', ...flags, '-b', host.bundle('time', ['forever']), 'detached']);
    expect((await call.end()).status).to.equal(0);
    expect(await host.state('detached')).to.include({
      status: 'running',
      pid: Number(readFileSync(pidFile)),
    });
    await call.prints('waiting');
    expect((await host.runnc(['delete', '--force', 'detached'])).status).to.equal(0);
  });

  it('gives the guest the memory of the limit less what the sandbox needs, and 512 MiB without one', async () => {
    const memoryOf = async (limit: number | undefined): Promise<number> => {
      const bundle = host.bundle('time', ['forever'], (spec) => {
        if (limit !== undefined) spec.linux.resources = { memory: { limit } };
      });
      const call = host.start(['run', '--detach', '-b', bundle, 'memory']);
      // Until then it may not have mapped what the guest has.
      await call.prints('waiting');
      await call.end();
      const { pid } = await host.state('memory');
      const kib = Number.parseInt(procStatus(pid, 'VmSize'));
      await host.runnc(['delete', '--force', 'memory']);
      return kib / 1024;
    };
    const base = (await memoryOf(undefined)) - 512;
    expect(base).to.be.within(0, 32);
    for (const limit of [0, -1]) expect(await memoryOf(limit)).to.be.closeTo(512 + base, 1);
    const limited = (await memoryOf(64 * 2 ** 20)) - base;
    expect(limited).to.be.within(58, 63);
  });

  it('refuses a memory limit that leaves no room for a guest', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.linux.resources = { memory: { limit: 2 ** 20 } };
    });
    expect(await host.runnc(['run', '-b', bundle, 'small'])).to.include({
      status: 1,
      stderr:
        'config.json: linux.resources.memory.limit: 1048576 bytes are too few: at least 5242880 are needed\n',
    });
  });

  it('relays a terminal to the one it has itself', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.process.terminal = true;
    });
    // script(1) gives it a terminal; a terminal turns a newline into a carriage return and a newline.
    const command = `${runtime} --root ${host.root} run -b ${bundle} tty`;
    // Input that ended would be a character to script, and come out where the terminal has it just then.
    const { stdout } = await runCommand('script', ['-q', '-e', '-c', command, '/dev/null'], {
      input: '',
      holdInput: true,
    });
    expect(stdout).to.equal('Hello from a unikernel\r\n');
  });

  it('needs a console socket for a terminal it cannot relay, and none for no terminal', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.process.terminal = true;
    });
    expect((await host.runnc(['run', '--detach', '-b', bundle, 'tty'])).stderr).to.match(
      /^config\.json: process\.terminal: needs --console-socket/,
    );
    const flags = ['--console-socket', join(host.folder, 'socket')];
    expect((await host.runnc(['create', ...flags, '-b', bundle, 'tty'])).stderr).to.match(
      /^--console-socket: cannot connect to /,
    );
    expect((await host.runnc(['create', ...flags, '-b', host.bundle('hello'), 'tty'])).stderr).to.match(
      /^--console-socket: config\.json does not ask for a terminal/,
    );
  });

  it('says in one line what of the guest it cannot give', async () => {
    expect((await host.runnc(['run', '-b', host.bundle('net'), 'net'])).stderr).to.match(
      /^network: the guest needs the network device net: the container has no interface[^\n]*\n$/,
    );
  });
});
