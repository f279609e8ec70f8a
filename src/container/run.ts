/** Creates a container, starts it and stays with it until its end, the way a shell runs a program. */
import { RunncError } from '../errors.ts';
import type { ExitStatus } from '../native.ts';
import { Container } from './container.ts';
import type { CreateOptions } from './create.ts';
import { ForegroundTerminal, SignalForwarder } from './foreground.ts';

export interface RunOptions extends CreateOptions {
  /** Do not delete the container after its end. */
  readonly keep?: boolean;
}

/**
 * Runs a container to its end. Its standard input, output and error are this process's (with process.terminal: a
 * terminal relayed to them), signals this process gets are passed on to it. Afterwards it is deleted.
 *
 * Throws what Container.create and start throw; nothing is left behind then.
 */
export async function run(options: RunOptions): Promise<ExitStatus> {
  const signals = new SignalForwarder();
  let terminal: ForegroundTerminal | undefined;
  try {
    const container = await Container.create({
      ...options,
      consoleSocket: options.consoleSocket ?? (() => (terminal = new ForegroundTerminal()).containerSocket),
    });
    return await runCreated(container, options, signals, terminal);
  } finally {
    signals.close();
    terminal?.close();
  }
}

async function runCreated(
  container: Container,
  options: RunOptions,
  signals: SignalForwarder,
  terminal: ForegroundTerminal | undefined,
): Promise<ExitStatus> {
  let status: ExitStatus | undefined;
  try {
    signals.forwardTo((signal) => {
      // It may have ended a moment ago.
      container.kill(signal).catch(() => undefined);
    });
    const relay = await terminal?.attach();
    await container.start();
    status = await container.wait();
    await relay?.done;
  } catch (error) {
    await remove(container, options);
    throw error;
  }
  if (options.keep !== true) await remove(container, options);
  if (status === undefined) throw new RunncError('INTERNAL', 'the container is not a child of its creator');
  return status;
}

/** As a shell gives it: 128 and the number of the signal. */
export function shellStatus(status: ExitStatus): number {
  return status.type === 'exited' ? status.code : 128 + status.signal;
}

async function remove(container: Container, { onWarning }: RunOptions): Promise<void> {
  await container.delete({ force: true, ...(onWarning === undefined ? {} : { onWarning }) });
}
