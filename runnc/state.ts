import { loadContainer } from './container-call.ts';
import { printJson } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  printJson(await loadContainer(call).state());
  return 0;
}
