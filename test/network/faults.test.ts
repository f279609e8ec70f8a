/** The runtime is killed at each step that changes a network namespace; whatever that leaves, delete --force mends it. */
import { expect } from 'chai';
import { networkSteps } from '../../src/fault.ts';
import { Playground, type Result } from '../support/bundle.ts';
import { TestNetwork } from '../support/network.ts';

describe('a network namespace, with the runtime killed at any step', () => {
  let host: Playground;
  let network: TestNetwork;
  let bundle: string;

  before(async () => {
    host = new Playground();
    network = await TestNetwork.start();
    await network.plug('eth0');
    await network.out('address', 'add', '10.77.0.1/24', 'dev', 'eth0.out');
    for (const address of ['10.77.0.2/24', '10.77.0.3/24', 'fd77::2/64']) {
      await network.in('address', 'add', address, 'dev', 'eth0');
    }
    await network.in('route', 'add', 'default', 'via', '10.77.0.1');
    bundle = host.bundle('echo', [], (spec) => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
        type === 'network' ? { type, path: network.path } : { type },
      );
    });
  });
  after(async () => {
    await host.close();
    await network.stop();
  });

  for (const step of networkSteps)
    it(`(${step}) is as before, and its address is the next guest's`, async () => {
      const before = await network.state();
      const env = { ...process.env, RUNNC_FAULT: `runtime:${step}` };
      const calls = [
        ['create', '--bundle', bundle, 'victim'],
        ['start', 'victim'],
        ['delete', '--force', 'victim'],
      ];
      const ends: Result[] = [];
      for (const call of calls) {
        if (ends.every(({ status }) => status === 0)) ends.push(await host.runnc(call, { env }));
      }
      expect(ends.at(-1)).to.deep.include({ status: 128 + 9, stderr: '' }, ends.at(-1)?.stderr);
      expect((await host.runnc(['delete', '--force', 'victim'])).stderr).to.equal('');
      expect(await network.state()).to.equal(before);
      expect(host.leftovers()).to.deep.equal([]);

      const next = await host.create('next', bundle);
      await host.runnc(['start', 'next']);
      await next.prints('ready');
      await network.ping('10.77.0.2');
      // Dead without a delete: nobody answers, and the delete that comes at last gives all back.
      await host.runnc(['kill', 'next', 'KILL']);
      await host.reaches('next', 'stopped');
      await host.runnc(['delete', 'next']);
      expect(await network.state()).to.equal(before);
    });
});
