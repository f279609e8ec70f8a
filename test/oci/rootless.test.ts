/** What an ordinary user can do: no root, no cgroups, only the user's own ids. */
import {
  chmodSync,
  chownSync,
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
import { run, type CommandResult } from '../support/command.ts';
import { procStatus } from '../support/host-state.ts';
import { needs, runtime, unikernel } from '../support/paths.ts';

/** nobody */
const USER = { uid: 65534, gid: 65534 };

describe('an ordinary user', () => {
  let folder: string;
  let bundle: string;

  before(() => {
    needs(runtime);
  });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-rootless-'));
    bundle = join(folder, 'bundle');
    mkdirSync(join(bundle, 'rootfs'), { recursive: true });
    for (const name of ['hello', 'exit', 'time']) {
      copyFileSync(unikernel(name), join(bundle, 'rootfs', `${name}.spt`));
      chmodSync(join(bundle, 'rootfs', `${name}.spt`), 0o755);
    }
    mkdirSync(join(folder, 'runtime'), { mode: 0o700 });
    for (const path of [folder, bundle, join(folder, 'runtime')]) chownSync(path, USER.uid, USER.gid);
    expect(await runnc('spec', '--rootless', '--bundle', bundle)).to.include({ status: 0, stderr: '' });
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  /** A call as a caller that gives nothing but XDG_RUNTIME_DIR. */
  function runnc(...args: readonly string[]): Promise<CommandResult> {
    return run(runtime, args, { ...USER, cwd: bundle, env: { XDG_RUNTIME_DIR: join(folder, 'runtime') } });
  }

  /** Sets the program, and whatever else. */
  function configure(args: readonly string[], linux: object = {}): void {
    const path = join(bundle, 'config.json');
    const spec = JSON.parse(readFileSync(path, 'utf8'));
    spec.process = { ...spec.process, terminal: false, args };
    spec.linux = { ...spec.linux, ...linux };
    writeFileSync(path, JSON.stringify(spec));
  }

  it('runs a container', async () => {
    configure(['/hello.spt']);
    expect(await runnc('run', 'one')).to.deep.equal({
      status: 0,
      stdout: 'Hello from a unikernel\n',
      stderr: '',
    });
    expect(readdirSync(join(folder, 'runtime', 'runnc'))).to.deep.equal([]);
  });

  it('gets the exit status', async () => {
    configure(['/exit.spt', 'exit', '42']);
    expect((await runnc('run', 'one')).status).to.equal(42);
  });

  it('creates, starts, lists, kills and deletes one, which has no more rights than the user', async () => {
    configure(['/time.spt', 'forever']);
    // Its output is the caller's: a file, or the call would not end before the container.
    const out = join(folder, 'out');
    const create = `exec '${runtime}' create one >'${out}' 2>&1`;
    const env = { XDG_RUNTIME_DIR: join(folder, 'runtime') };
    const { status } = await run('/bin/sh', ['-c', create], { ...USER, cwd: bundle, env });
    expect(readFileSync(out, 'utf8')).to.equal('');
    expect(status).to.equal(0);
    expect(await runnc('start', 'one')).to.deep.equal({ status: 0, stdout: '', stderr: '' });
    expect((await runnc('list', '--quiet')).stdout).to.equal('one\n');

    const state = (): Promise<{ status: string; pid: number }> =>
      runnc('state', 'one').then(({ stdout }) => JSON.parse(stdout));
    const { pid } = await state();
    await until(async () => procStatus(pid, 'Seccomp') === '2', 'the filter is installed');
    expect(new Set(procStatus(pid, 'Uid').split('\t'))).to.deep.equal(new Set([String(USER.uid)]));
    expect(BigInt(`0x${procStatus(pid, 'CapEff')}`)).to.equal(0n);

    expect((await runnc('kill', 'one', 'KILL')).status).to.equal(0);
    await until(async () => (await state()).status === 'stopped', 'it has stopped');
    expect(await runnc('delete', 'one')).to.deep.equal({ status: 0, stdout: '', stderr: '' });
    expect(readdirSync(join(folder, 'runtime', 'runnc'))).to.deep.equal([]);
  });

  it('is told why a limit cannot be had, and nothing is left', async () => {
    configure(['/hello.spt'], { resources: { memory: { limit: 64 * 1024 * 1024 } } });
    const { status, stdout, stderr } = await runnc('run', 'one');
    expect(stderr).to.match(
      /^linux\.resources: limits need a cgroup that is delegated to the user.*EACCES\n$/,
    );
    expect(stdout).to.equal('');
    expect(status).to.equal(1);
    expect(readdirSync(join(folder, 'runtime', 'runnc'))).to.deep.equal([]);
  });

  it('is told which map is needed when config.json was made for root', async () => {
    rmSync(join(bundle, 'config.json'));
    await runnc('spec', '--bundle', bundle);
    configure(['/hello.spt'], { resources: {} });
    const { status, stderr } = await runnc('run', 'one');
    expect(stderr.trim().split('\n')).to.have.length(1);
    expect(stderr).to.match(/namespace/);
    expect(status).to.equal(1);
  });
});
