/** `runnc run` of the hello unikernel beside `runc run` of a static hello, whole processes. */
import { join } from 'node:path';
import { type Bench, rounded } from './bench.ts';
import { helloBundles } from './bundles.ts';
import { benchObj, dist, measure } from './measure.ts';

export const runBench: Bench = {
  name: 'run',
  what: '`runnc run` of hello beside `runc run` of a static hello',
  run() {
    const bundles = helloBundles();
    try {
      const [runnc, runc, version, empty] = measure(
        [
          [join(dist, 'runnc'), '--root', bundles.runncRoot, 'run', '--bundle', bundles.runnc, 'bench'],
          ['runc', '--root', bundles.runcRoot, 'run', '--bundle', bundles.runc, 'bench'],
          [join(dist, 'runnc'), '--version'],
          [join(benchObj, 'empty')],
        ],
        { runs: 60, warmups: 3 },
      );
      if (runnc === undefined || runc === undefined) throw new Error('the timer returned too few rows');
      return Promise.resolve(
        rounded({
          runncMs: runnc.medianMs,
          runcMs: runc.medianMs,
          ratioToRunc: runnc.medianMs / runc.medianMs,
          versionMs: version?.medianMs,
          emptyBunMs: empty?.medianMs,
        }),
      );
    } finally {
      bundles.remove();
    }
  },
};
