/**
 * npm run bench -- [--json FILE] [--check] [--list] [NAME...]
 *
 * Prints each bench's metrics; --json writes {name: {metric: number}}; --check exits 1 where docs/performance.md
 * promises more. Only ratios within one run mean anything on a shared machine.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench, Metrics } from './bench.ts';
import { root } from './measure.ts';
import { brokenPromises, parsePromises } from './promises.ts';
import { buildBench } from './build.ts';
import { dockerBench } from './docker.ts';
import { execBench } from './exec.ts';
import { lifecycleBench } from './lifecycle.ts';
import { linuxBench } from './linux.ts';
import { networkBench } from './network.ts';
import { rootfsBench } from './rootfs.ts';
import { runBench } from './run.ts';
import { tenderBench } from './tender.ts';
import { volumesBench } from './volumes.ts';

const benches: readonly Bench[] = [
  tenderBench,
  runBench,
  lifecycleBench,
  linuxBench,
  networkBench,
  dockerBench,
  execBench,
  rootfsBench,
  volumesBench,
  buildBench,
];

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.list) {
    for (const { name, what } of benches) console.log(`${name.padEnd(12)} ${what}`);
    return 0;
  }
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    console.error(
      `bench: no bench called ${unknown.join(', ')}; there are: ${benches.map((b) => b.name).join(', ')}`,
    );
    return 2;
  }
  const chosen =
    positionals.length === 0 ? benches : benches.filter(({ name }) => positionals.includes(name));

  execFileSync(join(root, 'scripts/build.sh'), { stdio: ['ignore', 'inherit', 'inherit'] });
  execFileSync('make', ['-s', '-C', join(root, 'bench')], { stdio: ['ignore', 'inherit', 'inherit'] });

  const results: Record<string, Metrics> = {};
  for (const bench of chosen) {
    const metrics = await bench.run();
    results[bench.name] = metrics;
    console.log(bench.name);
    for (const [metric, value] of Object.entries(metrics)) console.log(`  ${metric.padEnd(28)} ${value}`);
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  if (!values.check) return 0;

  const promises = parsePromises(readFileSync(join(root, 'docs/performance.md'), 'utf8'));
  const broken = brokenPromises(promises, results);
  for (const line of broken) console.error(`broken promise: ${line}`);
  if (broken.length === 0) console.log('all promises of docs/performance.md are kept');
  return broken.length === 0 ? 0 : 1;
}

process.exitCode = await main();
