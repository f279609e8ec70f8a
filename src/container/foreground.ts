/** What a process does that stays with a program in a container: its signals and its terminal are the program's. */
import { closeSync } from '../files.ts';
import { RunncError } from '../errors.ts';
import {
  getWindowSize,
  makeRaw,
  receiveMessage,
  relayTerminal,
  restoreTerminal,
  setWindowSize,
  socketPair,
} from '../native.ts';

/**
 * All that a program may be sent; those that mean this process itself, or its children, are not passed on: in the
 * background SIGTTIN and SIGTTOU stop it before it sets its terminal, as any program.
 */
const FORWARDED: readonly NodeJS.Signals[] = [
  ...(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCONT'] as const),
  ...(['SIGTSTP', 'SIGVTALRM', 'SIGIO', 'SIGPWR', 'SIGXCPU', 'SIGXFSZ'] as const),
];

/** Who sends one of these before there is a program wants that there be none. */
const ENDING: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'];

/** Passes the signals that this process gets on to the program that it stands for. */
export class SignalForwarder {
  /** What came before there was anyone to get it. */
  readonly #early: number[] = [];
  #target: ((signal: number) => void) | undefined;
  #end: ((reason: RunncError) => void) | undefined;
  /** Rejects at the first signal that ends a process and comes before the program is there. */
  readonly ended: Promise<never>;

  constructor() {
    this.ended = new Promise((_, reject) => (this.#end = reject));
    this.ended.catch(() => undefined);
    for (const signal of FORWARDED) process.on(signal, this.#onSignal);
  }

  forwardTo(target: (signal: number) => void): void {
    this.#target = target;
    for (const number of this.#early) this.#pass(number);
  }

  close(): void {
    for (const signal of FORWARDED) process.off(signal, this.#onSignal);
  }

  readonly #onSignal = (signal: NodeJS.Signals, number: number): void => {
    if (this.#target === undefined && ENDING.includes(signal)) {
      this.#end?.(new RunncError('STATE', `given up by ${signal} before the program was started`));
    }
    this.#pass(number);
  };

  #pass(number: number): void {
    if (this.#target === undefined) this.#early.push(number);
    else this.#target(number);
  }
}

/** This process's own end of a container's terminal. */
export class ForegroundTerminal {
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
