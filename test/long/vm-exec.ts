/** Programs beside the container's own one on a host that has cgroup v2 alone: one boot of a virtual machine, by sections. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Draft, Playground } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const MIB = 1024 * 1024;
/** An emulated machine is slow: test/oci/exec.test.ts has a hundred. */
const AT_ONCE = 20;

const LIBMNL = '/usr/lib/x86_64-linux-gnu/libmnl.so.0';

/** The machine gets a copy for each. */
const APPLETS = ['cat', 'head', 'id', 'ps', 'sh', 'sleep', 'tail', 'wc', 'yes'];

const SCRIPT = `
  dmesg -n 1
  cg=/sys/fs/cgroup
  runnc=/runnc
  section() { echo "== $1"; }
  until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 300 ] || { echo "in vain: $1"; return 1; }; sleep 0.1; done; }
  inside() { $runnc exec box sh -c "$1" </dev/null; }
  gone() { until_true "! inside 'ps -o args' | grep -q '^$1'"; }
  $runnc run -d --bundle /bundle box >/tmp/box.out 2>&1 </dev/null || { cat /tmp/box.out; exit 1; }

  section plain
  inside 'echo out; echo err >&2; exit 7' 2>&1; echo "status=$?"
  echo typed | $runnc exec box cat
  inside 'kill -9 $$'; echo "killed=$?"
  $runnc exec -u 5:6 -g 7 -e A=b --cwd /tmp box sh -c 'id; pwd; echo $A'
  $runnc exec box nope 2>&1; echo "status=$?"
  $runnc exec --cwd /nowhere box id 2>&1; echo "status=$?"

  section place
  $runnc exec -d --pid-file /tmp/pid box sleep 500; pid=$(cat /tmp/pid)
  cat /proc/$pid/cgroup; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status
  echo "in the cgroup: $(wc -l <$cg/box/cgroup.procs)"; $runnc ps --format json box | tr -cd , | wc -c
  $runnc ps box | grep -c 'sleep 500'

  section paused
  $runnc pause box; grep frozen $cg/box/cgroup.events
  $runnc exec box id 2>&1; echo "refused=$?"
  $runnc exec --ignore-paused box sh -c 'echo thawed' >/tmp/thawed 2>&1 & waiting=$!
  $runnc resume box; wait $waiting; echo "ended=$?"; cat /tmp/thawed

  section killed
  kill -9 $pid; gone 'sleep 500'; echo "gone=$?"
  $runnc exec -d --pid-file /tmp/pid box sleep 600
  for p in $(cat $cg/box/cgroup.procs); do [ "$(cat /proc/$p/comm 2>/dev/null)" = runnc-broker ] && kill -9 $p; done
  until_true '[ ! -e /proc/$(cat /tmp/pid) ]'; gone 'sleep 600'; echo "gone=$?"

  section crowd
  i=0; crowd=; while [ $i -lt ${String(AT_ONCE)} ]; do inside "echo $i; exit $((i % 50))" >/tmp/c$i 2>&1 & crowd="$crowd $!"; i=$((i+1)); done
  i=0; for p in $crowd; do wait $p; [ $? = $((i % 50)) ] && [ "$(cat /tmp/c$i)" = $i ] || { echo "$i failed"; cat /tmp/c$i; }; i=$((i+1)); done; echo "$i ended"

  section memory
  $runnc events --stats box | sed 's/.*"guest"/"guest"/'
  $runnc update --memory 128m --memory-swap 128m box; echo "update=$?"; cat $cg/box/memory.max; $runnc events --stats box | grep -c '"guest":{"memory":{"limit":1[23]'
  inside 'yes | head -c 60m | tail -c 60m | wc -c'
  $runnc update --memory 32m --memory-swap 32m box; echo "update=$?"; cat $cg/box/memory.max
  inside 'yes | head -c 60m | tail -c 60m | wc -c' 2>/dev/null; grep oom_kill $cg/box/memory.events | head -n 1

  section processes
  $runnc update --pids-limit 1 box; inside 'echo well'; cat $cg/box/pids.max

  section end
  $runnc exec box sleep 700 & waiting=$!
  until_true "$runnc ps box | grep -q 'sleep 700'"
  $runnc kill box KILL; wait $waiting; echo "ended=$?"
  until_true '$runnc state box | grep -q stopped'; $runnc exec box id 2>&1; echo "refused=$?"
  $runnc delete box; echo "deleted=$?"; ls -d $cg/box 2>&1; ls -A /run/runnc | grep -v @; ps | grep -c '[r]unnc-'; true
`;

describe('exec with cgroup v2 alone, on Linux 6.1', function () {
  this.timeout(900_000);
  let sections: ReadonlyMap<string, readonly string[]>;

  before(() => {
    needs(runtime);
    const folder = mkdtempSync(join(tmpdir(), 'runnc-vm-exec-'));
    const host = new Playground();
    try {
      const made = host.bundle('hello', [], (spec: Draft) => {
        spec.process = { ...spec.process, args: ['sleep', '100000'], env: ['PATH=/bin'] };
        const resources = { memory: { limit: 48 * MIB, swap: 48 * MIB } };
        spec.linux = { ...spec.linux, cgroupsPath: '/box', resources };
        spec.annotations = { 'io.runnc.rootfs': 'memory' };
      });
      for (const name of ['bin', 'proc', 'tmp', 'dev']) mkdirSync(join(made, 'rootfs', name));
      copyFileSync('/bin/busybox', join(made, 'rootfs/bin/busybox'));
      for (const name of APPLETS) symlinkSync('busybox', join(made, 'rootfs/bin', name));
      cpSync(made, join(folder, 'bundle'), { recursive: true, verbatimSymlinks: true });
      const { status, output } = runInVm({
        script: SCRIPT,
        programs: { '/runnc': runtime },
        files: { '/bundle': join(folder, 'bundle'), [LIBMNL]: LIBMNL },
        // The emulator takes a program's iretq for the kernel's, whose reads of a program's stack this would forbid.
        cpu: 'max,-smap',
        memoryMiB: 2048,
        timeoutMs: 890_000,
      });
      if (status !== 0) throw new Error(output);
      const texts = output.split(/^== /m).slice(1);
      sections = new Map(
        texts.map((text) => {
          const [name = '', ...lines] = text.trimEnd().split('\n');
          return [name, lines];
        }),
      );
    } finally {
      rmSync(folder, { recursive: true });
      rmSync(host.folder, { recursive: true });
    }
  });

  const section = (name: string): readonly string[] => sections.get(name) ?? [`no section ${name}`];

  it('has output, status, input, user and folder of the program, and the words of what cannot be run', () => {
    const start = 'exec failed: unable to start container process: ';
    expect(section('plain')).to.have.ordered.members([
      ...['out', 'err', 'status=7', 'typed', 'killed=137', 'uid=5 gid=6 groups=7', '/tmp', 'b'],
      ...[`${start}exec: "nope": executable file not found in $PATH`, 'status=1'],
      ...[`${start}chdir to cwd ("/nowhere") failed: no such file or directory`, 'status=1'],
    ]);
  });

  it('is in the cgroup, proxy and broker with it, without any right', () => {
    expect(section('place').map((line) => line.replace('\t', ' '))).to.deep.equal([
      ...['0::/box', 'CapEff: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2'],
      ...['in the cgroup: 3', '1', '1'],
    ]);
  });

  it('waits in a paused container only if it is told to', () => {
    expect(section('paused')).to.deep.equal([
      'frozen 1',
      ...['cannot exec in a paused container (use --ignore-paused to override)', 'refused=1'],
      ...['ended=0', 'thawed'],
    ]);
  });

  it('takes its program along when it is killed, and when the broker is', () => {
    expect(section('killed')).to.deep.equal(['gone=0', 'gone=0']);
  });

  it(`can be one of ${String(AT_ONCE)} at once`, () => {
    expect(section('crowd')).to.deep.equal([`${String(AT_ONCE)} ended`]);
  });

  it("has the guest's account, whose limit update changes", () => {
    const [figures = '', ...rest] = section('memory');
    expect(figures).to.match(/^"guest":\{"memory":\{"limit":4\d{7},"used":\d+,/);
    expect(rest).to.deep.equal([
      ...['update=0', String(128 * MIB), '1', String(60 * MIB)],
      ...['update=0', String(32 * MIB), '0', 'oom_kill 0'],
    ]);
  });

  it('is not held up by the limit on processes', () => {
    expect(section('processes')).to.deep.equal(['well', '1']);
  });

  it('ends with its container, of which nothing is left', () => {
    expect(section('end')).to.deep.equal([
      ...['ended=137', 'cannot exec a container that has stopped', 'refused=1', 'deleted=0'],
      ...['ls: /sys/fs/cgroup/box: No such file or directory', '0'],
    ]);
  });
});
