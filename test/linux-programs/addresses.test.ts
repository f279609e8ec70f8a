/** Programs at the same addresses that map, fork and execute each other at random: each finds what is its own. */
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { Addresses } from './addresses.ts';

describe('programs at the same addresses, at random', function () {
  this.timeout(120_000);
  let host: Playground;
  let programs: Addresses;

  before(() => {
    host = new Playground();
    programs = new Addresses(host);
  });
  after(async () => {
    const leftovers = host.leftovers();
    await host.close();
    programs.remove();
    expect(leftovers).to.deep.equal([]);
  });

  for (const [seed, steps, depth, limit] of [
    [102, 400, 3, undefined],
    [104, 400, 3, 160],
    [3, 300, 2, 64],
  ] as const) {
    it(`find what is theirs: seed ${seed}${limit === undefined ? '' : `, in ${limit} MiB`}`, async () => {
      const { status, stderr } = await programs.run(seed, steps, depth, limit);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    });
  }
});
