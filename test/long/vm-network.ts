/** Networks on another kernel, Debian's (6.1), with what the kernel developed on lacks: ipvlan interfaces. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const MODULES = ['ipvlan', 'veth', 'tun', 'sch_ingress', 'cls_u32', 'act_mirred'];

const SCRIPT = `
  dmesg -n 1
  export PATH=/bin:/usr/bin:/usr/sbin
  # busybox's shell prefers its own.
  ip() { /usr/sbin/ip "$@"; }
  tc() { /usr/sbin/tc "$@"; }
  mkdir -p /run/netns
  section() { echo "== $1"; }
  state() { ip -n $1 -d link; ip -n $1 -4 address; ip -n $1 -4 route; tc -n $1 qdisc; }
  run() { timeout 60 /runnc run --bundle /bundles/$1 $1 </dev/null >/tmp/said 2>&1; status=$?; cat /tmp/said; echo "status=$status"; }

  section kernel; uname -r

  ip link add out type veth peer name peer
  ip link set peer up; ip link set out up

  section ipvlan
  ip netns add ipv
  ip link add link out name v0 type ipvlan mode l2 && ip link set v0 netns ipv name eth0
  ip -n ipv address add 10.5.0.4/24 dev eth0; ip -n ipv link set eth0 up
  state ipv >/tmp/before
  run ipvlan
  state ipv >/tmp/after; cmp /tmp/before /tmp/after && echo same
`;

describe("networks on Debian's kernel", function () {
  this.timeout(600_000);
  let rootfs: Rootfs;
  const sections = new Map<string, string>();

  before(() => {
    needs(runtime);
    const host = new Playground();
    const folder = mkdtempSync(join(tmpdir(), 'runnc-vm-network-'));
    rootfs = new Rootfs();
    try {
      const bundles = join(folder, 'bundles');
      mkdirSync(bundles);
      const made = rootfs.bundle(host, ['busybox', 'sleep', '1000'], (spec) => {
        spec.root = { path: '/rootfs' };
        delete spec.linux.cgroupsPath;
        spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
          type === 'network' ? { type, path: '/run/netns/ipv' } : { type },
        );
      });
      cpSync(made, join(bundles, 'ipvlan'), { recursive: true });
      const { output } = runInVm({
        // QEMU 7.2 lets iretq of ring 3 read its stack as the kernel would, which SMAP forbids.
        cpu: 'max,-smap',
        memoryMiB: 2048,
        timeoutMs: 580_000,
        modules: MODULES,
        programs: {
          '/runnc': runtime,
          '/usr/bin/mkfs.erofs': '/usr/bin/mkfs.erofs',
          '/usr/sbin/ip': '/usr/sbin/ip',
          '/usr/sbin/tc': '/usr/sbin/tc',
          '/usr/lib/x86_64-linux-gnu/libmnl.so.0': '/usr/lib/x86_64-linux-gnu/libmnl.so.0',
        },
        files: { '/bundles': bundles, '/rootfs': rootfs.folder },
        script: SCRIPT,
      });
      for (const part of output.split(/^== /m).slice(1)) {
        const end = part.indexOf('\n');
        sections.set(part.slice(0, end), part.slice(end + 1));
      }
    } finally {
      rmSync(folder, { recursive: true });
      rmSync(host.folder, { recursive: true });
    }
  });
  after(() => {
    rootfs.remove();
  });

  it('is another kernel', () => {
    expect(sections.get('kernel')).to.match(/^6\.1\./);
  });

  it('an ipvlan interface is refused with one line, and stays as it was', () => {
    expect(sections.get('ipvlan')).to.match(/^[^\n]*eth0 is an ipvlan interface[^\n]*\nstatus=1\nsame\n$/);
  });
});
