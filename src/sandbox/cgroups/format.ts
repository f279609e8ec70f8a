/** The texts that cgroup files hold, both ways. */
import { NO_LIMIT } from './stats.ts';

/** A limit as cgroup v1 writes it: -1 is none. */
export function v1Limit(limit: number): string {
  return limit < 0 ? '-1' : decimal(limit);
}

/** A limit as cgroup v2 writes it. */
export function v2Limit(limit: number): string {
  return limit < 0 ? 'max' : decimal(limit);
}

/** Never in exponent form, unlike String() from 1e21 on. */
export function decimal(value: number): string {
  return BigInt(Math.trunc(value)).toString();
}

/** A counter or limit; `max`, and what no double can tell from it, is NO_LIMIT. */
export function parseNumber(text: string | undefined): number | undefined {
  const word = text?.trim();
  if (word === undefined || word === '') return undefined;
  if (word === 'max') return NO_LIMIT;
  const value = Number(word);
  return Number.isNaN(value) ? undefined : Math.min(value, NO_LIMIT);
}

/** "name value" lines, for example memory.stat. */
export function parseFlat(text: string | undefined): Readonly<Record<string, number>> {
  const result: Record<string, number> = {};
  for (const line of lines(text)) {
    const [name, value] = line.split(' ');
    const number = parseNumber(value);
    if (name !== undefined && number !== undefined) result[name] = number;
  }
  return result;
}

/** A list of CPU or memory node numbers, for example 0-2,7. */
export function parseList(text: string | undefined): readonly number[] {
  const result: number[] = [];
  for (const range of (text ?? '').trim().split(',')) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(range);
    if (!match) continue;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    for (let number = first; number <= last; number++) result.push(number);
  }
  return result;
}

export function lines(text: string | undefined): readonly string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}

/** From cgroup v1's 10…1000 to cgroup v2's 1…10000, in proportion, as runc and crun do. */
export function ioWeight(v1Weight: number): number {
  return 1 + Math.trunc(((v1Weight - 10) * 9999) / 990);
}

/**
 * From cgroup v1's cpu.shares (2…262144, default 1024) to cgroup v2's cpu.weight (1…10000, default 100): a
 * curve through both ends and both defaults, as runc since 1.3.2, crun since 1.23 and systemd have it.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}
