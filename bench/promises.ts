/** The ratios that docs/performance.md promises, read from its tables: | bench | metric | ≤ 0.5 | … | */
import type { Metrics } from './bench.ts';

export interface Promised {
  readonly bench: string;
  readonly metric: string;
  readonly bound: '≤' | '≥';
  readonly value: number;
}

export function parsePromises(markdown: string): Promised[] {
  const promises: Promised[] = [];
  for (const line of markdown.split('\n')) {
    const match = /^\|\s*`([\w-]+)`\s*\|\s*`(\w+)`\s*\|\s*([≤≥])\s*([\d.]+)\s*\|/.exec(line);
    if (match === null) continue;
    const [, bench = '', metric = '', bound, value] = match;
    promises.push({ bench, metric, bound: bound === '≥' ? '≥' : '≤', value: Number(value) });
  }
  return promises;
}

/** One line for each promise that the results miss, or do not measure although its bench ran. */
export function brokenPromises(
  promises: readonly Promised[],
  results: Readonly<Record<string, Metrics>>,
): string[] {
  const broken: string[] = [];
  for (const { bench, metric, bound, value } of promises) {
    const metrics = results[bench];
    if (metrics === undefined) continue;
    const got = metrics[metric];
    if (got === undefined) {
      broken.push(`${bench}.${metric}: not measured, promised ${bound} ${value}`);
    } else if (bound === '≤' ? got > value : got < value) {
      broken.push(`${bench}.${metric}: ${got}, promised ${bound} ${value}`);
    }
  }
  return broken;
}
