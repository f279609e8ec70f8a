/** What a container in the background has printed, and what it keeps on disk until it is deleted. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground, type Result } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { runtime } from '../support/paths.ts';

describe('runnc logs', function () {
  this.timeout(120_000);
  const host = new Playground();
  const store = join(host.folder, 'images');
  const kept = (): string[] => readdirSync(join(store, 'containers'));

  before(async () => {
    const file = join(host.folder, 'linux.tar');
    await writeLinuxArchive(file, { name: 'linux:1' });
    expect((await host.runnc(['load', '--store', store, '-i', file])).status).to.equal(0);
  });
  afterEach(async () => {
    for (const id of readdirSync(host.root).filter((name) => !name.startsWith('@'))) {
      await host.runnc(['delete', '--force', id]);
    }
  });
  after(() => host.close());

  async function start(id: string, script: string): Promise<void> {
    const args = ['run', '--store', store, '--detach', '--name', id, 'linux:1', 'sh', '-c', script];
    const { status, stdout, stderr } = await host.runnc(args);
    expect([status, stdout, stderr]).to.deep.equal([0, `${id}\n`, '']);
  }

  const logs = (...args: readonly string[]): Promise<Result> => host.runnc(['logs', ...args]);

  it('prints all, standard error too, in its order, or the last lines, also when it has ended', async () => {
    await start('store-log', 'echo one; echo two >&2; echo three; echo -n four');
    await host.reaches('store-log', 'stopped');
    const all = 'one\ntwo\nthree\nfour';
    for (const [args, expected] of [
      [[], all],
      [['--tail', 'all'], all],
      [['-n', '9'], all],
      [['-n', '4'], all],
      [['--tail=2'], 'three\nfour'],
      [['-n', '1'], 'four'],
      [['-n', '0'], ''],
      [['--follow'], all],
    ] as const) {
      expect(await logs(...args, 'store-log')).to.deep.equal({ status: 0, stdout: expected, stderr: '' });
    }
    expect((await logs('-n', 'x', 'store-log')).stderr).to.match(/^--tail: expected a number of lines/);
    expect((await host.runnc(['delete', 'store-log'])).status).to.equal(0);
    expect(kept()).to.deep.equal([]);
    expect((await logs('store-log')).stderr).to.equal('container does not exist\n');
  });

  it('finds the last lines of a long log', async () => {
    await start('store-long', 'i=0; while [ $i -lt 30000 ]; do echo $i; i=$((i + 1)); done');
    await host.reaches('store-long', 'stopped');
    const lines = Array.from({ length: 30_000 }, (_, i) => `${String(i)}\n`);
    for (const count of [1, 5000, 20_000, 29_999, 30_000, 30_001]) {
      const { stdout } = await logs('-n', String(count), 'store-long');
      expect(stdout === lines.slice(-count).join(''), String(count)).to.equal(true);
    }
  });

  it('follows a container to its end', async () => {
    await start('store-follow', 'trap "echo last; exit" TERM; echo first; while :; do sleep 0.05; done');
    const child = spawn(runtime, ['--root', host.root, 'logs', '-f', 'store-follow']);
    let text = '';
    for await (const chunk of child.stdout) {
      text += String(chunk);
      if (text === 'first\n') {
        expect((await host.runnc(['kill', 'store-follow', 'TERM'])).status).to.equal(0);
      }
    }
    expect(text).to.equal('first\nlast\n');
    expect((await host.state('store-follow')).status).to.equal('stopped');
  });

  it('ends when nobody reads any more', async () => {
    await start('store-reader', 'while :; do echo again; sleep 0.01; done');
    const child = spawn(runtime, ['--root', host.root, 'logs', '-f', 'store-reader'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdout.once('data', () => child.stdout.destroy());
    await ended;
    expect((await host.state('store-reader')).status).to.equal('running');
  });

  it('are those of images in the background only', async () => {
    const foreground = ['run', '--store', store, '--name', 'store-front', 'linux:1'];
    expect((await host.runnc(foreground)).stdout).to.equal('from the image\n');
    const none =
      'container store-front has no log: only those have one that "runnc run --detach IMAGE" started\n';
    expect(await logs('store-front')).to.deep.equal({ status: 1, stdout: '', stderr: none });
    await host.create('store-bundle', host.bundle('hello'));
    expect((await logs('store-bundle')).stderr).to.contain('has no log');
  });

  it('go with a container that could not be started', async () => {
    const { status } = await host.runnc(['run', '--store', store, '-d', 'linux:1', '/not/there']);
    expect(status).to.equal(127);
    expect(kept()).to.deep.equal([]);
  });

  it('of containers that a crash of the host took are swept away by the next one', async () => {
    await start('store-lost', 'echo lost');
    await host.reaches('store-lost', 'stopped');
    const [lost = ''] = kept();
    expect(readFileSync(join(store, 'containers', lost, 'log'), 'utf8')).to.equal('lost\n');
    // /run is empty after a crash; its cgroups are gone too.
    await start('store-living', 'exec sleep 1000');
    const saved = join(host.root, 'store-lost');
    rmSync(join(saved, 'data'));
    await start('store-next', 'echo next');
    expect(
      kept()
        .map((name) => name.replace(/-[0-9a-f]*$/, ''))
        .sort(),
    ).to.deep.equal(['store-living', 'store-next']);
    expect(existsSync(join(store, 'containers', lost))).to.equal(false);
  });
});
