/** The host's end of the control channel against a guest that lies a million times. COUNT and SEED choose. */
import { expect } from 'chai';
import { lieToProxies } from '../support/hostile-guest.ts';

const COUNT = Number(process.env['COUNT'] ?? 1_000_000);
const SEED = Number(process.env['SEED'] ?? 1);

describe('proxies and the broker', () => {
  it(`survive ${COUNT} random messages of the guest, seed ${SEED}`, async () => {
    const { statuses, overdrawn, witness, written } = await lieToProxies(COUNT, SEED);
    const faults = statuses.filter((status) => status.type === 'signaled' && status.signal !== 9);
    expect(faults).to.deep.equal([]);
    expect(overdrawn).to.be.at.most(0);
    expect(written).to.equal('still here');
    expect(witness).to.deep.equal({ type: 'exited', code: 42 });
  });
});
