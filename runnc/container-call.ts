/** What the verbs that work on one container share. */
import { Container, type StoreOptions } from '../src/container/container.ts';
import type { Call, Globals } from './verb.ts';

export function storeOptions({ root }: Globals): StoreOptions {
  return root === undefined ? {} : { root };
}

/** The container of the first operand. Throws NOT_FOUND. */
export function loadContainer({ globals, operands }: Call): Container {
  return Container.load(operands[0] ?? '', storeOptions(globals));
}
