/** Whole-process timing through build/obj/bench/timer: commands take turns, so that only ratios within one run count. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');
export const dist = join(root, 'dist');
export const benchObj = join(root, 'build/obj/bench');

export interface Timing {
  /** Wall time from spawn to reaping, milliseconds. */
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Largest resident set of the process or of a child it waited for, KiB. */
  readonly peakKiB: number;
}

export interface MeasureOptions {
  readonly runs: number;
  readonly warmups?: number;
  /** Exit status that every run must have; default 0. */
  readonly expectStatus?: number;
}

/** Times the commands in turn. Throws if a run ends with another status than expected: a failed run is no figure. */
export function measure(commands: readonly (readonly string[])[], options: MeasureOptions): Timing[] {
  const args = [String(options.runs), String(options.warmups ?? 2)];
  for (const command of commands) args.push('--', ...command);
  const output = execFileSync(join(benchObj, 'timer'), args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const samples = commands.map(() => ({ ms: [] as number[], peakKiB: 0 }));
  for (const line of output.trim().split('\n')) {
    const [index = 0, ns = 0, peak = 0, status = 0] = line.split(' ').map(Number);
    const sample = samples[index];
    if (sample === undefined) throw new Error(`timer printed a command it was not given: ${line}`);
    if (status !== (options.expectStatus ?? 0)) {
      throw new Error(`${(commands[index] ?? []).join(' ')}: exit status ${status}`);
    }
    sample.ms.push(ns / 1e6);
    sample.peakKiB = Math.max(sample.peakKiB, peak);
  }
  return samples.map(({ ms, peakKiB }) => {
    ms.sort((a, b) => a - b);
    return { medianMs: median(ms), minMs: ms[0] ?? NaN, maxMs: ms.at(-1) ?? NaN, peakKiB };
  });
}

/** Median of sorted values. */
export function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
