/** Containers with a terminal, as containerd's shim and other callers get it: over a socket of theirs. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Draft, Playground } from '../support/bundle.ts';
import type { Console } from '../support/console.ts';
import { ConsoleSocket } from '../support/console.ts';

describe('--console-socket', () => {
  let host: Playground;
  let socketPath: string;
  let socket: ConsoleSocket;
  const consoles: Console[] = [];

  beforeEach(async () => {
    host = new Playground();
    socketPath = join(host.folder, 'console');
    socket = await ConsoleSocket.listen(socketPath);
  });
  afterEach(async () => {
    for (const terminal of consoles.splice(0)) terminal.close();
    socket.close();
    await host.runnc(['delete', '--force', 'tty']);
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  const withTerminal = (spec: Draft): void => {
    spec.process.terminal = true;
    spec.process.consoleSize = { width: 100, height: 30 };
  };

  function linuxBundle(): string {
    const bundle = host.bundle('hello', [], (spec) => {
      withTerminal(spec);
      spec.process.args = ['/terminal'];
    });
    const source = resolve(import.meta.dirname, 'programs/terminal.c');
    execFileSync('gcc', ['-O1', '-Wall', '-static', '-o', join(bundle, 'rootfs/terminal'), source]);
    return bundle;
  }

  async function received(): Promise<Console> {
    const terminal = await socket.receive();
    consoles.push(terminal);
    return terminal;
  }

  for (const words of [['create'], ['run', '--detach']]) {
    it(`of ${words.join(' ')} gets the master of the terminal, of the size that config.json says`, async () => {
      const bundle = host.bundle('time', ['forever'], withTerminal);
      const call = host.start([...words, '--console-socket', socketPath, '--bundle', bundle, 'tty']);
      const terminal = await received();
      expect(await call.end()).to.deep.equal({ status: 0, stdout: '', stderr: '' });
      expect(terminal.name).to.match(/^\/dev\/pts\/\d+$/);
      expect(terminal.size).to.deep.equal({ columns: 100, rows: 30 });
      // A Solo5 guest knows nothing of lines: the host's discipline serves it.
      expect(terminal.isRaw).to.equal(false);
      if (words[0] === 'create') await host.runnc(['start', 'tty']);
      await terminal.readUntil('waiting\r\n');
      // A key of the host's discipline.
      terminal.type('\x03');
      await host.reaches('tty', 'stopped');
    });

    it(`of ${words.join(' ')} leads to a Linux program: lines with their echo, changes of the size, the exit`, async () => {
      const flags = ['--console-socket', socketPath, '--bundle', linuxBundle()];
      const call = host.start([...words, ...flags, 'tty']);
      const terminal = await received();
      expect(await call.end()).to.deep.equal({ status: 0, stdout: '', stderr: '' });
      if (words[0] === 'create') await host.runnc(['start', 'tty']);
      expect(terminal.isRaw).to.equal(true);
      expect(await terminal.readUntil('\r\n')).to.equal('begins 100x30\r\n');
      terminal.type('helly\x7fo\r');
      expect(await terminal.readUntil('got hello\r\n')).to.equal('helly\b \bo\r\ngot hello\r\n');
      for (const size of [
        { columns: 132, rows: 43 },
        { columns: 20, rows: 10 },
      ]) {
        terminal.size = size;
        const said = `changed ${String(size.columns)}x${String(size.rows)}\r\n`;
        expect(await terminal.readUntil('\r\n')).to.equal(said);
      }
      terminal.type('end\r');
      await terminal.readUntil('got end\r\n');
      await host.reaches('tty', 'stopped');
    });
  }

  it('may have any path: relative, and longer than the address of a socket', async () => {
    const folder = join(host.folder, 'f'.repeat(200));
    mkdirSync(folder);
    const bundle = host.bundle('hello', [], withTerminal);
    // Node cannot listen there either; the socket itself is made in a short place.
    const other = await ConsoleSocket.listen(join(host.folder, 'short'));
    execFileSync('mv', [join(host.folder, 'short'), join(folder, 'long')]);
    for (const path of [join(folder, 'long'), 'long']) {
      const call = host.start(['create', '--console-socket', path, '--bundle', bundle, 'tty'], {
        cwd: folder,
      });
      expect(await call.end()).to.include({ status: 0, stderr: '' });
      await host.runnc(['delete', 'tty']);
    }
    other.close();
  });

  it('that is none, is not there, or is not asked for, is refused in one line before anything is made', async () => {
    const plain = host.bundle('hello');
    const bundle = host.bundle('hello', [], withTerminal);
    const file = join(host.folder, 'file');
    writeFileSync(file, '');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ['--console-socket', join(host.folder, 'nope'), '--bundle', bundle],
        /^--console-socket: cannot connect to \S+\/nope: [^\n]*ENOENT[^\n]*\n$/,
      ],
      [
        ['--console-socket', join(host.folder, 'nope/nope'), '--bundle', bundle],
        /^--console-socket: cannot connect to \S+\/nope\/nope: [^\n]*ENOENT[^\n]*\n$/,
      ],
      [
        ['--console-socket', file, '--bundle', bundle],
        /^--console-socket: cannot connect to \S+\/file: [^\n]*ECONNREFUSED[^\n]*\n$/,
      ],
      [
        ['--console-socket', host.folder, '--bundle', bundle],
        /^--console-socket: cannot connect to [^\n]+\n$/,
      ],
      [['--bundle', bundle], /^config\.json: process\.terminal: needs --console-socket [^\n]+\n$/],
      [
        ['--console-socket', socketPath, '--bundle', plain],
        /^--console-socket: config\.json does not ask for a terminal [^\n]+\n$/,
      ],
    ];
    for (const verb of [['create'], ['run', '--detach']]) {
      for (const [flags, message] of cases) {
        const { status, stdout, stderr } = await host.runnc([...verb, ...flags, 'tty']);
        expect({ status, stdout }).to.deep.equal({ status: 1, stdout: '' });
        expect(stderr, flags.join(' ')).to.match(message);
        expect(host.leftovers()).to.deep.equal([]);
      }
    }
  });
});
