import { RunncError } from '../src/errors.ts';
import { loadContainer } from './container-call.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const container = loadContainer(call);
  if (call.options.flag('stats')) {
    printLine({ type: 'stats', id: container.id, data: await container.stats() });
    return 0;
  }
  const intervalMs = parseDuration(call.options.text('interval') ?? '5s');
  for await (const event of container.events({ intervalMs })) printLine(event);
  return 0;
}

function printLine(event: unknown): void {
  print(`${JSON.stringify(event)}\n`);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Go's notation: "500ms", "1.5s", "1m30s". */
function parseDuration(text: string): number {
  const bad = new RunncError('INVALID', `--interval: expected a time such as 500ms, 5s or 1m, got "${text}"`);
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw bad;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ms|[smh])/g)) {
    ms += Number(number) * (UNITS_MS[unit ?? ''] ?? 0);
  }
  // The timers of JavaScript count to 2^31.
  if (ms < 1 || ms >= 2 ** 31) throw bad;
  return ms;
}
