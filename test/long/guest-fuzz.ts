/**
 * The Linux guest kernel under many random system calls. CALLS and SEED choose how many and which; one that fails is
 * made again by SEED=the last worker's and CALLS=0.
 */
import { expect } from 'chai';
import { fuzz } from '../linux-abi/fuzz/fuzz.ts';

const CALLS = Number(process.env['CALLS'] ?? 10_000_000);
const SEED = Number(process.env['SEED'] ?? 1);
/** In one guest: more than one, so that the first workers' leavings do not stand in for all. */
const CALLS_PER_GUEST = 1_000_000;
/** Milliseconds for a call on a loaded machine, and for the rest. */
const CALL_MS = 0.5;
const REST_MS = 60_000;
/** KiB that the kernel may have kept when all workers of a guest are gone: caches, numbers given away. */
const KEPT_KIB = 4096;

describe('the Linux guest kernel under random system calls', () => {
  const guests = Math.max(1, Math.ceil(CALLS / CALLS_PER_GUEST));

  for (let guest = 0; guest < guests; guest++) {
    const seed = SEED + guest * 1_000_000;
    const calls = Math.min(CALLS, CALLS_PER_GUEST);
    it(`survives ${calls} calls, seed ${seed}`, async () => {
      const outcome = await fuzz(seed, calls, calls * CALL_MS + REST_MS);
      const where = `last worker ${outcome.lastSeed ?? 'none'}: ${outcome.stderr.slice(-400)}`;
      expect(outcome.status, where).to.equal(0);
      expect(outcome.stdout, where).to.match(/survived \d+ calls/);
      expect(Number(/memory: (-?\d+) KiB/.exec(outcome.stdout)?.[1]), where).to.be.at.most(KEPT_KIB);
    }).timeout(calls * CALL_MS + 2 * REST_MS);
  }
});
