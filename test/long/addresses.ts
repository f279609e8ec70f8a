/**
 * Processes at the same addresses under random changes of their memory. SEEDS and SEED choose how many and which first;
 * every third has little memory, where what is opened is opened by its first touch and closed again.
 */
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { Addresses } from '../linux-programs/addresses.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 100);
const SEED = Number(process.env['SEED'] ?? 100);
const STEPS = Number(process.env['STEPS'] ?? 400);
const DEPTH = 3;
const LIMITS = [undefined, 160, 96] as const;

describe('programs at the same addresses, at random and at length', function () {
  this.timeout(1_200_000);
  let host: Playground;
  let programs: Addresses;

  before(() => {
    host = new Playground();
    programs = new Addresses(host);
  });
  after(async () => {
    await host.close();
    programs.remove();
  });

  for (let seed = SEED; seed < SEED + SEEDS; seed++) {
    const limit = LIMITS[seed % LIMITS.length];
    it(`find what is theirs: seed ${seed}, ${limit === undefined ? 'no limit' : `${limit} MiB`}`, async () => {
      const { status, stderr } = await programs.run(seed, STEPS, DEPTH, limit);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    });
  }
});
