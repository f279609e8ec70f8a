/**
 * A host under systemd with cgroup v2, in a virtual machine, by hand and under Docker with its systemd driver. The
 * program runs there as it is installed; what it did is read from the kernel and from systemd.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { GREETING, IMAGE, writeImage } from '../support/images.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm, type VmOptions } from '../support/vm.ts';

const MIB = 1024 * 1024;

const LIMITS = {
  memory: { limit: 64 * MIB, swap: 96 * MIB },
  pids: { limit: 9 },
  cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: '1' },
};

/** Shell functions for the scripts in the machines. */
const PRELUDE = `
create() { $runnc create --bundle /bundle one >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }; }
pid() { $runnc state one | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p'; }
show() { for file in "$@"; do echo "$file=$(cat $file)"; done; }
until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 300 ] || { echo "in vain: $1"; exit 1; }; sleep 0.1; done; }
`;

describe('on a host under systemd', function () {
  this.timeout(600_000);
  let host: Playground;
  let folder: string;
  /** What the last machine said, for who looks for the reason of a failure. */
  let log = '';

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(log);
  });

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

  /** What a script prints that systemd runs as a service. */
  function underSystemd(inner: string, options: Omit<VmOptions, 'script'>): string {
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
    const dbus = '/usr/share/dbus-1';
    const { output } = runInVm({
      timeoutMs: 500_000,
      ...options,
      programs: {
        '/runnc': runtime,
        '/lib/systemd/systemd': '/lib/systemd/systemd',
        '/usr/bin/dbus-daemon': '/usr/bin/dbus-daemon',
        '/usr/bin/busctl': '/usr/bin/busctl',
        '/usr/bin/systemctl': '/usr/bin/systemctl',
        ...options.programs,
      },
      files: {
        '/inner': file('inner', `${PRELUDE}${inner}`),
        '/etc/passwd': file('passwd', 'root:x:0:0::/:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n'),
        '/etc/group': file('group', 'root:x:0:\nmessagebus:x:100:\n'),
        '/etc/machine-id': file('machine-id', `${'0123456789abcdef'.repeat(2)}\n`),
        [`${dbus}/system.conf`]: `${dbus}/system.conf`,
        [`${dbus}/system.d/org.freedesktop.systemd1.conf`]: `${dbus}/system.d/org.freedesktop.systemd1.conf`,
        ...Object.fromEntries(
          Object.entries(units).map(([name, text]) => [`/etc/systemd/system/${name}`, file(name, text)]),
        ),
        ...options.files,
      },
      // systemd wants to be process 1; here it is that of a pid namespace.
      script: `
        mkdir -p /run/dbus
        container=vm unshare -p -m -f sh -c \\
          'mount -t proc proc /proc; exec /lib/systemd/systemd --system --unit=test.target --show-status=0' \\
          >/tmp/systemd.log 2>&1 &
        n=0; while [ ! -e /tmp/done ] && [ $n -lt 400 ]; do sleep 1; n=$((n+1)); done
        cat /tmp/inner.log; [ -e /tmp/done ] || cat /tmp/systemd.log
      `,
    });
    log = output;
    return output;
  }

  it('a container is a scope that systemd knows the limits of', () => {
    const output = underSystemd(
      `
      runnc="/runnc --systemd-cgroup --root /run/state"
      create
      echo "cgroup=$(cat /proc/$(pid)/cgroup)"
      $runnc start one
      cd /sys/fs/cgroup/box.slice/runnc-one.scope
      show memory.max memory.swap.max pids.max cpu.max cpu.weight
      systemctl show runnc-one.scope -p MemoryMax,TasksMax,CPUQuotaPerSecUSec,CPUWeight,Slice,Delegate,ActiveState
      $runnc update --memory ${String(32 * MIB)} --pids-limit 5 one
      systemctl daemon-reload
      show memory.max pids.max memory.swap.max cpu.max cpu.weight cpuset.cpus
      cd /
      $runnc delete --force one; echo "deleted=$?"
      systemctl show runnc-one.scope -p LoadState
      create
      $runnc delete --force one; echo "again=$?"
      ls -d /sys/fs/cgroup/box.slice/runnc-one.scope 2>/dev/null
      echo end
    `,
      { memoryMiB: 2048, files: { '/bundle': bundle('box.slice:runnc:one') } },
    );
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
      `memory.max=${String(32 * MIB)}\npids.max=5\nmemory.swap.max=${String(32 * MIB)}\ncpu.max=50000 100000\ncpu.weight=100\ncpuset.cpus=1`,
      'deleted=0\nLoadState=not-found',
      'again=0\nend',
    ]) {
      expect(output).to.contain(`${line}\n`);
    }
  });

  it('Docker with its systemd driver runs, limits, pauses, updates and stops containers', async () => {
    const image = join(folder, 'image.tar');
    await writeImage(image);
    const output = underSystemd(
      `
      export PATH=/bin:/usr/bin:/usr/sbin DOCKER_HOST=unix:///run/docker.sock HOME=/tmp
      mkdir -p /var/lib/docker /var/run; mount -t tmpfs docker /var/lib/docker
      dockerd --host $DOCKER_HOST --exec-opt native.cgroupdriver=systemd --bridge=none --iptables=false \\
        --ip6tables=false --storage-driver=overlay2 --exec-root /run/exec --pidfile /run/docker.pid \\
        --add-runtime runnc=/runnc --default-runtime runnc >/tmp/dockerd.log 2>&1 &
      until_true 'docker version >/dev/null 2>&1' || tail -n 30 /tmp/dockerd.log
      docker load --quiet --input /image.tar
      docker info --format 'driver={{.CgroupDriver}} v{{.CgroupVersion}}' 2>/dev/null
      docker run --rm --network=none ${IMAGE} /hello; echo "run=$?"
      id=$(docker run -d --network=none --memory=64m --memory-swap=96m --pids-limit=33 --cpus=0.5 ${IMAGE} /time forever)
      pid=$(docker inspect --format '{{.State.Pid}}' $id)
      sed "s/$id/ID/; s/^/cgroup=/" /proc/$pid/cgroup
      systemctl show docker-$id.scope -p MemoryMax,MemorySwapMax,TasksMax,CPUQuotaPerSecUSec,Slice,ActiveState
      cd /sys/fs/cgroup/system.slice/docker-$id.scope
      show memory.max pids.max cpu.max
      docker stats --no-stream --format 'stats={{.MemUsage}}' $id | sed 's/=[^/]*/=/'
      docker pause $id >/dev/null; grep frozen cgroup.events; docker unpause $id >/dev/null; grep frozen cgroup.events
      docker update --memory=96m --memory-swap=128m --pids-limit=44 $id >/dev/null; systemctl daemon-reload; show memory.max pids.max
      cd /
      docker stop --time=100 $id >/dev/null; docker inspect --format 'exit={{.State.ExitCode}}' $id
      docker rm $id >/dev/null; echo "rm=$?"
      systemctl show docker-$id.scope -p LoadState; ls -d /sys/fs/cgroup/system.slice/docker-*.scope 2>/dev/null
      echo end
    `,
      {
        memoryMiB: 4096,
        modules: ['overlay'],
        programs: {
          '/usr/sbin/dockerd': '/usr/sbin/dockerd',
          '/usr/bin/docker': '/usr/bin/docker',
          '/usr/bin/containerd': '/usr/bin/containerd',
          '/usr/sbin/runc': '/usr/sbin/runc',
          '/usr/bin/containerd-shim-runc-v2': '/usr/bin/containerd-shim-runc-v2',
        },
        files: { '/image.tar': image },
      },
    );
    for (const line of [
      'driver=systemd v2',
      `${GREETING}\nrun=0`,
      'cgroup=0::/system.slice/docker-ID.scope',
      `MemoryMax=${String(64 * MIB)}`,
      `MemorySwapMax=${String(32 * MIB)}`,
      'TasksMax=33',
      'CPUQuotaPerSecUSec=500ms',
      'Slice=system.slice',
      'ActiveState=active',
      `memory.max=${String(64 * MIB)}\npids.max=33\ncpu.max=50000 100000`,
      'stats=/ 64MiB',
      'frozen 1\nfrozen 0',
      `memory.max=${String(96 * MIB)}\npids.max=44`,
      'exit=143\nrm=0\nLoadState=not-found\nend',
    ]) {
      expect(output).to.contain(`${line}\n`);
    }
  });
});
