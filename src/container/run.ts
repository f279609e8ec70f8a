/** Creates a container, starts it and stays with it until its end, the way a shell runs a program. */
import { closeSync } from 'node:fs';
import {
  type ExitStatus,
  getWindowSize,
  makeRaw,
  receiveMessage,
  relayTerminal,
  restoreTerminal,
  setWindowSize,
  socketPair,
} from '../native.ts';
import { RunncError } from '../errors.ts';
import { Container } from './container.ts';
import type { CreateOptions } from './create.ts';

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
    signals.forwardTo(container);
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

/** All that a program may be sent; those that mean this process itself, or its children, are not passed on. */
const FORWARDED: readonly NodeJS.Signals[] = [
  ...(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCONT'] as const),
  ...(['SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGVTALRM', 'SIGIO', 'SIGPWR', 'SIGXCPU', 'SIGXFSZ'] as const),
];

class SignalForwarder {
  /** What came before there was anyone to get it. */
  readonly #early: number[] = [];
  #container: Container | undefined;

  constructor() {
    for (const signal of FORWARDED) process.on(signal, this.#onSignal);
  }

  forwardTo(container: Container): void {
    this.#container = container;
    for (const number of this.#early) this.#pass(number);
  }

  close(): void {
    for (const signal of FORWARDED) process.off(signal, this.#onSignal);
  }

  readonly #onSignal = (_: NodeJS.Signals, number: number): void => {
    this.#pass(number);
  };

  #pass(number: number): void {
    if (this.#container === undefined) this.#early.push(number);
    // It may have ended a moment ago.
    else this.#container.kill(number).catch(() => undefined);
  }
}

/** This process's own end of a container's terminal. */
class ForegroundTerminal {
  readonly #own: number;
  /** For the container: where its master is sent to. */
  readonly containerSocket: number;
  #master: number | undefined;
  #restore: (() => void) | undefined;

  constructor() {
    [this.#own, this.containerSocket] = socketPair();
  }

  /** Takes the master that init sent at create, and relays it. */
  async attach(): Promise<{ readonly done: Promise<void> }> {
    const { fds } = await receiveMessage(this.#own);
    const [master, ...others] = fds;
    for (const fd of others) closeSync(fd);
    if (master === undefined) throw new RunncError('INTERNAL', 'init sent no terminal');
    this.#master = master;
    if (process.stdin.isTTY) {
      const settings = makeRaw(0);
      const resize = (): void => {
        setWindowSize(master, getWindowSize(0));
      };
      resize();
      process.on('SIGWINCH', resize);
      this.#restore = () => {
        process.off('SIGWINCH', resize);
        restoreTerminal(0, settings);
      };
    }
    return { done: relayTerminal(master, 0, 1) };
  }

  close(): void {
    this.#restore?.();
    for (const fd of [this.#own, this.containerSocket, this.#master]) if (fd !== undefined) closeSync(fd);
  }
}
