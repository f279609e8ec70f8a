/** A short run of the system-call fuzzer; test/long/guest-fuzz.ts is the long one. */
import { expect } from 'chai';
import { fuzz } from './fuzz/fuzz.ts';

const CALLS = 60_000;
const SEED = 1;
const LITTLE = 12n << 20n;

describe('the Linux guest kernel under random system calls', function () {
  this.timeout(120_000);

  it('does not die of them, and makes no call of the host that it may not', async () => {
    const outcome = await fuzz(SEED, CALLS, 100_000);
    const where = `last worker ${outcome.lastSeed ?? 'none'}: ${outcome.stderr.slice(-400)}`;
    expect(outcome.status, where).to.equal(0);
    expect(outcome.stdout, where).to.match(/survived \d+ calls/);
  });

  it('does not die of them in little memory either', async () => {
    const outcome = await fuzz(SEED + 1, CALLS / 3, 100_000, LITTLE);
    const where = `last worker ${outcome.lastSeed ?? 'none'}: ${outcome.stderr.slice(-400)}`;
    expect(outcome.status, where).to.equal(0);
    expect(outcome.stdout, where).to.match(/survived \d+ calls/);
  });
});
