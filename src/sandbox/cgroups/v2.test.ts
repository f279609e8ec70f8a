import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Resources } from '../../oci/spec.ts';
import { NO_LIMIT } from './stats.ts';
import { CgroupV2 } from './v2.ts';

/** Files as Linux 6.12 has them in a cgroup with all controllers. */
const FILES: Readonly<Record<string, string>> = {
  'cgroup.procs': '',
  'cgroup.freeze': '0\n',
  'cgroup.events': 'populated 0\nfrozen 0\n',
  'memory.max': '',
  'memory.low': '',
  'memory.high': '',
  'memory.swap.max': '',
  'memory.current': '8192\n',
  'memory.peak': '16384\n',
  'memory.swap.current': '4096\n',
  'memory.events': 'low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n',
  'memory.stat': 'anon 100\nfile 200\n',
  'pids.max': '',
  'pids.current': '5\n',
  'cpu.weight': '',
  'cpu.max': '',
  'cpu.max.burst': '',
  'cpu.idle': '',
  'cpu.stat': 'usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\nthrottled_usec 2\n',
  'cpuset.cpus': '',
  'cpuset.mems': '',
  'cpuset.cpus.effective': '0-1\n',
  'cpuset.mems.effective': '0\n',
  'io.weight': '',
  'io.max': '',
  'io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n',
  'hugetlb.2MB.max': '',
  'hugetlb.2MB.rsvd.max': '',
  'hugetlb.2MB.current': '2097152\n',
  'hugetlb.2MB.events': 'max 7\n',
  'rdma.max': '',
};

describe('cgroup v2, on a folder in place of the kernel', () => {
  let root: string;
  let leaf: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'runnc-cgroup-v2-'));
    leaf = join(root, 'parent', 'leaf');
    mkdirSync(leaf, { recursive: true });
    for (const dir of [root, join(root, 'parent')]) {
      writeFileSync(join(dir, 'cgroup.controllers'), 'cpu memory pids\n');
      writeFileSync(join(dir, 'cgroup.subtree_control'), '');
    }
    for (const [file, text] of Object.entries(FILES)) writeFileSync(join(leaf, file), text);
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const open = (rootless = false): CgroupV2 =>
    new CgroupV2({ version: 2, paths: { unified: leaf }, rootless });
  const text = (file: string): string => readFileSync(join(leaf, file), 'utf8');

  /** What each file holds after these resources were set. */
  async function written(resources: Resources): Promise<Readonly<Record<string, string>>> {
    await open().update(resources);
    const changed: Record<string, string> = {};
    for (const [file, before] of Object.entries(FILES)) if (text(file) !== before) changed[file] = text(file);
    return changed;
  }

  async function refused(resources: Resources): Promise<string> {
    try {
      await open().update(resources);
    } catch (error) {
      return String(error);
    }
    throw new Error('was not refused');
  }

  it('sets the limits before it moves the process in, with every controller handed down', async () => {
    await open().enter(4711, { pids: { limit: 9 } });
    expect(text('cgroup.procs')).to.equal('4711');
    expect(text('pids.max')).to.equal('9');
    // Written one by one into the same bytes; the last is left.
    expect(readFileSync(join(root, 'cgroup.subtree_control'), 'utf8')).to.contain('+pids');
    expect(readFileSync(join(root, 'parent', 'cgroup.subtree_control'), 'utf8')).to.contain('+pids');
  });

  it('leaves a cgroup with processes of its own alone, and says so if there are limits', async () => {
    const parent = join(root, 'parent');
    writeFileSync(join(parent, 'cgroup.type'), 'domain\n');
    writeFileSync(join(parent, 'cgroup.procs'), '12\n');
    await open().enter(4711, {});
    expect(text('cgroup.procs')).to.equal('4711');
    expect(readFileSync(join(parent, 'cgroup.subtree_control'), 'utf8')).to.equal('');
    expect(
      await open()
        .make({ pids: { limit: 9 } })
        .catch(String),
    ).to.contain(
      `linux.cgroupsPath: ${leaf} can have no limits, because ${parent} above it holds processes of its own`,
    );
  });

  it('refuses a cgroup below a threaded one', async () => {
    writeFileSync(join(leaf, 'cgroup.type'), 'domain invalid\n');
    expect(await open().make({}).catch(String)).to.match(
      /: linux\.cgroupsPath: no process can get into .* is threaded$/,
    );
  });

  it('refuses a cgroup that holds a process', () => {
    writeFileSync(join(leaf, 'cgroup.procs'), '12\n');
    expect(() => open().refuseUsed()).to.throw(/^linux\.cgroupsPath: .* is not empty: it holds process 12$/);
  });

  it('refuses a cgroup that is frozen', () => {
    writeFileSync(join(leaf, 'cgroup.freeze'), '1\n');
    expect(() => open().refuseUsed()).to.throw(/is frozen$/);
  });

  it('leaves everything alone when nothing, or only zeroes, are asked for', async () => {
    expect(await written({})).to.deep.equal({});
    expect(
      await written({
        memory: { limit: 0, swap: 0, reservation: 0 },
        cpu: { shares: 0, quota: 0, period: 0, cpus: '', mems: '' },
        pids: { limit: 0 },
        blockIO: { weight: 0 },
        devices: [{ allow: false, access: 'rwm' }],
      }),
    ).to.deep.equal({});
  });

  it('takes the memory limit off the sum that config.json has for swap', async () => {
    expect(await written({ memory: { limit: 1000, swap: 1500, reservation: 700 } })).to.deep.equal({
      'memory.max': '1000',
      'memory.swap.max': '500',
      'memory.low': '700',
    });
  });

  it('allows no swap when both are the same', async () => {
    expect(await written({ memory: { limit: 1000, swap: 1000 } })).to.deep.equal({
      'memory.max': '1000',
      'memory.swap.max': '0',
    });
  });

  it('lifts swap together with memory', async () => {
    expect(await written({ memory: { limit: -1 } })).to.deep.equal({
      'memory.max': 'max',
      'memory.swap.max': 'max',
    });
  });

  it('refuses a sum that is too small or alone', async () => {
    expect(await refused({ memory: { limit: 1000, swap: 999 } })).to.contain('linux.resources.memory.swap: ');
    expect(await refused({ memory: { swap: 999 } })).to.contain(
      'linux.resources.memory.swap: needs memory.limit',
    );
  });

  it('refuses a limit below what is in use, when told to look', async () => {
    expect(await refused({ memory: { limit: 8191, checkBeforeUpdate: true } })).to.contain(
      'unable to set memory limit to 8191 (current usage: 8192)',
    );
    expect(await written({ memory: { limit: 8192, checkBeforeUpdate: true } })).to.have.property(
      'memory.max',
    );
  });

  it('sets the processor limits', async () => {
    expect(
      await written({
        cpu: { shares: 1024, quota: 50000, period: 20000, burst: 10, idle: 1, cpus: '0-1', mems: '0' },
      }),
    ).to.deep.equal({
      'cpu.weight': '100',
      'cpu.max': '50000 20000',
      'cpu.max.burst': '10',
      'cpu.idle': '1',
      'cpuset.cpus': '0-1',
      'cpuset.mems': '0',
    });
  });

  it('keeps the period when only the quota changes, and the quota when only the period does', async () => {
    writeFileSync(join(leaf, 'cpu.max'), '30000 40000');
    await open().update({ cpu: { quota: -1 } });
    expect(text('cpu.max').slice(0, 9)).to.equal('max 40000');
    writeFileSync(join(leaf, 'cpu.max'), '30000 40000');
    await open().update({ cpu: { period: 50000 } });
    expect(text('cpu.max')).to.equal('30000 50000');
  });

  it('sets weights and throttles of block devices', async () => {
    const device = { major: 8, minor: 16 };
    expect(await written({ blockIO: { weight: 1000 } })).to.deep.equal({ 'io.weight': 'default 10000' });
    expect(await written({ blockIO: { throttleReadBpsDevice: [{ ...device, rate: 5 }] } })).to.include({
      'io.max': '8:16 rbps=5',
    });
    expect(await written({ blockIO: { throttleWriteIOPSDevice: [{ ...device, rate: 0 }] } })).to.include({
      'io.max': '8:16 wiops=max',
    });
  });

  it("gives BFQ its weights in cgroup v1's range", async () => {
    writeFileSync(join(leaf, 'io.bfq.weight'), '');
    await open().update({ blockIO: { weight: 500 } });
    expect(text('io.bfq.weight')).to.equal('default 500');
  });

  it('limits used and reserved huge pages alike', async () => {
    expect(await written({ hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }] })).to.deep.equal({
      'hugetlb.2MB.max': '4194304',
      'hugetlb.2MB.rsvd.max': '4194304',
    });
  });

  it('sets rdma limits and unified files', async () => {
    expect(
      await written({
        rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10 } },
        unified: { 'memory.high': '77' },
      }),
    ).to.deep.equal({ 'rdma.max': 'mlx5_1 hca_handle=3 hca_object=10', 'memory.high': '77' });
  });

  for (const file of ['../memory.max', 'cgroup.procs', '/etc/passwd', '', 'memory', 'a/b.c']) {
    it(`refuses the unified file ${JSON.stringify(file)}`, async () => {
      expect(await refused({ unified: { [file]: '1' } })).to.contain('is not the name of a controller');
    });
  }

  it('refuses a page size that would lead to another file', async () => {
    expect(await refused({ hugepageLimits: [{ pageSize: '../2MB', limit: 1 }] })).to.contain(
      'linux.resources.hugepageLimits[0].pageSize',
    );
  });

  it('names field and file when the host lacks what is asked for', async () => {
    expect(await refused({ unified: { 'memory.none': '1' } })).to.equal(
      `RunncError: linux.resources.unified["memory.none"]: cannot be set, this host has no ${leaf}/memory.none`,
    );
  });

  it('refuses what only cgroup v1 has', async () => {
    expect(await refused({ cpu: { realtimeRuntime: 1 } })).to.contain('linux.resources.cpu.realtimeRuntime');
    expect(await refused({ network: { classID: 1 } })).to.contain('linux.resources.network');
    expect(await refused({ blockIO: { leafWeight: 10 } })).to.contain('linux.resources.blockIO.leafWeight');
  });

  it("counts in cgroup v1's terms", async () => {
    writeFileSync(join(leaf, 'memory.max'), '1000000\n');
    writeFileSync(join(leaf, 'memory.swap.max'), 'max\n');
    writeFileSync(join(leaf, 'pids.max'), 'max\n');
    const stats = await open().stats();
    expect(stats.cpu.usage).to.deep.equal({ total: 30000, kernel: 10000, user: 20000 });
    expect(stats.cpu.throttling).to.deep.equal({ periods: 4, throttledPeriods: 3, throttledTime: 2000 });
    expect(stats.memory.cache).to.equal(200);
    expect(stats.memory.usage).to.deep.equal({ limit: 1000000, usage: 8192, max: 16384, failcnt: 3 });
    expect(stats.memory.swap).to.include({ limit: NO_LIMIT, usage: 12288 });
    expect(stats.memory.raw).to.deep.equal({ anon: 100, file: 200 });
    expect(stats.pids).to.deep.equal({ current: 5, limit: 0 });
    expect(stats.cpuset.cpus).to.deep.equal([0, 1]);
    expect(stats.blkio.ioServicedRecursive).to.deep.include({ major: 8, minor: 0, op: 'Write', value: 4 });
    expect(stats.hugetlb).to.deep.equal({ '2MB': { usage: 2097152, failcnt: 7 } });
  });

  it('knows how many processes the host ran out of memory for', () => {
    expect(open().oomKills()).to.equal(1);
  });

  it('counts nothing when the cgroup is gone', async () => {
    const gone = new CgroupV2({ version: 2, paths: { unified: join(root, 'gone') }, rootless: false });
    expect(gone.pids()).to.deep.equal([]);
    expect(gone.freezerState()).to.equal('thawed');
    expect(gone.oomKills()).to.equal(0);
    expect((await gone.stats()).pids).to.deep.equal({ current: 0, limit: 0 });
    await gone.killAll();
    await gone.delete();
  });

  it('keeps asking for what a rootless container must not lose in silence', async () => {
    const none = new CgroupV2({ version: 2, paths: {}, rootless: true });
    await none.update({ devices: [{ allow: true }], memory: { limit: 0 } });
    expect(await none.update({ memory: { limit: 1 } }).catch(String)).to.contain(
      'the container has no cgroup',
    );
  });
});
