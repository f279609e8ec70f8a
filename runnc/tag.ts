import { theImage, withStore } from './image-call.ts';
import type { Call } from './verb.ts';

export function run(call: Call): Promise<number> {
  const [source = '', target = ''] = call.operands;
  return withStore(call, async (store) => {
    const { descriptor } = await theImage(store, source);
    await store.tag(target, descriptor);
    return 0;
  });
}
