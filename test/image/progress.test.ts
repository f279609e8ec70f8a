/** What users see of builds and transfers on a terminal, and elsewhere. */
import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TerminalProgress } from '../../runnc/build-progress.ts';
import { Playground } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { runtime } from '../support/paths.ts';
import { TestRegistry } from '../support/registry.ts';
import { onTerminal } from '../support/terminal.ts';

/** What a terminal shows in the end: lines, the cursor moved up, the rest cleared. */
function screen(text: string): string[] {
  const lines: string[] = [''];
  let row = 0;
  // eslint-disable-next-line no-control-regex
  for (const [token] of text.matchAll(/\x1b\[1A|\x1b\[K|\x1b\[J|\r|\n|[^\x1b\r\n]+/g)) {
    if (token === '\x1b[1A') row = Math.max(0, row - 1);
    else if (token === '\x1b[J') lines.splice(row + 1);
    else if (token === '\n') lines[++row] ??= '';
    else if (token === '\r') continue;
    else if (token === '\x1b[K') continue;
    else lines[row] = token;
  }
  return lines.filter((line) => line !== '');
}

describe('progress', function () {
  this.timeout(120_000);
  const host = new Playground();
  const store = join(host.folder, 'images');
  const context = join(host.folder, 'context');
  let registry: TestRegistry;

  before(async () => {
    registry = await TestRegistry.start();
    const archive = join(host.folder, 'linux.tar');
    await writeLinuxArchive(archive, { name: 'linux:1' });
    await host.runnc(['load', '--store', store, '-q', '-i', archive]);
    mkdirSync(context);
    writeFileSync(join(context, 'file'), 'x'.repeat(3000));
    const lines = ['FROM linux:1', `COPY file /${'long/'.repeat(20)}`, 'RUN echo printed', ''];
    writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  });
  after(async () => {
    await registry.stop();
    await host.close();
  });

  const build = (columns: number, ...args: readonly string[]): string => {
    const command = [runtime, 'build', '--store', store, '--tag', 'app', ...args, context];
    return `stty cols ${String(columns)} rows 24; exec ${command.join(' ')}`;
  };

  it('of a build on a terminal is a list of its steps, cached ones marked, as wide as the terminal', async () => {
    for (const [columns, args, mark] of [
      [80, ['--no-cache'], ''],
      [50, [], 'CACHED '],
    ] as const) {
      const { status, stdout } = await onTerminal('sh', ['-c', build(columns, ...args)]);
      expect(status, stdout).to.equal(0);
      const [title = '', ...rest] = screen(stdout);
      expect(title).to.match(/^\[\+\] Building \d+\.\ds \(5\/5\) FINISHED$/);
      expect(rest.pop()).to.match(/^sha256:[0-9a-f]{64}$/);
      expect(rest.filter((line) => line.length > columns)).to.deep.equal([]);
      const steps = rest.map((line) => /^ => (.*?) +(?:[\d.]+[kM]?B )?\d+\.\ds$/.exec(line)?.[1] ?? line);
      expect(steps.map((step) => step.slice(0, 14 + mark.length))).to.deep.equal([
        '[1/3] FROM linux:1'.slice(0, 14 + mark.length),
        `${mark}[2/3] COPY fil`,
        `${mark}[3/3] RUN echo`,
        'exporting the image'.slice(0, 14 + mark.length),
        'naming to docker.io/library'.slice(0, 14 + mark.length),
      ]);
    }
  });

  it('of a build elsewhere is a line for each event, and nothing with --quiet', async () => {
    const args = ['build', '--store', store, '--no-cache'];
    const { stdout, stderr } = await host.runnc([...args, context]);
    expect(stdout).to.match(/^sha256:[0-9a-f]{64}\n$/);
    expect(stderr).to.match(/^#1 \[1\/3\] FROM linux:1\n#1 DONE \d+\.\ds\n\n#2 \[2\/3\] COPY file /);
    expect(stderr).to.match(/^#2 DONE \d+\.\ds, [\d.]+kB$/m);
    expect(stderr).to.match(/^#3 \d+\.\d printed$/m);
    expect(stderr).not.to.contain('\x1b');
    expect((await host.runnc([...args, '-q', context])).stderr).to.equal('');
  });

  it('shows what a running program prints, until it has ended, and nothing that would move the cursor', () => {
    let text = '';
    const progress = new TerminalProgress({ columns: 60, rows: 24 }, (more) => (text += more));
    const first = progress.begin('RUN first');
    first.output('one\n\x1b[2Jtwo\x07\nthr');
    first.output('ee');
    const second = progress.begin('RUN second');
    const running = screen(text).join('\n');
    expect(running).to.match(/one\n.*two.*\n.*three\n/);
    expect(running).not.to.contain('\x07');
    expect(text).not.to.contain('\x1b[2J');
    first.done();
    second.failed();
    progress.finish();
    expect(screen(text).join('\n')).to.contain('RUN first').and.not.contain('three');
    expect(screen(text).join('\n')).to.match(/ERROR.*RUN second/);
  });

  it('of a push and a pull on a terminal is a bar for each part', async () => {
    const name = `${registry.host}/linux:1`;
    const push = await onTerminal(runtime, ['push', '--store', store, 'linux:1', name]);
    expect(push.stdout).to.match(/[0-9a-f]{12}: Pushed +█{30} [\d.]+MB\/[\d.]+MB/);
    expect(push.stdout).to.contain(`Pushed: ${name}`);
    const other = join(host.folder, 'other');
    const pull = await onTerminal(runtime, ['pull', '--store', other, name]);
    expect(pull.stdout.match(/[0-9a-f]{12}: Complete +█{30} /g)).to.have.length.above(2);
    const again = await onTerminal(runtime, ['pull', '--store', other, name]);
    expect(again.stdout).to.match(/[0-9a-f]{12}: Already there +█{30} /);
    // The cursor is there again.
    for (const { stdout } of [push, pull, again]) {
      expect(stdout.lastIndexOf('\x1b[?25h')).to.be.greaterThan(stdout.lastIndexOf('\x1b[?25l'));
    }
    const plain = await host.runnc(['pull', '--store', other, name]);
    expect(plain.stderr).to.equal('');
  });
});
