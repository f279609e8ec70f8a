import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';

describe('many containers at once', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
  });
  after(async () => {
    await host.close();
  });

  it('of one id exist only once, however many want it', async () => {
    const bundle = host.bundle('hello');
    const results = await Promise.all(
      Array.from({ length: 8 }, () => host.runnc(['create', '-b', bundle, 'wanted'])),
    );
    expect(results.filter(({ status }) => status === 0)).to.have.length(1);
    for (const { status, stderr } of results) {
      if (status !== 0) expect(stderr).to.equal('container with id exists: wanted\n');
    }
    const deleted = await Promise.all(
      Array.from({ length: 8 }, () => host.runnc(['delete', '--force', 'wanted'])),
    );
    for (const { status, stderr } of deleted)
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    expect(host.leftovers()).to.deep.equal([]);
  });
});
