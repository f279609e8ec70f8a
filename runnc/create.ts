import { Container } from '../src/container/container.ts';
import { createOptions } from './create-options.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  await Container.create(createOptions(call));
  return 0;
}
