/** Many containers after and beside each other: the battery of test/oci/crowd.test.ts and test/long/crowd.ts. */
import { expect } from 'chai';
import { Playground } from './bundle.ts';
import { interfaces } from './host-state.ts';

export interface CrowdSize {
  /** Created, started and deleted at the same time. */
  readonly parallel: number;
  /** Created, started and deleted one after the other. */
  readonly inARow: number;
}

/** Declares the tests. */
export function describeCrowd({ parallel, inARow }: CrowdSize): void {
  describe('many containers', function () {
    this.timeout(60_000 + 2000 * (parallel + inARow));
    let host: Playground;
    let interfacesBefore: readonly string[];

    beforeEach(() => {
      host = new Playground();
      interfacesBefore = interfaces();
    });

    afterEach(async () => {
      await host.close();
    });

    async function live(id: string, bundle: string): Promise<void> {
      await host.create(id, bundle);
      expect(await host.runnc(['start', id])).to.deep.equal({ status: 0, stdout: '', stderr: '' });
      expect(await host.runnc(['delete', '--force', id])).to.deep.equal({
        status: 0,
        stdout: '',
        stderr: '',
      });
    }

    function expectNothingLeft(): void {
      expect(host.leftovers()).to.deep.equal([]);
      expect(interfaces()).to.deep.equal(interfacesBefore);
    }

    it(`live ${String(parallel)} at the same time, while list never fails`, async () => {
      // A cgroup each, as their callers give them.
      const bundles = Array.from({ length: parallel }, () => host.bundle('time', ['forever']));
      let running = true;
      const lives = Promise.all(
        bundles.map((bundle, index) => live(`many-${String(index)}`, bundle)),
      ).finally(() => {
        running = false;
      });
      let lists = 0;
      while (running) {
        const { status, stdout, stderr } = await host.runnc(['list', '--format', 'json']);
        expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
        expect(JSON.parse(stdout)).to.satisfy((list: unknown) => list === null || Array.isArray(list));
        lists++;
      }
      await lives;
      expect(lists).to.be.greaterThan(0);
      expectNothingLeft();
    });

    it(`live ${String(inARow)} one after the other`, async () => {
      const bundle = host.bundle('hello');
      for (let index = 0; index < inARow; index++) await live(`row-${String(index)}`, bundle);
      expectNothingLeft();
    });
  });
}
