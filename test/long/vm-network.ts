/**
 * Networks on another kernel, Debian's (6.1), with what the kernel developed on lacks: ipvlan interfaces, and netem for
 * links that lose, double, delay and reorder. One boot of a virtual machine.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const MEGABYTES = 4;
const MODULES = ['ipvlan', 'macvlan', 'veth', 'tun', 'sch_ingress', 'cls_u32', 'act_mirred', 'sch_netem'];
/** From the host to the guest, and back. */
const LINKS = {
  even: '',
  lossy: 'loss 1%',
  doubled: 'duplicate 5% loss 0.5%',
  reordered: 'delay 5ms reorder 75% 50%',
} as const;

const FETCH = 'wget -q -O - http://10.5.0.1/data | sha256sum';
const SEND = 'wget -q -O - http://10.5.0.1/data | tee /tmp/data | nc 10.5.0.1 7000';

const SCRIPT = `
  dmesg -n 1
  export PATH=/bin:/usr/bin:/usr/sbin
  mkdir -p /www /run/netns
  section() { echo "== $1"; }
  state() { ip -n $1 -d link; ip -n $1 address; ip -n $1 route; tc -n $1 qdisc; }
  run() { /runnc run --bundle /bundles/$1 $1 </dev/null 2>&1; echo "status=$?"; }

  section kernel; uname -r

  ip netns add box
  ip link add out type veth peer name eth0 netns box
  ip address add 10.5.0.1/24 dev out; ip link set out up
  ip -n box address add 10.5.0.2/24 dev eth0; ip -n box link set eth0 up
  head -c ${String(MEGABYTES)}000000 /dev/urandom >/www/data
  httpd -p 80 -h /www
  sum=$(sha256sum </www/data)
  state box >/tmp/before
  ${Object.entries(LINKS)
    .map(
      ([name, netem]) => `
  section ${name}
  ${netem === '' ? '' : `for dev in 'box dev eth0' '1 dev out'; do if [ "$dev" = '1 dev out' ]; then tc qdisc replace dev out root netem ${netem}; else tc -n box qdisc replace dev eth0 root netem ${netem}; fi; done`}
  [ "$(run fetch)" = "$sum
status=0" ] && echo fetched
  nc -l -p 7000 >/tmp/came & listener=$!
  run send; wait $listener
  [ "$(sha256sum </tmp/came)" = "$sum" ] && echo sent
  tc qdisc del dev out root 2>/dev/null; tc -n box qdisc del dev eth0 root 2>/dev/null`,
    )
    .join('\n')}
  section restored
  state box >/tmp/after; cmp /tmp/before /tmp/after && echo same

  section macvlan
  ip netns add mac
  ip link add link out name m0 type macvlan mode bridge; ip link set m0 netns mac name eth0
  ip -n mac address add 10.5.0.3/24 dev eth0; ip -n mac link set eth0 up
  state mac >/tmp/before
  run macvlan & guest=$!
  n=0; until ip netns exec box ping -c 1 -w 1 10.5.0.3 >/dev/null; do n=$((n+1)); [ $n -lt 100 ] || break; sleep 0.1; done
  ip netns exec box ping -q -c 3 10.5.0.3 | grep received
  /runnc kill macvlan KILL; wait $guest; /runnc delete --force macvlan 2>/dev/null
  state mac >/tmp/after; cmp /tmp/before /tmp/after && echo same
  ip netns del mac

  section ipvlan
  ip netns add ipv
  ip link add link out name v0 type ipvlan mode l2 && ip link set v0 netns ipv name eth0
  ip -n ipv address add 10.5.0.4/24 dev eth0; ip -n ipv link set eth0 up
  state ipv >/tmp/before
  run ipvlan
  state ipv >/tmp/after; cmp /tmp/before /tmp/after && echo same
  ip netns exec ipv ping -q -c 1 10.5.0.4 | grep received
`;

describe("networks on Debian's kernel", function () {
  this.timeout(1_200_000);
  let rootfs: Rootfs;
  const sections = new Map<string, string>();

  before(() => {
    needs(runtime);
    const host = new Playground();
    const folder = mkdtempSync(join(tmpdir(), 'runnc-vm-network-'));
    rootfs = new Rootfs();
    for (const name of ['wget', 'sha256sum', 'nc', 'tee', 'sh', 'sleep'])
      symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
    try {
      const bundles = join(folder, 'bundles');
      mkdirSync(bundles);
      for (const [name, namespace, script] of [
        ['fetch', 'box', FETCH],
        ['send', 'box', SEND],
        ['macvlan', 'mac', 'exec sleep 1000'],
        ['ipvlan', 'ipv', 'exec sleep 1000'],
      ] as const) {
        const made = rootfs.bundle(host, ['sh', '-c', script], (spec) => {
          spec.root = { path: '/rootfs' };
          delete spec.linux.cgroupsPath;
          spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
            type === 'network' ? { type, path: `/run/netns/${namespace}` } : { type },
          );
        });
        cpSync(made, join(bundles, name), { recursive: true });
      }
      const { output } = runInVm({
        // QEMU 7.2 lets iretq of ring 3 read its stack as the kernel would, which SMAP forbids.
        cpu: 'max,-smap',
        memoryMiB: 2048,
        timeoutMs: 1_100_000,
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

  for (const name of Object.keys(LINKS))
    it(`${String(MEGABYTES)} MB pass both ways over a link that is ${name}`, () => {
      expect(sections.get(name)).to.equal('fetched\nstatus=0\nsent\n');
    });

  it('the namespace is as before', () => {
    expect(sections.get('restored')).to.equal('same\n');
  });

  it('a macvlan interface works', () => {
    expect(sections.get('macvlan')).to.match(/^3 packets transmitted, 3 packets received[^]*same\n$/m);
  });

  it('an ipvlan interface is refused with one line, and stays as it was', () => {
    expect(sections.get('ipvlan')).to.match(
      /^[^\n]*eth0 is an ipvlan interface[^\n]*\nstatus=1\nsame\n1 packets transmitted, 1 packets received/,
    );
  });
});
