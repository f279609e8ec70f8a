import { theImage, withStore } from './image-call.ts';
import type { Call } from './verb.ts';

export function run({ operands: [source = '', target = ''] }: Call): Promise<number> {
  return withStore(async (store) => {
    const { descriptor } = await theImage(store, source);
    await store.tag(target, descriptor);
    return 0;
  });
}
