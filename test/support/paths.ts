/** What is tested, and where it is. */
import { accessSync, constants } from 'node:fs';
import { basename, resolve } from 'node:path';

const dist = resolve(import.meta.dirname, '../../dist');

/**
 * The installed program. RUNNC_TEST_RUNTIME names another runtime in its place, for example runc, to tell a fault of
 * the harness from one of ours (see `image` in images.ts: such a runtime gets Linux programs instead of unikernels).
 */
export const runtime = process.env['RUNNC_TEST_RUNTIME'] ?? resolve(dist, 'runnc');
export const isOurs = basename(runtime) === 'runnc';

/** A unikernel of this project, by the name of its folder. */
export function unikernel(name: string): string {
  return resolve(dist, 'unikernels', `${name}.spt`);
}

/** Says what to do when something is missing, in place of a test that is skipped. */
export function needs(...paths: readonly string[]): void {
  for (const path of paths) {
    try {
      accessSync(path, constants.R_OK);
    } catch {
      throw new Error(`${path} is missing: run scripts/setup.sh test and scripts/build.sh`);
    }
  }
}
