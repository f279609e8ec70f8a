/** The system-call fuzzer as process 1 of a guest of its own. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree, type Outcome } from '../guest.ts';

const here = dirname(fileURLToPath(import.meta.url));
const kernel = join(here, '../../../unikernels/linux');

/** What a run said; the seed of the last worker that it started is what to replay: `fuzz SEED`. */
export interface FuzzOutcome extends Outcome {
  readonly lastSeed: string | undefined;
}

/** memoryBytes: the container's limit; with little, calls meet the end of it. */
export async function fuzz(
  seed: number,
  calls: number,
  timeoutMs: number,
  memoryBytes = 1n << 30n,
): Promise<FuzzOutcome> {
  const tree = new Tree();
  try {
    for (const folder of ['bin', 'box', 'tmp', 'proc', 'dev', 'sys'])
      fs.mkdirSync(join(tree.folder, folder), { recursive: true });
    const program = join(tree.folder, 'bin/fuzz');
    execFileSync('gcc', [
      '-O1',
      '-static',
      '-w',
      `-I${kernel}`,
      '-o',
      program,
      join(here, 'fuzz.c'),
      '-lpthread',
    ]);
    const outcome = await tree.guest(['/bin/fuzz', String(seed), String(calls)], {
      timeoutMs,
      config: { memoryBytes },
    });
    return { ...outcome, lastSeed: /.*worker (\d+)/s.exec(outcome.stdout)?.[1] };
  } finally {
    tree.remove();
  }
}
