import { parseSignal } from '../src/oci/signals.ts';
import { loadContainer } from './container-call.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const container = loadContainer(call);
  await container.kill(parseSignal(call.operands[1] ?? 'TERM'), { all: call.options.flag('all') });
  return 0;
}
