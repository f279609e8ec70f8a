import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';

/** How many at a time: of runtimes, more than the machine has processors; of containers, all. */
const CONTAINERS = 20;

describe('many containers at once', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
  });
  after(async () => {
    await host.close();
  });

  it('are created, started and deleted in parallel while list looks on', async () => {
    const bundles = Array.from({ length: CONTAINERS }, () => host.bundle('hello'));
    let done = false;
    const watch = async (): Promise<void> => {
      while (!done) {
        const { status, stdout, stderr } = await host.runnc(['list', '--format', 'json']);
        expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
        for (const { status } of JSON.parse(stdout) as { status: string }[]) {
          expect(status).to.be.oneOf(['creating', 'created', 'running', 'stopped']);
        }
      }
    };
    const watching = watch();
    await Promise.all(
      bundles.map(async (bundle, i) => {
        const id = `many-${String(i)}`;
        const call = await host.create(id, bundle);
        expect((await host.runnc(['start', id])).stderr).to.equal('');
        await call.prints('Hello');
        await host.reaches(id, 'stopped');
        expect(await host.runnc(['delete', id])).to.include({ status: 0, stderr: '' });
      }),
    );
    done = true;
    await watching;
    expect(host.leftovers()).to.deep.equal([]);
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
