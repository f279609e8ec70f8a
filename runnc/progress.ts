/** A progress bar on standard error for what takes long, if that is a terminal. */
import type { BuildProgress } from '../src/rootfs/rootfs-image.ts';

/** Nobody wants to see a bar flash by. */
const DELAY_MS = 500;

export interface ProgressBar {
  readonly onProgress: (progress: BuildProgress) => void;
  /** Removes the bar. */
  readonly stop: () => void;
}

/** undefined where nobody is looking. */
export function progressBar(title: string): ProgressBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  const started = performance.now();
  let bar: { update(value: number): void; setTotal(value: number): void; stop(): void } | undefined;
  let loading = false;
  let stopped = false;

  const show = async (): Promise<void> => {
    loading = true;
    // Only here: a start that builds nothing must not load it.
    const { SingleBar } = (await import('cli-progress')).default;
    if (stopped) return;
    const created = new SingleBar({
      format: `${title} {bar} {percentage}% | {value}/{total} MiB | {eta_formatted} left`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    });
    created.start(0, 0);
    bar = created;
  };

  return {
    onProgress: ({ doneBytes, totalBytes }) => {
      if (bar === undefined) {
        if (!loading && performance.now() - started > DELAY_MS) void show();
        return;
      }
      bar.setTotal(mebibytes(totalBytes));
      bar.update(mebibytes(doneBytes));
    },
    stop: () => {
      stopped = true;
      bar?.stop();
    },
  };
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
