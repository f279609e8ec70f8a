import { Container } from '../src/container/container.ts';
import { storeOptions } from './container-call.ts';
import type { Call } from './verb.ts';

export async function run({ globals, options, operands, log }: Call): Promise<number> {
  await Container.delete(operands[0] ?? '', {
    ...storeOptions(globals),
    force: options.flag('force'),
    onWarning: (message) => {
      log.warn(message);
    },
  });
  return 0;
}
