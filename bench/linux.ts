/** Linux programs in the guest beside the same programs run natively: calls, start-up, computing, memory at rest. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { Playground } from '../test/support/bundle.ts';
import { type Bench, type Metrics, rounded } from './bench.ts';
import { TenderGuest } from './guest.ts';
import { benchObj, dist, measure } from './measure.ts';

const PYTHON = ['/usr/bin/python3.11', '-S', '-c', 'print(1)'];
const IDLE_PYTHON = [
  '/usr/bin/python3.11',
  '-S',
  '-u',
  '-c',
  'import signal; print("ready"); signal.pause()',
];
/** Opens, reads and closes a file over and over: what a program does that is busy with the system. */
const BUSY_PYTHON = [
  '/usr/bin/python3.11',
  '-S',
  '-c',
  'for i in range(20000):\n with open("/etc/passwd", "rb", 0) as file: file.read()',
];
const WAITS = ['/usr/bin/waits'];
const ROUNDS = 7;
const STARTS = 101;
/** The guest gives back what it read of its image after a second. */
const SETTLED_MS = 2000;

export const linuxBench: Bench = {
  name: 'linux',
  what: 'calls, start-up, computing and memory of Linux programs in the guest, beside the same natively',
  async run() {
    const host = new Playground();
    const rootfs = new Rootfs();
    try {
      rootfs.addPython();
      for (const name of ['calls', 'calls-musl', 'calls-go', 'waits', 'compute', 'forks', 'first']) {
        rootfs.add(join(benchObj, name));
      }
      const guest = await TenderGuest.of(rootfs, host.folder);
      return rounded({
        ...callTimes(guest),
        ...(await patchedShares(host, rootfs)),
        ...computing(guest),
        ...forking(guest),
        execToFirstInstructionUs: firstInstruction(guest.command(['/usr/bin/first'])),
        nativeExecToFirstInstructionUs: firstInstruction([join(benchObj, 'first')]),
        ...startOfPython(host, rootfs, guest),
        waitingOverNativeKiB: (await guestRss(host, rootfs, WAITS)) - (await nativeRss(rootfs, WAITS)),
        ratioIdlePythonRss:
          (await guestRss(host, rootfs, IDLE_PYTHON)) / (await nativeRss(rootfs, IDLE_PYTHON)),
      });
    } finally {
      await host.close();
      rootfs.remove();
    }
  },
};

/** A program that starts others, and one with much memory that forks. */
function forking(guest: TenderGuest): Metrics {
  const [inGuest = [], native = []] = leastOf(guest.command(['/usr/bin/forks', '/usr/bin/busybox']), [
    join(benchObj, 'forks'),
    '/bin/busybox',
  ]);
  return {
    ratioForkExec: (inGuest[0] ?? NaN) / (native[0] ?? NaN),
    ratioForkOf100Mb: (inGuest[1] ?? NaN) / (native[1] ?? NaN),
  };
}

/** What the command prints, as numbers; the least of several runs for each, the commands taking turns. */
function leastOf(...commands: readonly (readonly string[])[]): number[][] {
  const least = commands.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    commands.forEach(([file = '', ...args], which) => {
      const numbers = execFileSync(file, args, { encoding: 'utf8' }).trim().split(/\s+/).map(Number);
      least[which] = numbers.map((number, i) => Math.min(number, least[which]?.[i] ?? Infinity));
    });
  }
  return least;
}

function callTimes(guest: TenderGuest): Metrics {
  const [glibc = [], musl = [], go = [], native = []] = leastOf(
    ...['calls', 'calls-musl', 'calls-go'].map((name) => guest.command([`/usr/bin/${name}`])),
    [join(benchObj, 'calls')],
  );
  const [nativeCallNs = NaN, , nativeReadNs = NaN] = native;
  return {
    patchedCallNs: glibc[0] ?? NaN,
    patchedCallMuslNs: musl[0] ?? NaN,
    patchedCallGoNs: go[0] ?? NaN,
    unpatchedCallNs: glibc[1] ?? NaN,
    nativeCallNs,
    read4KiBNs: glibc[2] ?? NaN,
    ratioRead4KiBToNative: (glibc[2] ?? NaN) / nativeReadNs,
  };
}

/** Of a program's calls those that do not trap, as it says at its end: io.runnc.count-calls. */
async function patchedShares(host: Playground, rootfs: Rootfs): Promise<Metrics> {
  const share = async (args: readonly string[]): Promise<number> => {
    const bundle = rootfs.bundle(host, args, (spec) => {
      spec.annotations = { 'io.runnc.count-calls': 'true' };
    });
    const { status, stderr } = await host.runnc(['run', '--bundle', bundle, 'counted']);
    const said = /(\d+) system calls, (\d+) of them trapped/.exec(stderr);
    if (status !== 0 || said === null) throw new Error(`${args.join(' ')}: ${String(status)}: ${stderr}`);
    return 1 - Number(said[2]) / Number(said[1]);
  };
  return {
    patchedShareGlibc: await share(['/usr/bin/calls', 'hot']),
    patchedShareMusl: await share(['/usr/bin/calls-musl', 'hot']),
    patchedShareGo: await share(['/usr/bin/calls-go']),
    patchedSharePython: await share(BUSY_PYTHON),
  };
}

function computing(guest: TenderGuest): Metrics {
  const [ours = [], native = []] = leastOf(guest.command(['/usr/bin/compute']), [join(benchObj, 'compute')]);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  return { ratioCompute: sum(ours) / sum(native) };
}

/** From the exec of a command that prints the time when it begins, microseconds, the least of all: bench/first.c. */
function firstInstruction(command: readonly string[]): number {
  const us = Array.from({ length: STARTS }, () => {
    const printed = execFileSync(join(benchObj, 'first'), command, { encoding: 'utf8' });
    const [before = 0n, first = 0n] = printed.trim().split('\n').map(BigInt);
    return Number(first - before) / 1000;
  });
  return Math.min(...us);
}

function startOfPython(host: Playground, rootfs: Rootfs, guest: TenderGuest): Metrics {
  const [whole, tender, native] = measure(
    [
      [join(dist, 'runnc'), '--root', host.root, 'run', '--bundle', rootfs.bundle(host, PYTHON), 'bench'],
      guest.command(PYTHON),
      ['/usr/sbin/chroot', rootfs.folder, ...PYTHON],
    ],
    { runs: 30 },
  );
  return {
    pythonRunMs: whole?.minMs ?? NaN,
    pythonFromTenderMs: tender?.minMs ?? NaN,
    nativePythonMs: native?.minMs ?? NaN,
    ratioPythonFromTender: (tender?.minMs ?? NaN) / (native?.minMs ?? NaN),
  };
}

async function guestRss(host: Playground, rootfs: Rootfs, args: readonly string[]): Promise<number> {
  const call = host.start(['run', '--bundle', rootfs.bundle(host, args), 'waits']);
  await call.prints('ready');
  const { pid } = await host.state('waits');
  await delay(SETTLED_MS);
  const kib = residentKib(pid);
  await host.runnc(['kill', 'waits', 'KILL']);
  await call.end();
  return kib;
}

async function nativeRss(rootfs: Rootfs, args: readonly string[]): Promise<number> {
  const child = spawn('/usr/sbin/chroot', [rootfs.folder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const kib = residentKib(child.pid ?? 0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return kib;
}

function residentKib(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  if (match === null) throw new Error(`no VmRSS of process ${String(pid)}`);
  return Number(match[1]);
}
