/** Programs that lie at the same addresses, run each other, and know what they must find (programs/addresses.c). */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Playground, Result } from '../support/bundle.ts';
import { Rootfs } from './rootfs.ts';

const MIB = 1024 * 1024;
/** For the longest run on a loaded machine. */
const PATIENCE_MS = 600_000;
/** Pages of code, constants, data and zeroes; how it is linked. */
const IMAGES: readonly (readonly [readonly [number, number, number, number], readonly string[]])[] = [
  [
    [4, 20, 4, 6],
    ['-static', '-no-pie'],
  ],
  [
    [100, 400, 50, 60],
    ['-static', '-no-pie'],
  ],
  [
    [40, 10, 200, 3],
    ['-static', '-no-pie', '-Wl,-Ttext-segment=0x500000'],
  ],
  [
    [10, 300, 3, 300],
    ['-static', '-no-pie'],
  ],
  [[60, 60, 60, 60], ['-no-pie']],
  [[30, 90, 8, 40], ['-static-pie']],
];
const source = join(import.meta.dirname, 'programs/addresses.c');

export class Addresses {
  readonly #host: Playground;
  readonly #rootfs = new Rootfs();

  constructor(host: Playground) {
    this.#host = host;
    IMAGES.forEach(([[code, constants, data, zeroes], flags], id) => {
      const output = this.#rootfs.path(`/usr/bin/addresses-${id}`);
      const sizes = [`-DCODE_PAGES=${code}`, `-DCONSTANT_PAGES=${constants}`, `-DDATA_PAGES=${data}`];
      const defines = [`-DOTHERS=${IMAGES.length}`, `-DID=${id}`, ...sizes, `-DZERO_PAGES=${zeroes}`];
      execFileSync('gcc', ['-O1', '-Wall', '-Wextra', ...defines, ...flags, '-o', output, source]);
      this.#rootfs.addLibraries(output);
    });
  }

  remove(): void {
    this.#rootfs.remove();
  }

  /** One of them, chosen by the seed, in a container of its own. limit: MiB of memory. */
  run(seed: number, steps: number, depth: number, limit?: number): Promise<Result> {
    const args = [`/usr/bin/addresses-${seed % IMAGES.length}`, String(seed), String(steps), String(depth)];
    const bundle = this.#rootfs.bundle(this.#host, args, (spec) => {
      if (limit !== undefined) spec.linux.resources = { memory: { limit: limit * MIB } };
    });
    return this.#host.start(['run', '-b', bundle, `addresses-${seed}`]).end(PATIENCE_MS);
  }
}
