import { loadContainer } from './container-call.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  await loadContainer(call).pause();
  return 0;
}
