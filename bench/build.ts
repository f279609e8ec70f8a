/** `runnc build` of a context of 300 MB: the first time, beside tar and gzip, and again with nothing changed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bench, rounded } from './bench.ts';
import { dist, measure } from './measure.ts';

const MIB = 2 ** 20;

export const buildBench: Bench = {
  name: 'build',
  what: '`runnc build` of a context of 300 MB, the first time and again',
  run() {
    const folder = mkdtempSync(join(tmpdir(), 'runnc-bench-build-'));
    try {
      const context = join(folder, 'context');
      fill(context);
      const images = join(folder, 'images');
      const build = [join(dist, 'runnc'), 'build', '-q', '--store', images, '-t', 'bench', context];
      const anew = (command: string): string[] => ['sh', '-c', `rm -rf ${images}; ${command} > /dev/null`];
      const [first, tar] = measure(
        [anew(`exec ${build.join(' ')}`), ['sh', '-c', `tar -C ${context} -c . | gzip -6 > /dev/null`]],
        { runs: 3, warmups: 1 },
      );
      const [again] = measure([build], { runs: 20, warmups: 2 });
      if (first === undefined || tar === undefined || again === undefined) throw new Error('too few rows');
      return Promise.resolve(
        rounded({
          firstMs: first.medianMs,
          firstRatioToTarGzip: first.medianMs / tar.medianMs,
          peakMiB: first.peakKiB / 1024,
          againMs: again.medianMs,
        }),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** Half of it cannot be compressed; and 2000 small files. */
function fill(context: string): void {
  mkdirSync(join(context, 'small'), { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY . /\nENV A=1\nCOPY small /more/\n');
  for (let i = 0; i < 5; i++) {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const parts = Array.from({ length: (60 * MIB) / 131_072 }, () => [noise, Buffer.alloc(65_536, i)]);
    writeFileSync(join(context, String(i)), Buffer.concat(parts.flat()));
  }
  for (let i = 0; i < 2000; i++)
    writeFileSync(join(context, 'small', String(i)), `${String(i)}\n`.repeat(50));
}
