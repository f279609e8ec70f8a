/** What is transferred, on standard error, as Docker's users know it: a bar for each part. Nothing where that is no terminal. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { CopyEvent } from '../src/image/copy.ts';
import { decimalSize } from '../src/size.ts';

export interface TransferProgress {
  readonly onEvent: (event: CopyEvent) => void;
  stop(): void;
}

/** `words`: what is said of a part that is under way, is through, was there before. */
export function transferProgress(words: {
  readonly active: string;
  readonly done: string;
  readonly there: string;
}): TransferProgress {
  if (!process.stderr.isTTY) return { onEvent: () => undefined, stop: () => undefined };
  // Where nothing is transferred, not even the cursor is touched.
  let bars: MultiBar | undefined;
  const shown = new Map<string, SingleBar>();
  const onEvent = (event: CopyEvent): void => {
    const { digest, size } = event.descriptor;
    const states = { there: words.there, started: words.active, progress: words.active, done: words.done };
    const doneBytes = event.type === 'progress' ? event.doneBytes : event.type === 'started' ? 0 : size;
    const payload = {
      id: digest.slice('sha256:'.length, 'sha256:'.length + 12),
      state: states[event.type].padEnd(Math.max(words.active.length, words.done.length, words.there.length)),
      done: decimalSize(doneBytes),
      size: decimalSize(size),
    };
    bars ??= newBars();
    const bar = shown.get(digest) ?? bars.create(Math.max(size, 1), 0, payload);
    shown.set(digest, bar);
    bar.update(size === 0 ? 1 : doneBytes, payload);
  };
  return { onEvent, stop: () => bars?.stop() };
}

function newBars(): MultiBar {
  return new MultiBar({
    format: '{id}: {state} {bar} {done}/{size}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    hideCursor: true,
    stream: process.stderr,
    autopadding: true,
  });
}
