/**
 * The tender's kernel loader under many random changes of every kernel there is: headers, notes, truncation. RUNS and
 * SEED choose how many (of each kernel) and which.
 */
import { expect } from 'chai';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fuzzKernel } from '../tender/fuzz.ts';
import { tender } from '../tender/test-guest.ts';
import { dist, scratchFolder } from '../unikernels/guest.ts';

const RUNS = Number(process.env['RUNS'] ?? 2000);
const SEED = Number(process.env['SEED'] ?? 1);
/** Milliseconds for one run on a loaded machine. */
const RUN_MS = 50;
const EXTRAS = '--allow-extras=exec-heap,sud,memctl,stdio,vtimer,vnet,rootfs-map';

describe('the tender loading changed kernels', () => {
  const folder = scratchFolder();
  const unikernels = readdirSync(join(dist, 'unikernels')).map((name) => join('unikernels', name));

  for (const name of [...unikernels, 'linux.spt'])
    it(`survives ${RUNS} changes of ${name}`, () => {
      const file = join(folder, 'kernel.spt');
      const result = fuzzKernel(readFileSync(join(dist, name)), RUNS, SEED, (bytes) => {
        writeFileSync(file, bytes);
        return tender([EXTRAS, '--seccomp-dump', file]);
      });
      expect(result.accepted + result.refused).to.equal(RUNS);
    }).timeout(RUNS * RUN_MS);
});
