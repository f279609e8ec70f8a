import { expect } from 'chai';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hook, HookKind, Hooks } from '../../src/oci/spec.ts';
import { Playground } from '../support/bundle.ts';

interface Report {
  readonly kind: string;
  readonly state: {
    readonly id: string;
    readonly status: string;
    readonly pid: number;
    readonly bundle: string;
  };
}

const RUNTIME_KINDS: readonly HookKind[] = ['prestart', 'createRuntime', 'poststart', 'poststop'];

describe('hooks of the runtime namespace', () => {
  let host: Playground;
  let log: string;

  beforeEach(() => {
    host = new Playground();
    log = join(host.folder, 'hooks');
    writeFileSync(log, '');
  });
  afterEach(async () => {
    await host.close();
  });

  const shell = (script: string, more: Partial<Hook> = {}): Hook => ({
    path: '/bin/sh',
    args: ['sh', '-c', script],
    ...more,
  });

  /** Notes its name and the state it was given. */
  const report = (kind: string): Hook =>
    shell(`printf '%s ' ${kind} >> ${log}; cat >> ${log}; echo >> ${log}`);

  const reports = (): Report[] =>
    readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({
        kind: line.slice(0, line.indexOf(' ')),
        state: JSON.parse(line.slice(line.indexOf(' '))) as Report['state'],
      }));

  const bundle = (hooks: Hooks): string =>
    host.bundle('time', ['forever'], (spec) => {
      spec.hooks = hooks;
    });

  it('run in order, each with the state of its moment', async () => {
    const hooks = Object.fromEntries(
      RUNTIME_KINDS.map((kind) => [kind, [report(`${kind}1`), report(`${kind}2`)]]),
    );
    const path = bundle(hooks);
    await host.create('order', path);
    const { pid } = await host.state('order');
    const after = (): string[] => reports().map(({ kind, state }) => `${kind} ${state.status}`);
    const created = ['prestart1', 'prestart2', 'createRuntime1', 'createRuntime2'].map(
      (kind) => `${kind} creating`,
    );
    expect(after()).to.deep.equal(created);
    await host.runnc(['start', 'order']);
    expect(after().slice(4)).to.deep.equal(['poststart1 running', 'poststart2 running']);
    await host.runnc(['delete', '--force', 'order']);
    expect(after().slice(6)).to.deep.equal(['poststop1 stopped', 'poststop2 stopped']);
    for (const { state } of reports()) {
      expect(state).to.include({ id: 'order', bundle: path, pid: state.status === 'stopped' ? 0 : pid });
    }
  });

  it('see the namespaces of the container before its program could run', async () => {
    const script = `sed 's/.*"pid":\\([0-9]*\\).*/\\1/' | { read pid; readlink /proc/$pid/ns/net /proc/self/ns/net; } > ${log}`;
    await host.create('ns', bundle({ prestart: [shell(script)] }));
    const [inside, outside] = readFileSync(log, 'utf8').trim().split('\n');
    expect(inside).to.match(/^net:\[\d+\]$/);
    expect(inside).not.to.equal(outside);
  });

  it('get the arguments and the environment of config.json, in the bundle', async () => {
    const script = `echo "$0 $1 $COLOR \${HOME-none} $(pwd)" > ${log}`;
    const hook: Hook = {
      path: '/bin/sh',
      args: ['name', '-c', script, 'zero', 'one'],
      env: ['COLOR=red', 'PATH=/bin'],
    };
    const path = bundle({ createRuntime: [hook] });
    await host.create('env', path);
    expect(readFileSync(log, 'utf8')).to.equal(`zero one red none ${path}\n`);
  });

  for (const kind of ['prestart', 'createRuntime'] as const) {
    it(`end the creation when ${kind} fails, with what it said, and poststop runs`, async () => {
      const hooks = {
        [kind]: [shell('echo good'), shell('echo bad luck >&2; exit 3'), report('never')],
        poststop: [report('poststop')],
      };
      const result = await host.runnc(['create', '-b', bundle(hooks), 'failing']);
      expect(result).to.include({
        status: 1,
        stderr: `hooks.${kind}[1] (/bin/sh): exited with status 3: bad luck\n`,
      });
      expect(reports().map(({ kind }) => kind)).to.deep.equal(['poststop']);
      expect(host.leftovers()).to.deep.equal([]);
    });
  }

  it('are killed at their timeout', async () => {
    const result = await host.runnc([
      'create',
      '-b',
      bundle({ prestart: [shell('exec sleep 1000', { timeout: 1 })] }),
      'slow',
    ]);
    expect(result).to.include({
      status: 1,
      stderr: 'hooks.prestart[0] (/bin/sh): took longer than its timeout of 1 s\n',
    });
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('that do not exist fail with their path', async () => {
    const { status, stderr } = await host.runnc([
      'create',
      '-b',
      bundle({ prestart: [{ path: '/nope/hook' }] }),
      'absent',
    ]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^hooks\.prestart\[0\] \(\/nope\/hook\): .*ENOENT.*\n$/);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('may leave a daemon behind that keeps their output open', async () => {
    const marker = join(host.folder, 'daemon');
    const script = `sleep 1000 & echo $! > ${marker}`;
    await host.create('daemon', bundle({ prestart: [shell(script)] }));
    process.kill(Number(readFileSync(marker, 'utf8')), 'SIGKILL');
  });

  it('may ignore their state however large it is', async () => {
    const path = host.bundle('time', ['forever'], (spec) => {
      spec.hooks = { prestart: [{ path: '/bin/true' }] };
      spec.annotations = { large: 'x'.repeat(1_000_000) };
    });
    await host.create('large', path);
    expect((await host.state('large')).annotations).to.have.property('large');
  });

  it('kill the container when poststart fails', async () => {
    await host.create('poststart', bundle({ poststart: [shell('exit 1')] }));
    expect(await host.runnc(['start', 'poststart'])).to.include({
      status: 1,
      stderr: 'hooks.poststart[0] (/bin/sh): exited with status 1\n',
    });
    await host.reaches('poststart', 'stopped');
  });

  it('only warn when poststop fails, and the next one runs', async () => {
    await host.create('poststop', bundle({ poststop: [shell('exit 1'), report('second')] }));
    const result = await host.runnc(['delete', '--force', 'poststop']);
    expect(result.status).to.equal(0);
    expect(result.stderr).to.match(
      /level=warning msg="hooks\.poststop\[0\] \(\/bin\/sh\): exited with status 1"/,
    );
    expect(reports().map(({ kind }) => kind)).to.deep.equal(['second']);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('of poststop are those of create, whatever became of the bundle', async () => {
    const path = bundle({ poststop: [report('kept')] });
    await host.create('changed', path);
    writeFileSync(join(path, 'config.json'), '{}');
    await host.runnc(['delete', 'changed']);
    expect(reports().map(({ kind }) => kind)).to.deep.equal(['kept']);
  });

  it('do not outlive a create that is interrupted by delete --force', async () => {
    const started = join(host.folder, 'started');
    const call = host.start([
      'create',
      '-b',
      bundle({ prestart: [shell(`touch ${started}; exec sleep 2`)] }),
      'race',
    ]);
    const { until } = await import('../support/bundle.ts');
    await until(() => Promise.resolve(existsSync(started)), 'the hook runs');
    // It waits for the lock that create holds, and then finds a created container or none.
    expect((await host.runnc(['delete', '--force', 'race'])).status).to.equal(0);
    await call.end();
    expect(host.leftovers()).to.deep.equal([]);
  });
});
