/** How a build tells what it is doing; runnc/build-progress.ts shows it. */

export interface BuildObserver {
  /** A step begins. */
  begin(name: string): StepObserver;
}

/** Exactly one of `cached`, `done` and `failed` comes last. */
export interface StepObserver {
  /** That many more bytes were written. */
  bytes(count: number): void;
  /** What a program printed. */
  output(text: string): void;
  cached(): void;
  done(): void;
  failed(): void;
}

const silentStep: StepObserver = {
  bytes: () => undefined,
  output: () => undefined,
  cached: () => undefined,
  done: () => undefined,
  failed: () => undefined,
};

export const silentObserver: BuildObserver = { begin: () => silentStep };

/** A step of its own, from its beginning to its end. */
export async function observe<T>(
  observer: BuildObserver,
  name: string,
  work: (step: StepObserver) => Promise<T>,
): Promise<T> {
  const step = observer.begin(name);
  let result: T;
  try {
    result = await work(step);
  } catch (error) {
    step.failed();
    throw error;
  }
  step.done();
  return result;
}
