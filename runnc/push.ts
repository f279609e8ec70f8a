import { normalizeReference } from '../src/image/reference.ts';
import { pushImage } from '../src/image/registry/push.ts';
import { registryOptions, theImage, withStore } from './image-call.ts';
import { print } from './output.ts';
import { transferProgress } from './transfer-progress.ts';
import type { Call } from './verb.ts';

export function run(call: Call): Promise<number> {
  const {
    options,
    operands: [name = '', target = name],
  } = call;
  return withStore(call, async (store) => {
    const { descriptor } = await theImage(store, name);
    const reference = normalizeReference(target);
    const progress = transferProgress({ active: 'Pushing', done: 'Pushed', there: 'Already there' });
    try {
      await pushImage(store, reference, descriptor, {
        ...registryOptions(call),
        ...(options.flag('quiet') ? {} : { onEvent: progress.onEvent }),
      });
    } finally {
      progress.stop();
    }
    print(options.flag('quiet') ? `${reference}\n` : `Digest: ${descriptor.digest}\nPushed: ${reference}\n`);
    return 0;
  });
}
