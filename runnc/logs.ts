import { RunncError } from '../src/errors.ts';
import { loadContainer } from './container-call.ts';
import { printBytes } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const { options } = call;
  const log = loadContainer(call).log({ tail: lines(options.text('tail')), follow: options.flag('follow') });
  // Who no longer reads is not waited for.
  for await (const chunk of log) if (!printBytes(chunk)) break;
  return 0;
}

function lines(text: string | undefined): number | undefined {
  if (text === undefined || text === 'all') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new RunncError('INVALID', `--tail: expected a number of lines, or all, got "${text}"`);
}
