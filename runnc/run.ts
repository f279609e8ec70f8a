/**
 * `runnc run`, of a bundle or of an image. Everything that images need is loaded only for one: this is also the call whose
 * start-up time counts.
 */
import { existsSync } from '../src/files.ts';
import { Container } from '../src/container/container.ts';
import { run as runInForeground, shellStatus } from '../src/container/run.ts';
import { RunncError } from '../src/errors.ts';
import { commands, imageRunOptions } from './commands.ts';
import { createOptions } from './create-options.ts';
import { parseLine } from './parse.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const bundle = bundleCall(call);
  if (bundle === undefined) return (await import('./run-image.ts')).runImage(call);
  const options = { ...createOptions(bundle), strace: bundle.options.flag('strace') };
  if (!bundle.options.flag('detach')) {
    return shellStatus(await runInForeground({ ...options, keep: bundle.options.flag('keep') }));
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

/**
 * The call with its flags read as those of a container id, if it means one: if it names a bundle, or if there is one in the
 * working directory and nothing that only images have. undefined: the first operand is an image.
 */
function bundleCall(call: Call): Call | undefined {
  const { options, operands } = call;
  const named = options.has('bundle');
  if (operands.length === 1 && named) return onlyBundle(call);
  const [, next = ''] = operands;
  if (!named && !/^(?:-b|--?bundle)(?:=|$)/.test(next)) {
    if (hasImageFlags(call) || !existsSync('config.json')) return undefined;
    if (operands.length > 1 && !next.startsWith('-')) return undefined;
  }
  // Flags may stand behind the id.
  const declared = commands['run']?.().options ?? {};
  const rest = parseLine(operands, declared);
  if (rest.operands.length !== 1) {
    throw new RunncError(
      'INVALID',
      `run: expected runnc run --bundle DIR <container-id>, got ${String(rest.operands.length)} operands`,
    );
  }
  return onlyBundle({ ...call, operands: rest.operands, options: options.and(rest.options) });
}

function onlyBundle(call: Call): Call {
  const flag = imageFlag(call);
  if (flag === undefined) return call;
  throw new RunncError('INVALID', `--${flag}: is for images: the bundle's config.json says it`);
}

function hasImageFlags(call: Call): boolean {
  return imageFlag(call) !== undefined;
}

function imageFlag({ options }: Call): string | undefined {
  for (const name in imageRunOptions) if (options.has(name)) return name;
  return undefined;
}
