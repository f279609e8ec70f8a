/**
 * Hosts with other cgroups than this one's, as virtual machines: cgroup v2 alone, and cgroup v2 under systemd. The
 * program runs there as it is installed; what it did is read from the kernel and from systemd.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const MIB = 1024 * 1024;

const LIMITS = {
  memory: { limit: 64 * MIB, swap: 96 * MIB },
  pids: { limit: 9 },
  cpu: { shares: 1024, quota: 50_000, period: 100_000 },
};

/** Shell functions for the scripts in the machines. The initial file system of a machine cannot be pivoted away. */
const PRELUDE = `
create() { $runnc create --no-pivot --bundle /bundle one >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }; }
pid() { $runnc state one | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p'; }
show() { for file in "$@"; do echo "$file=$(cat $file)"; done; }
until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 300 ] || { echo "in vain: $1"; exit 1; }; sleep 0.1; done; }
`;

describe('on another host', function () {
  this.timeout(240_000);
  let host: Playground;
  let folder: string;

  before(() => {
    needs(runtime);
    host = new Playground();
    folder = mkdtempSync(join(tmpdir(), 'runnc-hosts-'));
  });

  after(async () => {
    rmSync(folder, { recursive: true });
    await host.close();
  });

  /** A file for the machine. */
  function file(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  function bundle(cgroupsPath: string): string {
    return host.bundle('time', ['forever'], (spec) => {
      spec.linux.cgroupsPath = cgroupsPath;
      spec.linux.resources = LIMITS;
    });
  }

  it('with cgroup v2 alone, limits, pause, update, events and delete do what they say', () => {
    const { output } = runInVm({
      memoryMiB: 2048,
      timeoutMs: 180_000,
      programs: { '/runnc': runtime },
      files: { '/bundle': bundle('/box/one') },
      script: `
        dmesg -n 1
        runnc="/runnc --root /run/state"
        ${PRELUDE}
        create
        echo "cgroup=$(cat /proc/$(pid)/cgroup)"
        $runnc start one
        cd /sys/fs/cgroup/box/one
        show memory.max memory.swap.max pids.max cpu.max cpu.weight
        echo "stats=$($runnc events --stats one)"
        $runnc pause one; grep frozen cgroup.events
        $runnc resume one; grep frozen cgroup.events
        $runnc update --memory ${String(32 * MIB)} --memory-swap ${String(32 * MIB)} one; show memory.max memory.swap.max

        # Another process beside the guest takes more than there is.
        $runnc events one >/tmp/events 2>&1 & events=$!
        until_true 'grep -q inotify /proc/$events/fdinfo/* 2>/dev/null'
        sh -c 'echo $$ >cgroup.procs; cat /dev/zero | tail -c 100m' >/dev/null 2>&1
        until_true 'grep -q oom /tmp/events'
        sed -n 's/.*"type":"oom".*/event=oom/p' /tmp/events

        $runnc pause one
        cd /
        $runnc delete --force one; echo "deleted=$?"
        wait $events; echo "events=$?"
        ls -d /sys/fs/cgroup/box/one 2>/dev/null; ls /run/state
        echo end
      `,
    });
    for (const line of [
      'cgroup=0::/box/one',
      `memory.max=${String(64 * MIB)}`,
      `memory.swap.max=${String(32 * MIB)}`,
      'pids.max=9',
      'cpu.max=50000 100000',
      'cpu.weight=100',
      'frozen 1\nfrozen 0',
      `memory.max=${String(32 * MIB)}`,
      'memory.swap.max=0',
      'event=oom',
      'deleted=0\nevents=0\nend',
    ]) {
      expect(output).to.contain(`${line}\n`);
    }
    const stats = JSON.parse(/^stats=(.*)$/m.exec(output)?.[1] ?? '');
    expect(stats.data.memory.usage).to.include({ limit: 64 * MIB });
    expect(stats.data.memory.usage.usage).to.be.greaterThan(0);
    expect(stats.data.memory.swap.limit).to.equal(96 * MIB);
    expect(stats.data.pids).to.deep.equal({ current: 1, limit: 9 });
    expect(stats.data.cpu.usage.total).to.be.greaterThan(0);
  });

  it('with systemd, the container is a scope that systemd knows the limits of', () => {
    const unit = (text: string): string => `[Unit]\nDefaultDependencies=no\n${text}\n`;
    const units = {
      'test.target': unit('Requires=dbus.socket dbus.service script.service'),
      'dbus.socket': unit('[Socket]\nListenStream=/run/dbus/system_bus_socket'),
      'dbus.service': unit(
        'Requires=dbus.socket\nAfter=dbus.socket\n[Service]\nType=notify\n' +
          'ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation',
      ),
      'script.service': unit(
        'After=dbus.service\n[Service]\nStandardOutput=append:/tmp/inner.log\nStandardError=append:/tmp/inner.log\n' +
          'ExecStart=/bin/sh -c "sh /inner; touch /tmp/done"',
      ),
    };
    const inner = `
      runnc="/runnc --systemd-cgroup --root /run/state"
      ${PRELUDE}
      create
      echo "cgroup=$(cat /proc/$(pid)/cgroup)"
      $runnc start one
      cd /sys/fs/cgroup/box.slice/runnc-one.scope
      show memory.max memory.swap.max pids.max cpu.max cpu.weight
      systemctl show runnc-one.scope -p MemoryMax,TasksMax,CPUQuotaPerSecUSec,CPUWeight,Slice,Delegate,ActiveState
      $runnc update --memory ${String(32 * MIB)} --pids-limit 5 one
      systemctl daemon-reload
      show memory.max pids.max
      cd /
      $runnc delete --force one; echo "deleted=$?"
      systemctl show runnc-one.scope -p LoadState
      create
      $runnc delete --force one; echo "again=$?"
      ls -d /sys/fs/cgroup/box.slice/runnc-one.scope 2>/dev/null
      echo end
    `;
    const dbus = '/usr/share/dbus-1';
    const { output } = runInVm({
      memoryMiB: 2048,
      timeoutMs: 180_000,
      programs: {
        '/runnc': runtime,
        '/lib/systemd/systemd': '/lib/systemd/systemd',
        '/usr/bin/dbus-daemon': '/usr/bin/dbus-daemon',
        '/usr/bin/busctl': '/usr/bin/busctl',
        '/usr/bin/systemctl': '/usr/bin/systemctl',
      },
      files: {
        '/bundle': bundle('box.slice:runnc:one'),
        '/inner': file('inner', inner),
        '/etc/passwd': file('passwd', 'root:x:0:0::/:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n'),
        '/etc/group': file('group', 'root:x:0:\nmessagebus:x:100:\n'),
        '/etc/machine-id': file('machine-id', `${'0123456789abcdef'.repeat(2)}\n`),
        [`${dbus}/system.conf`]: `${dbus}/system.conf`,
        [`${dbus}/system.d/org.freedesktop.systemd1.conf`]: `${dbus}/system.d/org.freedesktop.systemd1.conf`,
        ...Object.fromEntries(
          Object.entries(units).map(([name, text]) => [`/etc/systemd/system/${name}`, file(name, text)]),
        ),
      },
      // systemd wants to be process 1; here it is that of a pid namespace.
      script: `
        mkdir -p /run/dbus
        container=vm unshare -p -m -f sh -c \\
          'mount -t proc proc /proc; exec /lib/systemd/systemd --system --unit=test.target --show-status=0' \\
          >/tmp/systemd.log 2>&1 &
        n=0; while [ ! -e /tmp/done ] && [ $n -lt 120 ]; do sleep 1; n=$((n+1)); done
        cat /tmp/inner.log; [ -e /tmp/done ] || cat /tmp/systemd.log
      `,
    });
    for (const line of [
      'cgroup=0::/box.slice/runnc-one.scope',
      `memory.max=${String(64 * MIB)}`,
      `memory.swap.max=${String(32 * MIB)}`,
      'pids.max=9',
      'cpu.max=50000 100000',
      'cpu.weight=100',
      `MemoryMax=${String(64 * MIB)}`,
      'TasksMax=9',
      'CPUQuotaPerSecUSec=500ms',
      'CPUWeight=100',
      'Slice=box.slice',
      'Delegate=yes',
      'ActiveState=active',
      `memory.max=${String(32 * MIB)}\npids.max=5`,
      'deleted=0\nLoadState=not-found',
      'again=0\nend',
    ]) {
      expect(output).to.contain(`${line}\n`);
    }
  });
});
