/** create + start + delete as a caller does them, beside runc; and the memory of a live sandbox process. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, rounded } from './bench.ts';
import { helloBundles } from './bundles.ts';
import { benchObj, dist, measure } from './measure.ts';

/** $1 runtime, $2 state root, $3 bundle. delete --force, for hello may not have ended yet. */
const script =
  '"$1" --root "$2" create --bundle "$3" b && "$1" --root "$2" start b && "$1" --root "$2" delete --force b';

export const lifecycleBench: Bench = {
  name: 'lifecycle',
  what: 'create, start and delete of hello beside runc; peak memory of the sandbox process',
  run() {
    const bundles = helloBundles();
    const runnc = join(dist, 'runnc');
    try {
      const [ours, theirs, empty] = measure(
        [
          ['sh', '-c', script, 'sh', runnc, bundles.runncRoot, bundles.runnc],
          ['sh', '-c', script, 'sh', 'runc', bundles.runcRoot, bundles.runc],
          ['sh', '-c', '"$1" && "$1" && "$1"', 'sh', join(benchObj, 'empty')],
        ],
        { runs: 40, warmups: 2 },
      );
      if (ours === undefined || theirs === undefined) throw new Error('the timer returned too few rows');
      return Promise.resolve(
        rounded({
          runncMs: ours.medianMs,
          runcMs: theirs.medianMs,
          ratioToRunc: ours.medianMs / theirs.medianMs,
          // Three empty programs of Bun's: no three calls can be faster.
          floorRatioToRunc: empty && empty.medianMs / theirs.medianMs,
          sandboxPeakKiB: waitingPeakKiB(runnc, bundles.runncRoot, bundles.waiting),
        }),
      );
    } finally {
      bundles.remove();
    }
  },
};

/** VmHWM of a sandbox process whose guest waits. */
function waitingPeakKiB(runnc: string, root: string, bundle: string): number {
  const call = (...args: string[]): string =>
    execFileSync(runnc, ['--root', root, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  // The container keeps the standard output it is given; a pipe would not end before it does.
  execFileSync(runnc, ['--root', root, 'create', '--bundle', bundle, 'peak'], { stdio: 'ignore' });
  try {
    call('start', 'peak');
    const state = JSON.parse(call('state', 'peak')) as { pid: number };
    const status = readFileSync(`/proc/${String(state.pid)}/status`, 'utf8');
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? NaN);
  } finally {
    call('delete', '--force', 'peak');
  }
}
