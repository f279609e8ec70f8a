import { execFileSync } from 'node:child_process';
import { openSync, readFileSync, readlinkSync } from 'node:fs';
import { expect } from 'chai';
import { RunncError } from '../../src/errors.ts';
import type { NamespaceKind } from '../../src/sandbox/launch-plan.ts';
import { isDead, noStates, Sandbox } from './support.ts';

/** As /proc/PID/ns names them. */
const links: Readonly<Record<NamespaceKind, string>> = {
  user: 'user',
  pid: 'pid',
  network: 'net',
  mount: 'mnt',
  ipc: 'ipc',
  uts: 'uts',
  cgroup: 'cgroup',
  time: 'time',
};
const kinds = Object.keys(links) as NamespaceKind[];

function namespaceOf(pid: number | 'self', kind: NamespaceKind): string {
  return readlinkSync(`/proc/${String(pid)}/ns/${links[kind]}`);
}

const rootMaps = {
  uidMappings: [{ containerId: 0, hostId: 500000, size: 65536 }],
  gidMappings: [{ containerId: 0, hostId: 600000, size: 65536 }],
  denySetgroups: false,
};

describe('namespaces of a container', () => {
  const sandboxes: Sandbox[] = [];
  function sandbox(...args: ConstructorParameters<typeof Sandbox>): Sandbox {
    const made = new Sandbox(...args);
    sandboxes.push(made);
    return made;
  }
  afterEach(async () => {
    for (const made of sandboxes.splice(0)) await made.release();
  });

  for (const kind of kinds) {
    it(`makes a ${kind} namespace and no other, but always a mount namespace for the jail`, async () => {
      const box = sandbox({
        namespaces: [{ kind }],
        ...(kind === 'user' ? { userNamespace: rootMaps, jail: { uid: 1, gid: 2, noPivot: false } } : {}),
      });
      const init = await box.create();
      for (const other of kinds) {
        const isNew = namespaceOf(init.pid, other) !== namespaceOf('self', other);
        expect(isNew, other).to.equal(other === kind || other === 'mount');
      }
      expect(init.containerPid).to.equal(kind === 'pid' ? 1 : init.pid);
      await box.start();
      expect((await box.report())['pid']).to.equal(String(init.containerPid));
      expect(await box.finish(init)).to.deep.equal({ type: 'exited', code: 0 });
    });
  }

  it('joins namespaces of every kind that another container has', async () => {
    const first = sandbox({
      namespaces: kinds.map((kind) => ({ kind })),
      userNamespace: rootMaps,
      jail: { uid: 1, gid: 2, noPivot: false },
    });
    const firstInit = await first.create();
    const second = sandbox({ jail: { uid: 3, gid: 4, noPivot: false } });
    Object.assign(second.plan, {
      namespaces: kinds.map((kind) => ({
        kind,
        fd: second.own(openSync(`/proc/${String(firstInit.pid)}/ns/${links[kind]}`, 'r')),
      })),
    });
    const secondInit = await second.create();
    for (const kind of kinds) {
      const same = namespaceOf(secondInit.pid, kind) === namespaceOf(firstInit.pid, kind);
      // What it joined is for its hooks; the jail's mounts are its own.
      expect(same, kind).to.equal(kind !== 'mount');
    }
    expect(secondInit.containerPid).to.be.greaterThan(1);
    await second.start();
    const report = await second.report();
    expect(report).to.include({ uid: '3', gid: '4', entries: '2' });
    expect((await second.finish(secondInit)).type).to.equal('exited');
  });

  it('joins single namespaces beside new ones, as containers of a pod do', async () => {
    const first = sandbox();
    const firstInit = await first.create();
    const second = sandbox();
    const fd = second.own(openSync(`/proc/${String(firstInit.pid)}/ns/net`, 'r'));
    Object.assign(second.plan, {
      namespaces: [{ kind: 'network', fd }, { kind: 'pid' }, { kind: 'mount' }, { kind: 'uts' }],
    });
    const secondInit = await second.create();
    expect(namespaceOf(secondInit.pid, 'network')).to.equal(namespaceOf(firstInit.pid, 'network'));
    expect(namespaceOf(secondInit.pid, 'uts')).not.to.equal(namespaceOf(firstInit.pid, 'uts'));
    expect(secondInit.containerPid).to.equal(1);
  });

  it('refuses a descriptor that is no namespace of that kind', async () => {
    const box = sandbox();
    const fd = box.own(openSync('/proc/self/ns/uts', 'r'));
    Object.assign(box.plan, { namespaces: [{ kind: 'network', fd }] });
    const error = await box.create().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(RunncError);
    expect((error as RunncError).message).to.equal('cannot join the network namespace: Invalid argument');
  });

  it('writes the maps of a user namespace, and root of it is not root of the host', async () => {
    const box = sandbox({
      namespaces: [
        { kind: 'user' },
        { kind: 'pid' },
        { kind: 'network' },
        { kind: 'mount' },
        { kind: 'uts' },
      ],
      userNamespace: rootMaps,
      hostname: 'mapped',
      jail: { uid: 1000, gid: 2000, noPivot: false },
    });
    const init = await box.create();
    const map = (name: string): string => readFileSync(`/proc/${String(init.pid)}/${name}`, 'utf8').trim();
    expect(map('uid_map').split(/\s+/)).to.deep.equal(['0', '500000', '65536']);
    expect(map('gid_map').split(/\s+/)).to.deep.equal(['0', '600000', '65536']);
    await box.start();
    expect(await box.report()).to.include({ uid: '1000', gid: '2000', hostname: 'mapped' });
    const status = readFileSync(`/proc/${String(init.pid)}/status`, 'utf8');
    expect(status)
      .to.match(/Uid:\t501000\t501000/)
      .and.match(/Gid:\t602000\t602000/);
  });

  it('says which map the kernel refuses', async () => {
    const bad = [
      { containerId: 0, hostId: 1, size: 10 },
      { containerId: 5, hostId: 100, size: 10 },
    ];
    const box = sandbox({ namespaces: [{ kind: 'user' }], userNamespace: { ...rootMaps, gidMappings: bad } });
    const error = await box.create().catch((thrown: unknown) => thrown);
    expect((error as RunncError).message).to.equal(
      'linux.gidMappings: the kernel refuses this map (EINVAL): 0 1 10, 5 100 10',
    );
  });

  it('sets hostname, domainname and sysctls inside, where the host does not see them', async () => {
    const before = execFileSync('hostname', { encoding: 'utf8' });
    const box = sandbox({
      hostname: 'guest-1',
      domainname: 'example.test',
      sysctls: [
        { key: 'net.ipv4.ip_unprivileged_port_start', value: '80' },
        { key: 'net/ipv4/conf/lo/forwarding', value: '1' },
        { key: 'kernel.shm_rmid_forced', value: '1' },
      ],
    });
    const init = await box.create();
    const inside = (namespaces: string, file: string): string =>
      execFileSync('nsenter', ['-t', String(init.pid), namespaces, 'cat', `/proc/sys/${file}`], {
        encoding: 'utf8',
      }).trim();
    expect(inside('-n', 'net/ipv4/ip_unprivileged_port_start')).to.equal('80');
    expect(inside('-n', 'net/ipv4/conf/lo/forwarding')).to.equal('1');
    expect(inside('-i', 'kernel/shm_rmid_forced')).to.equal('1');
    expect(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').trim()).to.equal('1024');
    await box.start();
    expect(await box.report()).to.include({ hostname: 'guest-1', domainname: 'example.test' });
    expect(execFileSync('hostname', { encoding: 'utf8' })).to.equal(before);
  });

  for (const key of ['net.ipv4.no_such_thing', '../uptime', 'net/../../self/oom_score_adj']) {
    it(`refuses the sysctl ${key} and names it`, async () => {
      const box = sandbox({ sysctls: [{ key, value: '1' }] });
      let pid = 0;
      const error = await box
        .create(async (init) => {
          pid = init.pid;
          return noStates;
        })
        .catch((thrown: unknown) => thrown);
      expect((error as RunncError).message).to.match(/^linux\.sysctl .*: (No such file|Cross-device link)/);
      expect(isDead(pid)).to.equal(true);
    });
  }

  it('shifts the clocks of a time namespace', async () => {
    const box = sandbox({
      namespaces: [{ kind: 'time' }, { kind: 'pid' }],
      timeOffsets: [
        { clock: 'boottime', seconds: 1000000n, nanoseconds: 5 },
        { clock: 'monotonic', seconds: -1n, nanoseconds: 0 },
      ],
    });
    await box.create();
    await box.start();
    const hostSeconds = Number(readFileSync('/proc/uptime', 'utf8').split('.')[0]);
    const shifted = Number((await box.report())['boottime']) - hostSeconds;
    expect(shifted).to.be.within(999990, 1000010);
  });

  it('makes the cgroup namespace only after the runtime has moved the process', async () => {
    const box = sandbox({ namespaces: [{ kind: 'cgroup' }, { kind: 'mount' }] });
    let early = '';
    const init = await box.create(async ({ pid }) => {
      early = namespaceOf(pid, 'cgroup');
      return noStates;
    });
    expect(early).to.equal(namespaceOf('self', 'cgroup'));
    expect(namespaceOf(init.pid, 'cgroup')).not.to.equal(early);
  });

  it('leaves no mount of its own in the host', async () => {
    const before = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
    const box = sandbox({ namespaces: [{ kind: 'pid' }] });
    const init = await box.create();
    expect(readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length).to.equal(before);
    expect(
      readFileSync(`/proc/${String(init.pid)}/mountinfo`, 'utf8')
        .trim()
        .split('\n'),
    ).to.have.length(1);
  });
});
