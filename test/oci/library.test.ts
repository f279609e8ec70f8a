/** The library as it is installed, in Node, without the command. */
import { expect } from 'chai';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type * as runnc from '../../src/index.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground, until } from '../support/bundle.ts';
import { needs } from '../support/paths.ts';

/** What npm installs, not the sources: it is the package that is promised. */
const PACKAGE = resolve(import.meta.dirname, '../../dist/lib/src/index.js');
needs(PACKAGE);
const { Container, run, RunncError, shellStatus } = (await import(PACKAGE)) as typeof runnc;

describe('the library', () => {
  let host: Playground;
  let root: string;
  let output: number;

  beforeEach(() => {
    host = new Playground();
    ({ root } = host);
    output = openSync(join(host.folder, 'output'), 'w');
  });
  afterEach(async () => {
    closeSync(output);
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  const stdio = (): readonly [number, number, number] => [0, output, output];
  const printed = (): string => readFileSync(join(host.folder, 'output'), 'utf8');

  it('creates, starts, waits for and deletes a container', async () => {
    const bundle = host.bundle('exit', ['exit', '7']);
    const container = await Container.create({ id: 'lib', bundle, root, stdio: stdio() });
    expect((await container.state()).status).to.equal('created');
    const ended = container.wait();
    await container.start();
    expect(await ended).to.deep.equal({ type: 'exited', code: 7 });
    // Asked again, it answers again.
    expect(await container.wait()).to.deep.equal({ type: 'exited', code: 7 });
    await container.delete();
    expect(await Container.list({ root })).to.deep.equal([]);
  });

  it('knows the signal that ended a container', async () => {
    const bundle = host.bundle('time', ['forever']);
    const container = await Container.create({ id: 'lib', bundle, root, stdio: stdio() });
    await container.start();
    await container.kill(9);
    expect(await container.wait()).to.deep.equal({ type: 'signaled', signal: 9 });
    expect(shellStatus({ type: 'signaled', signal: 9 })).to.equal(137);
    await container.delete();
  });

  it('works on containers that others created', async () => {
    const bundle = host.bundle('time', ['forever']);
    await host.create('lib', bundle);
    const container = Container.load('lib', { root });
    await container.start();
    await until(async () => (await container.state()).status === 'running', 'it runs');
    expect(await container.ps()).to.deep.equal([(await container.state()).pid]);
    expect((await container.stats()).pids.current).to.equal(1);
    await container.update({ pids: { limit: 7 } });
    expect((await container.stats()).pids.limit).to.equal(7);
    await container.pause();
    expect((await container.state()).status).to.equal('paused');
    await container.resume();
    const events: runnc.ContainerEvent[] = [];
    for await (const event of container.events({ intervalMs: 5 })) {
      events.push(event);
      if (events.length === 2) break;
    }
    expect(events.map(({ type }) => type)).to.deep.equal(['stats', 'stats']);
    const ended = container.wait();
    await container.kill();
    expect(await ended).to.equal(undefined);
    await container.delete();
  });

  it('runs a bundle from beginning to end', async () => {
    const status = await run({ id: 'lib', bundle: host.bundle('hello'), root, stdio: stdio() });
    expect(status).to.deep.equal({ type: 'exited', code: 0 });
    expect(printed()).to.equal('Hello from a unikernel\n');
  });

  it('has a code in every error', async () => {
    const codeOf = async (act: () => unknown): Promise<string> => {
      try {
        await act();
      } catch (error) {
        expect(error).to.be.instanceOf(RunncError);
        return (error as runnc.RunncError).code;
      }
      return 'none';
    };
    const bundle = host.bundle('hello');
    const missing = host.bundle('hello', [], (spec) => {
      spec.process.args = ['/nope'];
    });
    const container = await Container.create({ id: 'lib', bundle, root, stdio: stdio() });
    expect(await codeOf(() => Container.load('nope', { root }))).to.equal('NOT_FOUND');
    expect(await codeOf(() => Container.load('a/b', { root }))).to.equal('INVALID');
    expect(await codeOf(() => Container.create({ id: 'lib', bundle, root }))).to.equal('EXISTS');
    expect(await codeOf(() => Container.create({ id: 'x', bundle: missing, root }))).to.equal(
      'EXEC_NOT_FOUND',
    );
    expect(await codeOf(() => Container.create({ id: 'x', bundle: '/nope', root }))).to.equal('INVALID');
    expect(await codeOf(() => container.resume())).to.equal('STATE');
    await container.delete();
    expect(await codeOf(() => container.start())).to.equal('NOT_FOUND');
    expect(await codeOf(() => container.delete({ force: true }))).to.equal('none');
  });

  it('keeps many containers apart in one process, and leaks no descriptor', async () => {
    const bundles = Array.from({ length: 8 }, (_, i) => host.bundle('exit', ['exit', String(i)]));
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const statuses = async (): Promise<number[]> =>
      Promise.all(
        bundles.map(async (bundle, i) =>
          shellStatus(await run({ id: `lib-${String(i)}`, bundle, root, stdio: stdio() })),
        ),
      );
    expect(await statuses()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
    const before = descriptors();
    expect(await statuses()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(descriptors()).to.equal(before);
  });

  it('runs a program beside that of a Linux container', async () => {
    const rootfs = new Rootfs();
    try {
      const bundle = rootfs.bundle(host, ['busybox', 'sleep', '1000']);
      const container = await Container.create({ id: 'lib', bundle, root, stdio: stdio() });
      await container.start();
      const process = { args: ['busybox', 'sh', '-c', 'echo out; exit 7'], cwd: '/', env: ['PATH=/usr/bin'] };
      const program = await container.exec({ process, stdio: stdio() });
      expect(await program.wait()).to.deep.equal({ type: 'exited', code: 7 });
      expect(printed()).to.equal('out\n');
      const waiting = await container.exec({ process: { ...process, args: ['busybox', 'sleep', '1000'] } });
      waiting.kill(15);
      expect(await waiting.wait()).to.deep.equal({ type: 'exited', code: 143 });
      await container.delete({ force: true });
    } finally {
      rootfs.remove();
    }
  });
});
