/**
 * SIGKILL at random moments, to the runtime or to the container's process, besides the enumerated steps of
 * test/oci/faults.test.ts. ROUNDS sets how many, SEED where to begin.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Playground, until } from '../support/bundle.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 500);
const SEED = Number(process.env['SEED'] ?? 1);

/** Longer than any of the calls takes, so that some kills come too late as well. */
const LATEST_MS = 60;

/** Repeatable numbers in [0, 1): mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('SIGKILL at random moments', function () {
  this.timeout(ROUNDS * 10_000);

  it(`leaves nothing that delete --force does not remove, ${String(ROUNDS)} times from seed ${String(SEED)}`, async () => {
    const random = randomNumbers(SEED);
    const host = new Playground();
    try {
      const bundle = host.bundle('time', ['forever']);
      const pidFile = join(host.folder, 'pid');
      const struck = { runtime: 0, container: 0, late: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        rmSync(pidFile, { force: true });
        const calls = [
          ['create', '--pid-file', pidFile, '--bundle', bundle, 'victim'],
          ['start', 'victim'],
          ['delete', '--force', 'victim'],
        ];
        const target = Math.floor(random() * calls.length);
        const atContainer = random() < 0.3;
        for (const [index, words] of calls.entries()) {
          const call = host.start(words);
          if (index === target) {
            await delay(random() * LATEST_MS);
            if (call.child.exitCode !== null) struck.late++;
            else if (atContainer && killContainer(pidFile, host.cgroupParent)) struck.container++;
            else if (call.child.kill('SIGKILL')) struck.runtime++;
          }
          await call.end();
        }
        const last = await host.runnc(['delete', '--force', 'victim']);
        expect(last, `round ${String(round)}`).to.include({ status: 0, stderr: '' });
        // An init whose runtime died before it was told of anybody ends by itself.
        await until(() => Promise.resolve(host.leftovers().length === 0), 'nothing is left').catch(() => {
          expect(host.leftovers(), `round ${String(round)}`).to.deep.equal([]);
        });
      }
      console.log(`      ${JSON.stringify(struck)}`);
      expect(struck.runtime).to.be.greaterThan(0);
    } finally {
      await host.close();
    }
  });
});

/** False when there is no container yet, or no more. */
function killContainer(pidFile: string, cgroupParent: string): boolean {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    // Its number may be somebody else's by now.
    if (!readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8').includes(`${cgroupParent}/`)) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
