/** A progress bar on standard error for what takes long, if that is a terminal. */
import type { BuildProgress } from '../src/rootfs/rootfs-image.ts';

/** Nobody wants to see a bar flash by. */
const DELAY_MS = 500;

interface Bar {
  setTotal(value: number): void;
  update(value: number): void;
  stop(): void;
}

/**
 * The bar goes away when the work is done, or the process ends. Standard error is looked at only once there is
 * something to show: to open it as a stream costs Bun more than all the rest of a call.
 */
export function progressBar(title: string): (progress: BuildProgress) => void {
  const started = performance.now();
  let bar: Bar | undefined;
  let state: 'waiting' | 'loading' | 'shown' | 'done' = 'waiting';

  const stop = (): void => {
    state = 'done';
    bar?.stop();
    bar = undefined;
  };
  const show = async ({ doneBytes, totalBytes }: BuildProgress): Promise<void> => {
    if (!process.stderr.isTTY) {
      stop();
      return;
    }
    state = 'loading';
    // Only here: a start that builds nothing must not load it.
    const { SingleBar } = (await import('cli-progress')).default;
    if (state !== 'loading') return;
    const created = new SingleBar({
      format: `${title} {bar} {percentage}% | {value}/{total} MiB`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    });
    created.start(mebibytes(totalBytes), mebibytes(doneBytes));
    process.once('exit', stop);
    state = 'shown';
    bar = created;
  };

  return (progress) => {
    const { doneBytes, totalBytes } = progress;
    if (doneBytes >= totalBytes) stop();
    else if (state === 'waiting' && performance.now() - started > DELAY_MS) void show(progress);
    bar?.setTotal(mebibytes(totalBytes));
    bar?.update(mebibytes(doneBytes));
  };
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
