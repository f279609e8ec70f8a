/** A build that is told to end by a signal ends, whatever it is doing, and leaves nothing: no container, no files. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { until } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';

const STATE = '/run/runnc';
const BUSYBOX = '/bin/busybox';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

describe('runnc build, interrupted', function () {
  this.timeout(120_000);
  let folder: string;

  before(() => {
    needs(BUSYBOX);
    folder = mkdtempSync(join(tmpdir(), 'runnc-build-interrupt-'));
    mkdirSync(join(folder, 'context'));
    copyFileSync(BUSYBOX, join(folder, 'context/sh'));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Deaf to signals, and never at its end. */
  const STUBBORN = `RUN trap '' INT TERM HUP; echo started; while :; do :; done`;

  interface Build {
    readonly child: ChildProcess;
    readonly said: () => string;
    readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  }

  function start(...lines: readonly string[]): Build {
    const dockerfile = join(folder, 'Dockerfile');
    const first = ['FROM scratch', 'COPY sh /bin/'];
    writeFileSync(dockerfile, [...first, ...lines, ''].join('\n'));
    const options = [
      '--store',
      join(folder, 'images'),
      '--no-cache',
      '--progress',
      'plain',
      '--file',
      dockerfile,
    ];
    const child = spawn(runtime, ['build', ...options, join(folder, 'context')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
    return { child, said: () => text, ended };
  }

  /** Containers whose root is in our store. */
  function containers(): { readonly id: string; readonly pid: number }[] {
    return readdirSync(STATE)
      .filter((id) => id.startsWith('build-'))
      .flatMap((id) => {
        try {
          const text = readFileSync(join(STATE, id, 'state.json'), 'utf8');
          return text.includes(folder) ? [{ id, pid: (JSON.parse(text) as { pid: number }).pid }] : [];
        } catch {
          return []; // just being made or removed, by others
        }
      });
  }

  function expectNothingLeft(what: string): void {
    expect(containers(), what).to.deep.equal([]);
    expect(readdirSync(join(folder, 'images/build/work')), what).to.deep.equal([]);
  }

  for (const signal of SIGNALS) {
    it(`by ${signal} ends a program that is deaf to it`, async () => {
      const build = start(STUBBORN);
      await until(() => Promise.resolve(/^#\d+ [\d.]+ started$/m.test(build.said())), 'the program runs');
      build.child.kill(signal);
      expect(await build.ended).to.deep.equal({ code: 1, signal: null });
      expect(build.said()).to.match(/: interrupted\n$/);
      expectNothingLeft(signal);
    });
  }

  it('ends a guest that stands still', async () => {
    const build = start(STUBBORN);
    await until(() => Promise.resolve(/ started$/m.test(build.said())), 'the program runs');
    for (const { pid } of containers()) process.kill(pid, 'SIGSTOP');
    build.child.kill('SIGINT');
    expect(await build.ended).to.deep.equal({ code: 1, signal: null });
    expectNothingLeft('stopped');
  });

  it('after any line that it prints, and a moment later, leaves nothing', async () => {
    for (let line = 1; ; line++) {
      const build = start('RUN echo one > /one', 'RUN echo two > /two; echo said', 'COPY sh /again');
      const lines = (): number => build.said().split('\n').length - 1;
      const isOver = build.ended.then(() => true);
      await until(() => Promise.race([isOver, Promise.resolve(lines() >= line)]), 'the line is printed');
      const signal = SIGNALS[line % SIGNALS.length] ?? 'SIGINT';
      // Each time somewhere else between two lines.
      await new Promise((resolve) => setTimeout(resolve, (line * 13) % 60));
      build.child.kill(signal);
      const { code, signal: endedBy } = await build.ended;
      expectNothingLeft(`line ${String(line)}: ${build.said()}`);
      if (code === 0) break;
      expect([code, endedBy], build.said()).to.deep.equal(endedBy === null ? [1, null] : [null, signal]);
    }
  });
});
