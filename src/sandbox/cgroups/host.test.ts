/** The managers on the cgroups of the machine that runs the tests, with real processes. Needs root. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import type { Resources } from '../../oci/spec.ts';
import { readHost } from './host.ts';
import { newCgroup, openCgroup, type CgroupManager } from './index.ts';
import { NO_LIMIT } from './stats.ts';

const MIB = 1024 * 1024;
const host = readHost();
/** The file of each version that holds the same limit. */
const file = (v1: string, v2: string): string => (host.version === 1 ? v1 : v2);

describe("the host's cgroups", () => {
  const children: ChildProcess[] = [];
  const cgroups: CgroupManager[] = [];

  /** A process that waits for the end of its standard input. */
  function waiter(command = 'exec cat'): ChildProcess & { readonly pid: number } {
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'ignore', 'ignore'] });
    children.push(child);
    if (child.pid === undefined) throw new Error('/bin/sh does not start');
    return child as ChildProcess & { readonly pid: number };
  }

  async function inNewCgroup(
    resources: Resources = {},
    child = waiter(),
  ): Promise<{ readonly cgroup: CgroupManager; readonly pid: number; readonly child: ChildProcess }> {
    const cgroup = await newCgroup({
      id: 'unused',
      cgroupsPath: `/runnc-test-${process.pid}/${cgroups.length}`,
      systemd: false,
      rootless: false,
    });
    cgroups.push(cgroup);
    await cgroup.enter(child.pid, resources);
    return { cgroup, pid: child.pid, child };
  }

  const dirOf = (cgroup: CgroupManager, controller: string): string =>
    cgroup.state.paths[host.version === 1 ? controller : 'unified'] ?? '';
  const text = (cgroup: CgroupManager, controller: string, name: string): string =>
    readFileSync(join(dirOf(cgroup, controller), name), 'utf8').trim();
  const gone = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };

  before(() => {
    if (process.getuid?.() !== 0) throw new Error('these tests make cgroups: run them as root');
  });

  afterEach(async () => {
    for (const cgroup of cgroups) {
      await cgroup.killAll();
      await cgroup.delete();
    }
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      await gone(child);
    }
  });

  after(() => {
    for (const { dir } of host.mounts) {
      const parent = join(dir, `runnc-test-${process.pid}`);
      if (existsSync(parent)) rmdirSync(parent);
    }
  });

  it('let a process enter by itself through their doors', async () => {
    const cgroup = await newCgroup({
      id: 'unused',
      cgroupsPath: `/runnc-test-${process.pid}/doors`,
      systemd: false,
      rootless: false,
    });
    cgroups.push(cgroup);
    const doors = await cgroup.make({ pids: { limit: 1 } });
    if (doors === undefined) throw new Error('no doors, although neither systemd nor rootless');
    const script = doors.taskFds.map((_, i) => `echo 0 >&${i + 3}`).join('; ');
    const child = spawn('/bin/bash', ['-c', `${script}; echo in; exec cat`], {
      stdio: ['pipe', 'pipe', 'inherit', ...doors.taskFds],
    });
    children.push(child);
    if (child.stdout === null) throw new Error('no standard output');
    await once(child.stdout, 'data');
    for (const fd of doors.taskFds) closeSync(fd);
    if (doors.cloneFd !== undefined) closeSync(doors.cloneFd);

    expect(text(cgroup, 'pids', 'pids.max')).to.equal('1');
    for (const [controller, dir] of Object.entries(cgroup.state.paths)) {
      // clone3(2) alone opens that one; test/oci sees a container in it.
      if (controller === 'unified') continue;
      expect(readFileSync(join(dir, 'cgroup.procs'), 'utf8'), controller).to.equal(`${child.pid}\n`);
    }
  });

  it('hold the process in every hierarchy', async () => {
    const { cgroup, pid } = await inNewCgroup();
    const suffix = `/runnc-test-${process.pid}/${cgroups.length - 1}`;
    const mine = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
    const mounted = new Set(host.mounts.flatMap(({ controllers }) => controllers));
    for (const line of mine) {
      const controllers = line.split(':')[1] ?? '';
      if (mounted.has(controllers === '' ? 'unified' : (controllers.split(',')[0] ?? ''))) {
        expect(line).to.satisfy((value: string) => value.endsWith(suffix));
      }
    }
    expect(cgroup.pids()).to.deep.equal([pid]);
  });

  it('are found again from the plain data of their state', async () => {
    const { cgroup, pid } = await inNewCgroup();
    const again = await openCgroup(JSON.parse(JSON.stringify(cgroup.state)));
    expect(again.pids()).to.deep.equal([pid]);
    await again.killAll();
    await again.delete();
    for (const dir of Object.values(cgroup.state.paths)) expect(existsSync(dir)).to.equal(false);
  });

  it('take the limits of config.json', async () => {
    const { cgroup } = await inNewCgroup({
      memory: { limit: 64 * MIB, reservation: 32 * MIB },
      cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: '0', mems: '0' },
      pids: { limit: 17 },
    });
    expect(text(cgroup, 'memory', file('memory.limit_in_bytes', 'memory.max'))).to.equal(String(64 * MIB));
    expect(text(cgroup, 'memory', file('memory.soft_limit_in_bytes', 'memory.low'))).to.equal(
      String(32 * MIB),
    );
    expect(text(cgroup, 'cpu', file('cpu.shares', 'cpu.weight'))).to.equal(host.version === 1 ? '512' : '59');
    expect(text(cgroup, 'cpu', file('cpu.cfs_quota_us', 'cpu.max'))).to.equal(file('50000', '50000 100000'));
    expect(text(cgroup, 'cpuset', 'cpuset.cpus')).to.equal('0');
    expect(text(cgroup, 'pids', 'pids.max')).to.equal('17');
    const stats = await cgroup.stats();
    expect(stats.memory.usage.limit).to.equal(64 * MIB);
    expect(stats.pids).to.deep.equal({ current: 1, limit: 17 });
    expect(stats.cpuset.cpus).to.deep.equal([0]);
  });

  it('take new limits for memory and swap, larger and smaller, and none', async () => {
    const { cgroup } = await inNewCgroup({ memory: { limit: 64 * MIB, swap: 64 * MIB } });
    const limits = async (): Promise<readonly number[]> => {
      const { memory } = await cgroup.stats();
      return [memory.usage.limit, memory.swap.limit];
    };
    expect(await limits()).to.deep.equal([64 * MIB, 64 * MIB]);
    await cgroup.update({ memory: { limit: 128 * MIB, swap: 256 * MIB } });
    expect(await limits()).to.deep.equal([128 * MIB, 256 * MIB]);
    await cgroup.update({ memory: { limit: 32 * MIB, swap: 48 * MIB } });
    expect(await limits()).to.deep.equal([32 * MIB, 48 * MIB]);
    await cgroup.update({ memory: { limit: -1 } });
    for (const limit of await limits()) expect(limit).to.be.closeTo(NO_LIMIT, 4096);
  });

  it('refuse a memory limit below what is in use', async () => {
    const user = waiter('read go; { cat /dev/zero | head -c 20m; cat; } | tail -c 21m');
    const { cgroup } = await inNewCgroup({ memory: { limit: 64 * MIB, swap: 64 * MIB } }, user);
    user.stdin?.write('go\n');
    while (((await cgroup.stats()).memory.usage.usage ?? 0) < 16 * MIB) await setImmediate();
    const line =
      /linux\.resources\.memory\.limit: unable to set memory limit to 1048576 \(current usage: \d+\)$/;
    expect(await cgroup.update({ memory: { limit: MIB, checkBeforeUpdate: true } }).catch(String)).to.match(
      line,
    );
    // Without that check cgroup v2 takes it, and the OOM killer makes it true.
    if (host.version === 1)
      expect(await cgroup.update({ memory: { limit: MIB } }).catch(String)).to.match(line);
  });

  it('take a shorter period and a smaller quota, whichever the kernel wants first', async () => {
    const { cgroup } = await inNewCgroup({ cpu: { quota: 500_000, period: 1_000_000 } });
    const read = (): string =>
      host.version === 1
        ? `${text(cgroup, 'cpu', 'cpu.cfs_quota_us')} ${text(cgroup, 'cpu', 'cpu.cfs_period_us')}`
        : text(cgroup, 'cpu', 'cpu.max');
    await cgroup.update({ cpu: { quota: 5_000, period: 10_000 } });
    expect(read()).to.equal('5000 10000');
    await cgroup.update({ cpu: { quota: 900_000, period: 1_000_000 } });
    expect(read()).to.equal('900000 1000000');
  });

  it('name field, file and errno when the kernel refuses a value, and leave nothing behind', async () => {
    const failure = await inNewCgroup({ cpu: { cpus: '0-4000' } }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(Error).and.have.property('code', 'INVALID');
    expect(String(failure)).to.match(
      /^RunncError: linux\.resources\.cpu\.cpus: cannot write "0-4000" to \/\S+\/cpuset\.cpus: (EINVAL|ERANGE)$/,
    );
    for (const dir of Object.values(cgroups.at(-1)?.state.paths ?? {}))
      expect(existsSync(dir)).to.equal(false);
  });

  it('refuse a process that is gone', async () => {
    const child = waiter();
    child.kill('SIGKILL');
    await gone(child);
    const failure = await inNewCgroup({}, child).catch(String);
    expect(failure).to.contain(`cannot move process ${child.pid} into /`).and.contain('ESRCH');
  });

  it('are not shared with a process that is there already', async () => {
    const { cgroup, pid } = await inNewCgroup();
    const second = await openCgroup(cgroup.state);
    expect(() => second.refuseUsed()).to.throw(`it holds process ${pid}`);
  });

  it('stand still while frozen, and go on', async () => {
    const { cgroup, child } = await inNewCgroup();
    expect(cgroup.freezerState()).to.equal('thawed');
    await cgroup.freeze();
    expect(cgroup.freezerState()).to.equal('frozen');
    // The end of its input would end it; standing still it cannot see it.
    child.stdin?.end();
    expect(child.exitCode).to.equal(null);
    await cgroup.thaw();
    await gone(child);
    expect(child.exitCode).to.equal(0);
    expect(cgroup.freezerState()).to.equal('thawed');
  });

  it('die as a whole, children that fork and frozen ones included', async () => {
    // Forks only once it is inside: what forked before would not be there.
    const { cgroup, child } = await inNewCgroup(
      {},
      waiter('read go; while :; do /bin/true; done & cat & cat'),
    );
    child.stdin?.write('go\n');
    while (cgroup.pids().length < 2) await setImmediate();
    await cgroup.freeze();
    await cgroup.killAll();
    await gone(child);
    expect(child.signalCode).to.equal('SIGKILL');
    await cgroup.delete();
    expect(cgroup.pids()).to.deep.equal([]);
  });

  it('tell that the host ran out of memory for them', async () => {
    const hog = waiter('read go; cat /dev/zero | tail -c 200m');
    const { cgroup } = await inNewCgroup({ memory: { limit: 24 * MIB, swap: 24 * MIB } }, hog);
    expect(cgroup.oomKills()).to.equal(0);
    let tell: (count: number) => void = () => undefined;
    const told = new Promise<number>((resolve) => {
      tell = resolve;
    });
    const watcher = await cgroup.watchOom((count) => tell(count));
    hog.stdin?.write('go\n');
    expect(await told).to.equal(1);
    watcher.close();
    await gone(hog);
    // The shell reports that the last program of its pipe died of SIGKILL.
    expect(hog.exitCode).to.equal(128 + 9);
    expect(cgroup.oomKills()).to.equal(1);
  });

  it('count processor time and memory', async () => {
    const worker = waiter('read go; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exec cat');
    const { cgroup } = await inNewCgroup({}, worker);
    const before = await cgroup.stats();
    worker.stdin?.write('go\n');
    worker.stdin?.end();
    await gone(worker);
    const after = await cgroup.stats();
    expect(after.cpu.usage.total).to.be.greaterThan(before.cpu.usage.total);
    expect(after.memory.usage.max).to.be.greaterThan(0);
    expect(after.memory.raw).to.include.keys('pgfault');
    expect(after.pids.current).to.equal(0);
  });

  it('go away with cgroups that were made below them', async () => {
    const { cgroup, child } = await inNewCgroup();
    for (const dir of new Set(Object.values(cgroup.state.paths)))
      mkdirSync(join(dir, 'a', 'b'), { recursive: true });
    child.stdin?.end();
    await gone(child);
    await cgroup.delete();
    for (const dir of Object.values(cgroup.state.paths)) expect(existsSync(dir)).to.equal(false);
    await cgroup.delete();
  });

  it('are not removed while a process is left', async function () {
    this.timeout(120_000);
    const { cgroup, pid } = await inNewCgroup();
    expect(await cgroup.delete().catch(String)).to.match(
      new RegExp(`cannot remove /\\S+: EBUSY, it holds processes ${pid}$`),
    );
  });

  if (host.version === 1) {
    it('allow the devices of config.json and the default ones alone (cgroup v1)', async () => {
      const { cgroup } = await inNewCgroup({
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'b', major: 8, minor: 0, access: 'r' },
        ],
      });
      const list = text(cgroup, 'devices', 'devices.list').split('\n');
      expect(list).to.include.members(['b 8:0 r', 'c 1:3 rwm', 'c 136:* rwm']);
      expect(list).to.not.include('a *:* rwm');
    });

    it('refuse unified (cgroup v1)', async () => {
      const failure = await inNewCgroup({ unified: { 'memory.high': '1' } }).catch(String);
      expect(failure).to.contain('linux.resources.unified: this host has cgroup v1');
    });
  }

  describe('that are missing', () => {
    const none = { version: 1, paths: {}, rootless: false } as const;

    it('are done without, unless a limit needs them', async () => {
      const cgroup = await openCgroup(none);
      cgroup.refuseUsed();
      expect(await cgroup.make({ devices: [{ allow: false }], memory: { limit: 0 } })).to.deep.equal({
        taskFds: [],
      });
      await cgroup.enter(waiter().pid, {});
      expect(cgroup.pids()).to.deep.equal([]);
      expect(cgroup.freezerState()).to.equal('thawed');
      expect((await cgroup.stats()).memory.usage.limit).to.equal(0);
      await cgroup.killAll();
      await cgroup.delete();
      expect(await cgroup.make({ memory: { limit: MIB } }).catch(String)).to.contain(
        'linux.resources.memory.limit: cannot be set, the container has no cgroup of the memory controller',
      );
      expect(await cgroup.freeze().catch(String)).to.contain('no cgroup of the freezer controller');
    });
  });

  describe('of version 2, without controllers on a hybrid host', () => {
    it('freeze, kill and go away', async function () {
      const mount = host.mounts.find(({ controllers }) => controllers.includes('unified'));
      // Announced as pending by mocha: a host of version 1 alone cannot show it.
      if (!mount) return this.skip();
      const cgroup = await openCgroup({
        version: 2,
        paths: { unified: join(mount.dir, `runnc-test-${process.pid}`, 'v2') },
        rootless: false,
      });
      cgroups.push(cgroup);
      const child = waiter();
      await cgroup.enter(child.pid, {});
      await cgroup.freeze();
      expect(cgroup.freezerState()).to.equal('frozen');
      await cgroup.thaw();
      expect(cgroup.freezerState()).to.equal('thawed');
      await cgroup.freeze();
      await cgroup.killAll();
      await gone(child);
      await cgroup.delete();
      expect(cgroup.pids()).to.deep.equal([]);
    });
  });
});
