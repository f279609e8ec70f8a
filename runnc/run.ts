import { Container } from '../src/container/container.ts';
import { run as runInForeground, shellStatus } from '../src/container/run.ts';
import { createOptions } from './create-options.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const options = { ...createOptions(call), strace: call.options.flag('strace') };
  if (!call.options.flag('detach')) {
    return shellStatus(await runInForeground({ ...options, keep: call.options.flag('keep') }));
  }
  const container = await Container.create(options);
  try {
    await container.start();
  } catch (error) {
    await container.delete({ force: true });
    throw error;
  }
  return 0;
}
