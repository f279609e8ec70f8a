import { parsePlatform } from '../src/image/platform.ts';
import { normalizeReference } from '../src/image/reference.ts';
import { pullImage } from '../src/image/registry/pull.ts';
import { registryOptions, withStore } from './image-call.ts';
import { print } from './output.ts';
import { transferProgress } from './transfer-progress.ts';
import type { Call } from './verb.ts';

export function run(call: Call): Promise<number> {
  const {
    options,
    operands: [name = ''],
  } = call;
  return withStore(call, async (store) => {
    const reference = normalizeReference(name);
    const platform = options.text('platform');
    const progress = transferProgress({ active: 'Downloading', done: 'Complete', there: 'Already there' });
    let digest: string;
    try {
      ({ digest } = await pullImage(store, reference, {
        ...registryOptions(call),
        ...(options.flag('all-platforms') ? { platform: 'all' as const } : {}),
        ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
        ...(options.flag('quiet') ? {} : { onEvent: progress.onEvent }),
      }));
    } finally {
      progress.stop();
    }
    print(options.flag('quiet') ? `${reference}\n` : `Digest: ${digest}\nPulled: ${reference}\n`);
    return 0;
  });
}
