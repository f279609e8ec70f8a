/**
 * SIGINT, SIGTERM and SIGHUP to a build. Mostly they end it at once, when what it has in folders of its own is
 * removed; but a program in a container is ended first, and whoever waits for its end is told.
 */
import { RunncError } from '../../errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Interrupts {
  readonly #cleanUps = new Set<() => void>();
  #stop: (() => void) | undefined;
  #isInterrupted = false;

  listen(): void {
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  get isInterrupted(): boolean {
    return this.#isInterrupted;
  }

  /** Done before the process ends of a signal, until the function that comes back is called. Must not wait for anything. */
  onEnd(cleanUp: () => void): () => void {
    this.#cleanUps.add(cleanUp);
    return () => {
      this.#cleanUps.delete(cleanUp);
    };
  }

  /**
   * While `act` runs, the first signal ends nothing but is answered by `stop`, which makes `act` end soon; it is INVALID
   * then, whatever came of it. Only the second one ends the process.
   */
  async during(stop: () => void, act: () => Promise<void>): Promise<void> {
    this.#stop = stop;
    try {
      await act();
    } finally {
      this.#stop = undefined;
    }
    if (this.#isInterrupted) throw new RunncError('INVALID', 'interrupted');
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#stop !== undefined && !this.#isInterrupted) {
      this.#isInterrupted = true;
      this.#stop();
      return;
    }
    this.close();
    for (const cleanUp of this.#cleanUps) cleanUp();
    // Somebody else in this process may have other plans.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
}
