/**
 * How much of the host's kernel a sandbox reaches: the distinct kernel functions that its process calls under load,
 * start-up excluded, as the function tracer sees them in a virtual machine (test/support/vm.ts). A count, not a time.
 *
 *   npx tsx bench/surface.ts
 *
 * Functions of interrupts that happen to strike while the process runs are told apart: they are not its doing.
 */
import { resolve } from 'node:path';
import { needs, unikernel } from '../test/support/paths.ts';
import { runInVm } from '../test/support/vm.ts';

const tender = resolve(import.meta.dirname, '../dist/tender-spt');

/** Runs in a cgroup with limits, as a container does, so that what they cost in functions counts too. */
const SCRIPT = `
  dmesg -n 1
  mount -t tracefs tracefs /sys/kernel/tracing
  cd /sys/kernel/tracing
  echo 16384 >buffer_size_kb; echo 0 >options/overwrite; echo 1 >options/irq-info
  mkdir /sys/fs/cgroup/box
  echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
  echo 64M >/sys/fs/cgroup/box/memory.max; echo 9 >/sys/fs/cgroup/box/pids.max
  ip tuntap add name tap0 mode tap 2>/dev/null || tunctl -t tap0 >/dev/null; ip addr add 10.0.0.1/24 dev tap0; ip link set tap0 up
  dd if=/dev/zero of=/tmp/disk bs=1M count=1 2>/dev/null
  until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 300 ] || { echo "in vain: $1"; exit 1; }; sleep 0.1; done; }

  # measure NAME LOAD KERNEL..., where LOAD calls trace_it once the guest is past its start
  measure() {
    name=$1; load=$2; shift 2
    echo >set_ftrace_pid; echo nop >current_tracer; echo >trace
    mkfifo /tmp/out; exec 3<>/tmp/out
    sh -c 'echo $$ >/sys/fs/cgroup/box/cgroup.procs; exec "$@"' sh /tender "$@" >/tmp/out 2>/tmp/err 3>&- &
    guest=$!
    until_true 'grep -q spt /proc/$guest/cmdline'
    eval "$load"
    echo 0 >tracing_on
    kill -0 $guest 2>/dev/null || { echo "$name ended: $(cat /tmp/err)"; }
    lost=$(grep -h '^overrun\\|^dropped' per_cpu/cpu*/stats | awk '{s+=$NF} END {print s+0}')
    awk '!/^#/ { for (i=1;i<=NF;i++) if ($i ~ /^\\[[0-9]+\\]$/) { print substr($(i+1),3,1) " " $(i+3); break } }' trace | sort -u >/tmp/$name.all
    grep '^\\.' /tmp/$name.all | cut -c3- | sort -u >/tmp/$name.own
    echo "$name own=$(wc -l </tmp/$name.own) all=$(cut -c3- /tmp/$name.all | sort -u | wc -l) lost=$lost"
    kill -9 $guest 2>/dev/null; wait $guest 2>/dev/null; exec 3<&-; rm /tmp/out
  }
  trace_it() { kill -0 $guest || { echo "ended: $(cat /tmp/err)"; exit 1; }; echo $guest >set_ftrace_pid; echo function >current_tracer; echo 1 >tracing_on; }
  pings() { ping -c 1 -W 10 10.0.0.2 >/dev/null || echo 'no answer'; trace_it; ping -c 20 -i 0.1 -A 10.0.0.2 2>/dev/null | tail -2 | head -1 || ping -c 10 10.0.0.2 | tail -2 | head -1; }
  floods() { until_true '[ $(wc -c </proc/$guest/cmdline) -gt 0 ] && grep -q flood /proc/$guest/cmdline'; head -c 70000 <&3 >/dev/null; trace_it; head -c 2000000 <&3 >/dev/null; }
  measure net pings --mem=16 --net:net=tap0 /u/net.spt ping
  measure flood floods --mem=16 /u/flood.spt 9000000000 4096
  cat /tmp/*.own | sort -u >/tmp/union; echo "union own=$(wc -l </tmp/union)"
  echo 'functions:'; cat /tmp/union
`;

needs(tender, unikernel('net'), unikernel('flood'));
const { output } = runInVm({
  script: SCRIPT,
  files: {
    '/tender': tender,
    ...Object.fromEntries(['net', 'flood'].map((name) => [`/u/${name}.spt`, unikernel(name)])),
  },
  modules: ['tun'],
  timeoutMs: 100_000,
});
process.stdout.write(output);
