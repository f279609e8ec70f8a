/** The flags of create, which run has too. */
import type { CreateOptions } from '../src/container/create.ts';
import { storeOptions } from './container-call.ts';
import { progressBar } from './progress.ts';
import type { Call } from './verb.ts';

export function createOptions({ globals, options, operands, log }: Call): CreateOptions {
  const pidFile = options.text('pid-file');
  const consoleSocket = options.text('console-socket');
  if ((options.integer('preserve-fds', 0) ?? 0) > 0) {
    log.warn('--preserve-fds: the descriptors are left out: a guest has no use for descriptors of the host');
  }
  return {
    ...storeOptions(globals),
    id: operands[0] ?? '',
    bundle: options.text('bundle') ?? '.',
    systemdCgroup: globals.systemdCgroup,
    ...(globals.rootless === undefined ? {} : { rootless: globals.rootless }),
    ...(pidFile === undefined || pidFile === '' ? {} : { pidFile }),
    ...(consoleSocket === undefined || consoleSocket === '' ? {} : { consoleSocket }),
    noPivot: options.flag('no-pivot'),
    noNewKeyring: options.flag('no-new-keyring'),
    onProgress: progressBar('building the image of the rootfs'),
    onDebug: (message) => {
      log.debug(message);
    },
    onWarning: (message) => {
      log.warn(message);
    },
  };
}
