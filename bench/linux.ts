/** Linux programs in the guest beside the same programs run natively: calls, start-up of python, memory at rest. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { Playground } from '../test/support/bundle.ts';
import { type Bench, rounded } from './bench.ts';
import { benchObj, dist, measure } from './measure.ts';

const PYTHON = ['/usr/bin/python3', '-S', '-c', 'print(1)'];
const IDLE_PYTHON = ['/usr/bin/python3', '-S', '-u', '-c', 'import signal; print("ready"); signal.pause()'];

export const linuxBench: Bench = {
  name: 'linux',
  what: 'calls, python and memory of Linux programs in the guest, beside the same natively',
  async run() {
    const host = new Playground();
    const rootfs = new Rootfs();
    try {
      rootfs.addPython();
      for (const name of ['calls', 'waits']) rootfs.add(join(benchObj, name));
      const guest = await callTimes(host, rootfs);
      const native = times(execFileSync(join(benchObj, 'calls'), { encoding: 'utf8' }));
      const [python, nativePython] = measure(
        [
          [join(dist, 'runnc'), '--root', host.root, 'run', '--bundle', rootfs.bundle(host, PYTHON), 'bench'],
          ['/usr/sbin/chroot', rootfs.folder, ...PYTHON],
        ],
        { runs: 20 },
      );
      const waits = ['/usr/bin/waits'];
      return rounded({
        patchedCallNs: guest.patchedNs,
        unpatchedCallNs: guest.unpatchedNs,
        nativeCallNs: native.patchedNs,
        read4KiBNs: guest.readNs,
        ratioRead4KiBToNative: guest.readNs / native.readNs,
        pythonRunMs: python?.medianMs,
        nativePythonMs: nativePython?.medianMs,
        waitingOverNativeKiB: (await guestRss(host, rootfs, waits)) - (await nativeRss(rootfs, waits)),
        ratioIdlePythonRss:
          (await guestRss(host, rootfs, IDLE_PYTHON)) / (await nativeRss(rootfs, IDLE_PYTHON)),
      });
    } finally {
      await host.close();
      rootfs.remove();
    }
  },
};

interface CallTimes {
  readonly patchedNs: number;
  readonly unpatchedNs: number;
  readonly readNs: number;
}

function times(line: string): CallTimes {
  const [patchedNs = NaN, unpatchedNs = NaN, readNs = NaN] = line.trim().split(' ').map(Number);
  return { patchedNs, unpatchedNs, readNs };
}

async function callTimes(host: Playground, rootfs: Rootfs): Promise<CallTimes> {
  const { status, stdout, stderr } = await host.runnc([
    'run',
    '--bundle',
    rootfs.bundle(host, ['/usr/bin/calls']),
    'calls',
  ]);
  if (status !== 0) throw new Error(`calls: exit status ${String(status)}: ${stderr}`);
  return times(stdout);
}

async function guestRss(host: Playground, rootfs: Rootfs, args: readonly string[]): Promise<number> {
  const call = host.start(['run', '--bundle', rootfs.bundle(host, args), 'waits']);
  await call.prints('ready');
  const { pid } = await host.state('waits');
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
