import { Container } from '../src/container/container.ts';
import { storeOptions } from './container-call.ts';
import { print, printTable } from './output.ts';
import type { Call } from './verb.ts';

export async function run({ globals, options }: Call): Promise<number> {
  const containers = await Container.list(storeOptions(globals));
  if (options.flag('quiet')) {
    print(containers.map(({ id }) => `${id}\n`).join(''));
  } else if (options.text('format') === 'json') {
    print(`${JSON.stringify(containers)}\n`);
  } else {
    printTable([
      ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'],
      ...containers.map(({ id, pid, status, bundle, created, owner }) => [
        id,
        String(pid),
        status,
        bundle,
        created,
        owner,
      ]),
    ]);
  }
  return 0;
}
