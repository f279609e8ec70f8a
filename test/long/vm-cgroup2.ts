/**
 * The whole life of containers on a host that has cgroup v2 alone and another kernel than the one developed on, in
 * one boot of a virtual machine: a script does everything and prints what it saw in named sections, and each test
 * reads one of them.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Playground, type Draft } from '../support/bundle.ts';
import { needs, runtime, unikernel } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const MIB = 1024 * 1024;
const CROWD = 20;

const LIMITS = {
  memory: { limit: 64 * MIB, swap: 96 * MIB, reservation: 32 * MIB },
  cpu: { shares: 512, quota: 50_000, period: 200_000, burst: 10_000, cpus: '1', mems: '0' },
  pids: { limit: 9 },
  blockIO: {
    weight: 500,
    throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1_000_000 }],
    throttleWriteIOPSDevice: [{ major: 7, minor: 0, rate: 300 }],
  },
  hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }],
  unified: { 'memory.high': String(60 * MIB), 'pids.max': '8' },
};

/** Touches all the memory that it got, says so, and waits. */
const HOG = `
  #include "probe.h"
  int solo5_app_main(const struct solo5_start_info *info)
  {
      for (size_t at = 0; at < info->heap_size; at += 4096)
          *(volatile char *)(info->heap_start + at) = 1;
      print("touched\\n");
      solo5_yield(UINT64_MAX, NULL);
      return 0;
  }`;

/** A Linux program whose child wants more memory than there is, densely or in places far from each other; it lives. */
const DEVOURER = `
  #include <stdio.h>
  #include <sys/mman.h>
  #include <sys/wait.h>
  #include <unistd.h>
  static int devoured(unsigned long step)
  {
      int status;
      if (fork() == 0) {
          char *p = mmap(0, 1ul << 34, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
          for (unsigned long at = 0; at < 1ul << 34; at += step) p[at] = 1;
          _exit(0);
      }
      wait(&status);
      return WTERMSIG(status);
  }
  int main(void)
  {
      printf("dense: signal %d\\n", devoured(4096));
      printf("sparse: signal %d\\n", devoured(2 << 20));
      fflush(stdout);
      return pause();
  }`;

const PRELUDE = `
  dmesg -n 1
  cg=/sys/fs/cgroup
  runnc=/runnc
  section() { echo "== $1"; }
  create() { id=$1; bundle=$2; shift 2; $runnc create --bundle /bundles/$bundle "$@" $id >/tmp/$id.out 2>&1 </dev/null; }
  pid() { $runnc state $1 | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p'; }
  status() { $runnc state $1 | sed -n 's/.*"status": "\\(.*\\)".*/\\1/p'; }
  show() { for file in "$@"; do echo "$file=$(cat $file)"; done; }
  says() { until_true "grep -qs $2 /tmp/$1.out"; }
  until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 100 ] || { echo "in vain: $1"; return 1; }; sleep 0.1; done; }
  cgroups() { find $cg -mindepth 1 -type d | sort | tr '\\n' ' '; }
  leftovers() { echo "cgroups: $(cgroups)"; echo "state: $(ls -A /run/runnc/ | grep -v @)"; echo "uids: $(ls -A /run/runnc/@uids | grep -v '^lock' | grep '^[0-9]')"; echo "mounts: $(grep -c . /proc/self/mountinfo)"; }
`;

const SCRIPT = `
  ${PRELUDE}
  dd if=/dev/zero of=/tmp/disk bs=1M count=1 2>/dev/null; losetup /dev/loop0 /tmp/disk
  mount -t tracefs tracefs /sys/kernel/tracing
  echo 1 >/sys/kernel/tracing/events/cgroup/cgroup_attach_task/enable
  moves() { grep -c cgroup_attach_task: /sys/kernel/tracing/trace; }
  mounts_before=$(grep -c . /proc/self/mountinfo)

  section kernel; uname -r

  section limits
  create one limits || cat /tmp/one.out
  cd $cg/box/one
  show memory.max memory.swap.max memory.low memory.high cpu.weight cpu.max cpu.max.burst cpuset.cpus cpuset.cpus.effective
  show cpuset.mems pids.max io.weight io.max hugetlb.2MB.max hugetlb.2MB.rsvd.max

  section place
  echo "moves=$(moves)"
  cat /proc/$(pid one)/cgroup; echo "procs=$(cat cgroup.procs) pid=$(pid one)"
  sh -c "echo \\$\\$ >$cg/box/one/cgroup.procs"; echo "moves=$(moves)"
  echo "handed down: $(cat $cg/box/cgroup.subtree_control)"
  $runnc start one; says one waiting; status one

  section pause
  $runnc pause one; status one; grep frozen cgroup.events; cat cgroup.freeze
  $runnc pause one 2>&1; echo "again=$?"
  $runnc start one 2>&1; echo "start=$?"
  $runnc kill one TERM; status one
  $runnc resume one; until_true '[ "$(status one)" = stopped ]'; status one
  $runnc resume one 2>&1; echo "stopped=$?"
  cd /; $runnc delete one; ls -d $cg/box/one 2>&1

  section update
  create two limits; $runnc start two; says two waiting; cd $cg/box/one
  $runnc update --memory 40m --memory-swap 50m --memory-reservation 20m --cpu-share 2048 --cpu-quota 20000 --cpuset-cpus 0 --pids-limit 5 --blkio-weight 100 two
  show memory.max memory.swap.max memory.low cpu.weight cpu.max cpuset.cpus pids.max io.weight
  echo '{"memory":{"limit":-1},"cpu":{"quota":-1},"pids":{"limit":-1},"unified":{"memory.high":"max"}}' | $runnc update --resources - two
  show memory.max memory.swap.max memory.high cpu.max pids.max cpu.weight
  $runnc update --cpuset-cpus 77 two 2>&1; echo "refused=$?"
  $runnc update --memory 30m --memory-swap 20m two 2>&1; echo "refused=$?"

  section stats
  $runnc events --stats two
  section ps
  echo "pid=$(pid two)"; $runnc ps --format json two; $runnc ps two | tail -n +2 | wc -l
  section list
  $runnc list --format json

  section force
  mkdir inner; sleep 100 & sleeper=$!; echo $sleeper >inner/cgroup.procs
  $runnc pause two; cd /; $runnc delete two 2>&1; echo "refused=$?"
  $runnc delete --force two; echo "forced=$?"; wait $sleeper; echo "sleeper=$?"; ls -d $cg/box/one 2>&1

  section kill
  create three limits; $runnc start three; says three waiting; $runnc pause three; $runnc kill three KILL
  until_true '[ "$(status three)" = stopped ]'; $runnc delete three; echo "deleted=$?"

  section default
  mkdir -p $cg/caller/self
  sh -c 'echo $$ >'$cg/caller/self/cgroup.procs'; /runnc create --bundle /bundles/default four >/tmp/four.out 2>&1 </dev/null'
  cat /proc/$(pid four)/cgroup; cat $cg/caller/cgroup.subtree_control; $runnc delete -f four; ls $cg/caller | grep -v '\\.'
  rmdir $cg/caller/self $cg/caller

  section nested
  create five nested; cat /proc/$(pid five)/cgroup; show $cg/a/cgroup.subtree_control $cg/a/b/cgroup.subtree_control $cg/a/b/c/memory.max
  $runnc delete -f five; ls -d $cg/a/b/c 2>&1; rmdir $cg/a/b $cg/a

  section busy
  mkdir $cg/busy; sleep 100 & sleeper=$!; echo $sleeper >$cg/busy/cgroup.procs
  create six busy; echo "status=$?"; cat /tmp/six.out; find $cg/busy -mindepth 1 -type d
  show $cg/busy/cgroup.subtree_control
  create six busy-free; echo "status=$?"; cat /tmp/six.out; cat /proc/$(pid six)/cgroup; $runnc delete -f six
  echo +pids >$cg/busy/cgroup.subtree_control; create six busy-free; echo "status=$?"; cat /tmp/six.out
  kill $sleeper; wait $sleeper; rmdir $cg/busy

  section taken
  mkdir -p $cg/taken; sleep 100 & sleeper=$!; echo $sleeper >$cg/taken/cgroup.procs
  create seven taken; echo "status=$?"; cat /tmp/seven.out; echo "procs=$(wc -l <$cg/taken/cgroup.procs)"
  kill $sleeper; wait $sleeper
  echo 1 >$cg/taken/cgroup.freeze; create seven taken; echo "status=$?"; cat /tmp/seven.out; rmdir $cg/taken

  section errors
  for bundle in cpus quota unified swap realtime hugepages io tiny; do
    create bad bad-$bundle; echo "$bundle: status=$? lines=$(wc -l </tmp/bad.out) $(cat /tmp/bad.out)"
  done
  leftovers

  section pids
  create eight pids; echo "created=$?"; $runnc start eight; says eight waiting; show $cg/box/eight/pids.max $cg/box/eight/pids.current
  $runnc delete -f eight

  section namespace
  create ns cgroup-namespace; /util/nsenter -t $(pid ns) -C cat /proc/self/cgroup; cat /proc/$(pid ns)/cgroup; $runnc delete -f ns

  section oom
  create hog hog; $runnc start hog; says hog touched; echo "lives=$(status hog)"; cd $cg/box/hog
  show memory.max; grep oom_kill memory.events
  $runnc events hog >/tmp/events 2>&1 & events=$!
  until_true 'grep -q inotify /proc/$events/fdinfo/* 2>/dev/null'
  $runnc update --memory 20m --memory-swap 20m hog; echo "update=$?"
  until_true '[ "$(status hog)" = stopped ]'
  grep 'oom_kill ' memory.events
  wait $events; echo "events=$?"; grep -c '"type":"oom"' /tmp/events
  cd /; $runnc delete hog; echo "deleted=$?"

  section oom-inside
  create devourer devourer; $runnc start devourer; says devourer sparse; grep signal /tmp/devourer.out
  echo "lives=$(status devourer)"; grep -E '^oom' $cg/box/devourer/memory.events; $runnc delete -f devourer

  section oom-run
  $runnc run --bundle /bundles/hog hog2 >/tmp/hog2.out 2>&1 </dev/null & run=$!
  says hog2 touched; echo 10m >$cg/box/hog/memory.max; wait $run; echo "run=$?"; cat /tmp/hog2.out

  section rootless
  mkdir -p /run/user; chown 1000:1000 /run/user; mkdir -p $cg/user/shell
  as_user() { XDG_RUNTIME_DIR=/run/user /util/setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
  as_user $runnc run --bundle /bundles/rootless u1 </dev/null; echo "run=$?"
  as_user $runnc run --bundle /bundles/rootless-limits u1 </dev/null; echo "refused=$?"
  as_user sh -c '$0 create --bundle /bundles/rootless-wait u2 >/tmp/u2.out 2>&1 </dev/null' $runnc; echo "create=$?"
  as_user $runnc start u2; says u2 waiting; as_user $runnc state u2 | grep status; as_user $runnc pause u2 2>&1
  as_user $runnc kill u2 TERM; until_true 'as_user $runnc state u2 | grep -q stopped'; as_user $runnc delete u2; echo "delete=$?"
  ls -A /run/user/runnc

  section delegated
  chown 1000:1000 $cg/user $cg/user/cgroup.procs $cg/user/cgroup.subtree_control $cg/user/shell $cg/user/shell/cgroup.procs
  cat >/tmp/delegated <<'EOF'
    /runnc create --bundle /bundles/rootless-limits u3 >/tmp/u3.out 2>&1 </dev/null; echo "create=$?"; cat /tmp/u3.out
    cat /proc/$(/runnc state u3 | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')/cgroup
    echo "limits: $(cat /sys/fs/cgroup/user/u3/memory.max) $(cat /sys/fs/cgroup/user/u3/pids.max)"
    /runnc start u3; /runnc pause u3; /runnc state u3 | grep status; /runnc delete --force u3; echo "delete=$?"
EOF
  sh -c 'echo $$ >'$cg/user/shell/cgroup.procs'; XDG_RUNTIME_DIR=/run/user exec /util/setpriv --reuid 1000 --regid 1000 --clear-groups sh /tmp/delegated'
  find $cg/user -mindepth 1 -type d; rmdir $cg/user/shell $cg/user

  section crowd
  one() { $runnc create --bundle /bundles/default c$1 >/tmp/c$1.out 2>&1 </dev/null && $runnc start c$1 && says c$1 waiting && $runnc delete --force c$1 || { echo "c$1 failed"; cat /tmp/c$1.out; }; }
  i=0; crowd=; while [ $i -lt ${String(CROWD)} ]; do one $i & crowd="$crowd $!"; i=$((i+1)); done; wait $crowd
  grep -l waiting /tmp/c[0-9]*.out | wc -l

  section leftovers
  [ $mounts_before = $(grep -c . /proc/self/mountinfo) ] || cat /proc/self/mountinfo
  rmdir $cg/box; leftovers | grep -v mounts; ps | grep -c '[t]ender'
`;

/** Guests that are built here. */
const OWN: ReadonlySet<string> = new Set(['hog', 'devourer']);

/** What cannot be; a bundle of each. */
const BAD = {
  cpus: { cpu: { cpus: '77' } },
  quota: { cpu: { quota: 1, period: 100_000 } },
  unified: { unified: { 'memory.none': '1' } },
  swap: { memory: { limit: 64 * MIB, swap: 32 * MIB } },
  realtime: { cpu: { realtimeRuntime: 1000 } },
  hugepages: { hugepageLimits: [{ pageSize: '3MB', limit: MIB }] },
  io: { blockIO: { throttleReadBpsDevice: [{ major: 250, minor: 7, rate: 1000 }] } },
  tiny: { memory: { limit: 4096 } },
};

const REFUSALS = {
  cpus: 'linux.resources.cpu.cpus: cannot write "77" to /sys/fs/cgroup/box/bad/cpuset.cpus: ERANGE',
  quota: 'linux.resources.cpu.quota: cannot write "1 100000" to /sys/fs/cgroup/box/bad/cpu.max: EINVAL',
  unified:
    'linux.resources.unified["memory.none"]: cannot be set, this host has no /sys/fs/cgroup/box/bad/memory.none',
  swap: 'linux.resources.memory.swap: must not be less than memory.limit',
  realtime: 'linux.resources.cpu.realtimeRuntime: cgroup v2 has no realtime limits',
  hugepages: 'linux.resources.hugepageLimits[0].limit: cannot be set, this host has no ',
  io: 'linux.resources.blockIO.throttleReadBpsDevice[0].rate: cannot write "250:7 rbps=1000" to ',
  tiny: 'config.json: linux.resources.memory.limit: 4096 bytes are too few',
};

describe('cgroup v2 alone, on Linux 6.1', function () {
  this.timeout(400_000);
  let sections: ReadonlyMap<string, string>;

  before(() => {
    needs(runtime, unikernel('time'));
    const folder = mkdtempSync(join(tmpdir(), 'runnc-cgroup2-'));
    const host = new Playground();
    try {
      const bundles = join(folder, 'bundles');
      mkdirSync(bundles);
      const hog = buildHog(folder);
      const devourer = buildDevourer(folder);
      /** Without `cgroupsPath` the container gets what is the default. */
      const bundle = (name: string, linux: object, guest: readonly string[] = ['time', 'forever']): void => {
        const [program = '', ...args] = guest;
        const made = host.bundle(OWN.has(program) ? 'hello' : program, args, (spec: Draft) => {
          const { namespaces = [] } = spec.linux;
          spec.linux = { namespaces, resources: {}, ...linux };
          if (program === 'hog') spec.process.args = ['/hog.spt'];
          if (program === 'devourer') spec.process.args = ['/devourer'];
        });
        if (program === 'devourer') copyFileSync(devourer, join(made, 'rootfs/devourer'));
        if (program === 'hog') copyFileSync(hog, join(made, 'rootfs/hog.spt'));
        cpSync(made, join(bundles, name), { recursive: true });
      };
      const limited = (name: string, cgroupsPath: string, resources: object): void =>
        bundle(name, { cgroupsPath, resources });
      limited('limits', '/box/one', LIMITS);
      bundle('default', { resources: { memory: { limit: 32 * MIB } } });
      limited('nested', '/a/b/c', { memory: { limit: 32 * MIB } });
      limited('busy', '/busy/six', { pids: { limit: 5 }, memory: { limit: 32 * MIB } });
      limited('busy-free', '/busy/six', {});
      limited('taken', '/taken', {});
      limited('pids', '/box/eight', { pids: { limit: 1 } });
      for (const [name, resources] of Object.entries(BAD)) limited(`bad-${name}`, '/box/bad', resources);
      const namespaces = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
      bundle('cgroup-namespace', { cgroupsPath: '/box/ns', namespaces });
      bundle('hog', { cgroupsPath: '/box/hog', resources: { memory: { limit: 64 * MIB } } }, ['hog']);
      const little = { memory: { limit: 48 * MIB, swap: 48 * MIB } };
      bundle('devourer', { cgroupsPath: '/box/devourer', resources: little }, ['devourer']);
      const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
      const user = {
        uidMappings: mapping,
        gidMappings: mapping,
        namespaces: [...namespaces, { type: 'user' }],
      };
      const limits = { memory: { limit: 32 * MIB }, pids: { limit: 7 } };
      bundle('rootless', user, ['hello']);
      bundle('rootless-wait', user);
      bundle('rootless-limits', { ...user, resources: limits });
      const { output } = runInVm({
        script: SCRIPT,
        programs: {
          '/runnc': runtime,
          '/util/nsenter': '/usr/bin/nsenter',
          '/util/setpriv': '/usr/bin/setpriv',
        },
        files: { '/bundles': bundles },
        modules: ['loop'],
        // The emulator takes a program's iretq for the kernel's, whose reads of a program's stack this would forbid.
        cpu: 'max,-smap',
        memoryMiB: 2048,
        timeoutMs: 390_000,
      });
      sections = new Map(
        output
          .split(/^== /m)
          .slice(1)
          .map((text) => {
            const [name = '', ...lines] = text.split('\n');
            return [name, lines.join('\n')];
          }),
      );
    } finally {
      rmSync(folder, { recursive: true });
      rmSync(host.folder, { recursive: true });
    }
  });

  /** What the script printed there, exactly or in part. */
  const section = (name: string): string => sections.get(name) ?? `no section ${name}`;

  it('sets every limit there is a file for', () => {
    expect(section('limits').trimEnd().split('\n')).to.deep.equal([
      `memory.max=${String(64 * MIB)}`,
      `memory.swap.max=${String(32 * MIB)}`,
      `memory.low=${String(32 * MIB)}`,
      `memory.high=${String(60 * MIB)}`,
      'cpu.weight=59',
      'cpu.max=50000 200000',
      'cpu.max.burst=10000',
      'cpuset.cpus=1',
      'cpuset.cpus.effective=1',
      'cpuset.mems=0',
      // The unified file comes last.
      'pids.max=8',
      'io.weight=default 4950',
      'io.max=7:0 rbps=1000000 wbps=max riops=max wiops=300',
      `hugetlb.2MB.max=${String(4 * MIB)}`,
      `hugetlb.2MB.rsvd.max=${String(4 * MIB)}`,
    ]);
  });

  it('makes the process in its cgroup, without moving it there', () => {
    // The tracer is no dead one: it saw the shell move.
    expect(section('place')).to.match(
      /^moves=0\n0::\/box\/one\nprocs=(\d+) pid=\1\nmoves=1\nhanded down: cpuset cpu io memory hugetlb pids/,
    );
  });

  it('pauses and resumes; a signal to a paused container waits', () => {
    expect(section('pause').trimEnd().split('\n')).to.deep.equal([
      ...['paused', 'frozen 1', '1'],
      ...['container not running or created: paused', 'again=1'],
      ...['cannot start a container in the paused state', 'start=1'],
      ...['paused', 'stopped'],
      ...['container not paused', 'stopped=1'],
      'ls: /sys/fs/cgroup/box/one: No such file or directory',
    ]);
  });

  it('changes limits, lifts them, and says what cannot be', () => {
    expect(section('update').trimEnd().split('\n')).to.deep.equal([
      `memory.max=${String(40 * MIB)}`,
      `memory.swap.max=${String(10 * MIB)}`,
      `memory.low=${String(20 * MIB)}`,
      'cpu.weight=174',
      'cpu.max=20000 200000',
      'cpuset.cpus=0',
      'pids.max=5',
      'io.weight=default 910',
      ...['memory.max=max', 'memory.swap.max=max', 'memory.high=max', 'cpu.max=max 200000', 'pids.max=max'],
      'cpu.weight=174',
      'linux.resources.cpu.cpus: cannot write "77" to /sys/fs/cgroup/box/one/cpuset.cpus: ERANGE',
      'refused=1',
      'linux.resources.memory.swap: must not be less than memory.limit, it counts both together',
      'refused=1',
    ]);
  });

  it('counts, and lists processes and containers', () => {
    const { data } = JSON.parse(section('stats'));
    expect(data.cpu.usage.total).to.be.greaterThan(0);
    expect(data.memory.usage.usage).to.be.greaterThan(0);
    expect(data.memory.raw.anon).to.be.greaterThan(0);
    expect(data.pids).to.deep.equal({ current: 1, limit: 0 });
    expect(data.cpuset.cpus).to.deep.equal([0]);
    expect(data.hugetlb['2MB']).to.deep.equal({ usage: 0, failcnt: 0 });
    expect(section('ps')).to.match(/^pid=(\d+)\n\[\1\]\n1\n$/);
    expect(JSON.parse(section('list'))).to.have.lengthOf(1);
  });

  it('deletes by force what is paused, with strangers in cgroups below', () => {
    expect(section('force')).to.contain(
      'cannot delete container two that is not stopped: paused\nrefused=1\nforced=0\n',
    );
    expect(section('force')).to.contain(
      'sleeper=137\nls: /sys/fs/cgroup/box/one: No such file or directory\n',
    );
  });

  it('ends a paused container by SIGKILL', () => {
    expect(section('kill')).to.equal('deleted=0\n');
  });

  it("puts a container without a path beside the caller's own cgroup", () => {
    expect(section('default')).to.match(/^0::\/caller\/four\ncpuset cpu io memory .*\nself\n$/);
  });

  it('hands the controllers down a path', () => {
    expect(section('nested')).to.match(
      /^0::\/a\/b\/c\n\S+=cpuset cpu io memory .*\n\S+=cpuset cpu io memory .*\n\S+memory.max=33554432\n.*No such file/,
    );
  });

  it('leaves a cgroup that holds processes as it is', () => {
    expect(section('busy').split('\n')).to.include.members([
      'linux.cgroupsPath: /sys/fs/cgroup/busy/six can have no limits, because /sys/fs/cgroup/busy above it holds ' +
        'processes of its own; move them, or give the container another path',
      '/sys/fs/cgroup/busy/cgroup.subtree_control=',
      '0::/busy/six',
      'linux.cgroupsPath: no process can get into /sys/fs/cgroup/busy/six, because a cgroup above it is threaded',
    ]);
    expect(section('busy').match(/status=\d/g)).to.deep.equal(['status=1', 'status=0', 'status=1']);
  });

  it('refuses a cgroup that is in use', () => {
    expect(section('taken')).to.match(/taken is not empty: it holds process \d+\nprocs=1\n/);
    expect(section('taken')).to.match(/status=1\n.*taken is frozen\n$/);
  });

  for (const [name, message] of Object.entries(REFUSALS)) {
    it(`refuses a limit that cannot be: ${name}`, () => {
      expect(section('errors')).to.contain(`${name}: status=1 lines=1 ${message}`);
    });
  }

  it('leaves nothing of what was refused', () => {
    expect(section('errors')).to.contain('\ncgroups: /sys/fs/cgroup/box \nstate: \nuids: \n');
  });

  it('does with one process', () => {
    expect(section('pids')).to.match(/^created=0\n.*pids.max=1\n.*pids.current=1\n$/);
  });

  it("keeps the host's OOM killer away from a guest that uses all its memory, and counts it when it strikes", () => {
    expect(section('oom')).to.equal(
      `lives=running\nmemory.max=${String(64 * MIB)}\noom_kill 0\nupdate=0\noom_kill 1\nevents=0\n1\ndeleted=0\n`,
    );
    expect(section('oom-run')).to.equal('run=137\ntouched\n');
  });

  it('never meets it with a Linux guest, one of whose programs wants more than there is', () => {
    expect(section('oom-inside')).to.equal(
      'dense: signal 9\nsparse: signal 9\nlives=running\noom 0\noom_kill 0\noom_group_kill 0\n',
    );
  });

  it('shows a process of a cgroup namespace its own place from outside', () => {
    expect(section('namespace')).to.match(/^0::\/\.\.\/\.\.\n0::\/box\/ns\n$/);
  });

  it('runs for an ordinary user, who can have no limits', () => {
    expect(section('rootless')).to.equal(
      'Hello from a unikernel\nrun=0\n' +
        'linux.resources: limits need a cgroup that is delegated to the user (--systemd-cgroup), or root: ' +
        'cannot make /sys/fs/cgroup/u1: EACCES\nrefused=1\n' +
        'create=0\n  "status": "running",\ncgroups: the container has no cgroup\ndelete=0\n',
    );
  });

  it("runs for an ordinary user with limits, in a cgroup that is the user's", () => {
    expect(section('delegated')).to.equal(
      `create=0\n0::/user/u3\nlimits: ${String(32 * MIB)} 7\n  "status": "paused",\ndelete=0\n/sys/fs/cgroup/user/shell\n`,
    );
  });

  it(`does ${String(CROWD)} at once`, () => {
    expect(section('crowd')).to.equal(`${String(CROWD)}\n`);
  });

  it('leaves nothing at all', () => {
    expect(section('leftovers')).to.equal('cgroups: \nstate: \nuids: \n0\n');
  });
});

function buildDevourer(folder: string): string {
  const output = join(folder, 'devourer');
  writeFileSync(`${output}.c`, DEVOURER);
  execFileSync('gcc', ['-O1', '-static', '-o', output, `${output}.c`]);
  return output;
}

function buildHog(folder: string): string {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const output = join(folder, 'hog.spt');
  const manifest = file('manifest.json', '{"type":"solo5.manifest","version":1,"devices":[]}');
  const headers = resolve(import.meta.dirname, '../../unikernels');
  const sptCc = resolve(import.meta.dirname, '../../dist/spt-cc');
  execFileSync(sptCc, ['-o', output, file('hog.c', HOG), manifest, '--', `-I${headers}`]);
  return output;
}
