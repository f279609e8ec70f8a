/** What a Linux guest says of itself, and a limit of memory that changes while it runs. */
import { expect } from 'chai';
import { mkdirSync } from 'node:fs';
import type { ContainerStats } from '../../src/index.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type Draft, Playground, type Result } from '../support/bundle.ts';

const MIB = 2 ** 20;
/** Memory that is no zeroes: those the guest takes back when there is too little. */
const FILL = 'busybox yes | busybox head -c';

describe('a Linux guest that is asked', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  before(() => {
    rootfs = new Rootfs();
    mkdirSync(rootfs.path('/proc'));
  });
  after(() => {
    rootfs.remove();
  });
  beforeEach(() => {
    host = new Playground();
  });
  afterEach(async () => {
    await host.runnc(['delete', '--force', 'asked']);
    expect(host.leftovers()).to.deep.equal([]);
    await host.close();
  });

  const start = async (
    limit?: number,
    args: readonly string[] = ['busybox', 'sleep', '1000'],
    change: (spec: Draft) => void = () => undefined,
  ): Promise<void> => {
    const bundle = rootfs.bundle(host, [...args], (spec) => {
      spec.annotations = { 'io.runnc.rootfs': 'memory' };
      if (limit !== undefined) spec.linux.resources = { memory: { limit } };
      change(spec);
    });
    const { status, stderr } = await host.runnc(['run', '-d', '-b', bundle, 'asked']);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
  };
  const inside = (script: string): Promise<Result> =>
    host.runnc(['exec', 'asked', 'busybox', 'sh', '-c', script]);
  const update = (memory: string): Promise<Result> => host.runnc(['update', '--memory', memory, 'asked']);
  const done: Result = { status: 0, stdout: '', stderr: '' };

  async function stats(): Promise<ContainerStats> {
    const { stdout, stderr } = await host.runnc(['events', '--stats', 'asked']);
    expect(stderr).to.equal('');
    return (JSON.parse(stdout) as { data: ContainerStats }).data;
  }

  async function guest(): Promise<NonNullable<ContainerStats['guest']>> {
    const { guest } = await stats();
    if (guest === undefined) throw new Error('the guest said nothing');
    return guest;
  }

  const ps = async (...args: readonly string[]): Promise<readonly string[][]> => {
    const { stdout, stderr } = await host.runnc(['ps', 'asked', ...args]);
    expect(stderr).to.equal('');
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
  };

  it('says what its memory is used for, and what the host counts is not less', async () => {
    await start(100 * MIB);
    const before = await guest();
    expect(before.processes).to.equal(1);
    expect(before.memory.limit).to.be.within(95 * MIB, 100 * MIB);
    expect(before.memory.files).to.equal(0);
    await inside(`${FILL} 10m > /tmp/file`);
    const { guest: after, memory } = await stats();
    expect((after?.memory.files ?? 0) / MIB).to.equal(10);
    const { used = 0, programs = 0, files = 0, kernel = 0 } = after?.memory ?? {};
    expect(programs + files + kernel).to.equal(used);
    expect(memory.usage.usage).to.be.at.least(10 * MIB);
    await inside('busybox rm /tmp/file');
    expect((await guest()).memory.files).to.equal(0);
  });

  it('tells of programs that were ended for want of memory, once each', async () => {
    await start(24 * MIB);
    expect((await guest()).memory.oomKills).to.equal(0);
    const events = host.start(['events', '--interval', '50ms', 'asked']);
    await events.prints('"type":"stats"');
    await inside(`${FILL} 30m | busybox tail -c 30m > /dev/null`);
    await events.prints('{"type":"oom","id":"asked"}');
    expect((await guest()).memory.oomKills).to.equal(1);
    await host.runnc(['kill', 'asked', 'KILL']);
    const { status, stdout } = await events.end();
    expect(status).to.equal(0);
    expect(stdout.match(/"type":"oom"/g)).to.have.lengthOf(1);
  });

  it('shows its processes in ps, and those of the host to whoever gives options or wants pids', async () => {
    await start(undefined, ['busybox', 'sh', '-c', 'busybox sleep 500 & busybox sleep 600; :'], (spec) => {
      spec.process.user = { uid: 7, gid: 7 };
    });
    expect((await inside('busybox sleep 700 & :')).status).to.equal(0);
    const [title, ...rows] = await ps();
    expect(title).to.deep.equal(['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
    const shown = rows.map(([uid, pid, parent, , start, tty, , ...command]) => {
      expect(start).to.match(/^\d\d:\d\d$/);
      return [uid, pid, parent, tty, command.join(' ')];
    });
    expect(shown.slice(0, 3)).to.deep.equal([
      ['7', '1', '0', '?', 'busybox sh -c busybox sleep 500 & busybox sleep 600; :'],
      ['7', '2', '1', '?', 'busybox sleep 500'],
      ['7', '3', '1', '?', 'busybox sleep 600'],
    ]);
    expect(shown[3]?.slice(2)).to.deep.equal(['1', '?', 'busybox sleep 700']);
    const { pid } = await host.state('asked');
    expect((await ps('-eo', 'pid'))[1]).to.deep.equal([String(pid)]);
    expect((await host.runnc(['ps', '--format', 'json', 'asked'])).stdout).to.equal(`[${String(pid)}]\n`);
  });

  it('does not reach the terminal of who looks by the names of its programs', async () => {
    await start(undefined, ['busybox', 'sh', '-c', 'busybox sleep 1000; :', '\x1b[2J\nroot\x9b\u202e']);
    const { stdout } = await host.runnc(['ps', 'asked']);
    expect(stdout).to.match(/busybox sh -c busybox sleep 1000; : \?\[2J\?root\?\?\n/);
  });

  it('is not waited for while it is paused, and Solo5 guests are not asked', async () => {
    await start(100 * MIB);
    const { pid } = await host.state('asked');
    await host.runnc(['pause', 'asked']);
    expect((await ps())[1]).to.include.members([String(pid), 'busybox', 'sleep', '1000']);
    expect(await stats()).not.to.have.property('guest');
    expect(await update('200m')).to.deep.equal({
      ...done,
      status: 1,
      stderr: 'cannot change the memory limit of a container that is paused\n',
    });
    await host.runnc(['resume', 'asked']);
    expect((await guest()).processes).to.equal(1);
    await host.runnc(['delete', '--force', 'asked']);
    await host.runnc(['run', '-d', '-b', host.bundle('time', ['forever']), 'asked']);
    expect(await stats()).not.to.have.property('guest');
    expect((await ps())[1]).to.include(String((await host.state('asked')).pid));
  });

  it('has the memory that update gives it, and ends programs at a limit that was lowered', async () => {
    await start(24 * MIB);
    const want = `${FILL} 30m | busybox tail -c 30m | busybox wc -c`;
    expect((await inside(want)).stdout).to.equal('0\n');
    expect(await update('128m')).to.deep.equal(done);
    expect((await guest()).memory.limit).to.be.within(120 * MIB, 128 * MIB);
    expect((await stats()).memory.usage.limit).to.equal(128 * MIB);
    expect((await inside(want)).stdout).to.equal(`${String(30 * MIB)}\n`);
    expect(await update('24m')).to.deep.equal(done);
    expect((await inside(want)).stdout).to.equal('0\n');
    expect((await guest()).memory.oomKills).to.equal(2);
    // The container itself lives on, and the host's killer had nothing to do.
    expect((await inside('echo well')).stdout).to.equal('well\n');
    expect(await update('-1')).to.deep.equal(done);
    expect((await guest()).memory.limit).to.be.greaterThan(128 * MIB);
  });

  it('keeps a limit that is above what it has in use', async () => {
    await start(200 * MIB);
    await inside(`${FILL} 80m > /tmp/file`);
    const { status, stderr } = await update('64m');
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /^linux\.resources\.memory\.limit: unable to set memory limit to 67108864 \(current usage of the guest: \d{8}\)\n$/,
    );
    expect((await guest()).memory.limit).to.be.greaterThan(190 * MIB);
    expect((await stats()).memory.usage.limit).to.equal(200 * MIB);
    expect((await update('1m')).stderr).to.match(
      /^linux\.resources\.memory\.limit: 1048576 bytes are too few/,
    );
    await inside('busybox rm /tmp/file');
    expect(await update('64m')).to.deep.equal(done);
  });
});
