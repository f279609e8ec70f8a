/** The host's end of the control channel against a guest that lies. */
import { expect } from 'chai';
import { lieToProxies } from '../support/hostile-guest.ts';

describe('proxies and the broker', () => {
  it('survive 10,000 random messages of the guest: none is ended by a fault, none sends more than its credit', async () => {
    const { statuses, overdrawn, witness, written } = await lieToProxies(10_000, 1);
    // By our own SIGKILL, or by themselves.
    const faults = statuses.filter((status) => status.type === 'signaled' && status.signal !== 9);
    expect(faults).to.deep.equal([]);
    expect(overdrawn).to.be.at.most(0);
    expect(written).to.equal('still here');
    expect(witness).to.deep.equal({ type: 'exited', code: 42 });
  }).timeout(120_000);
});
