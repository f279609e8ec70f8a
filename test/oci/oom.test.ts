/** The host's OOM killer strikes. A guest cannot bring that about, so others are put beside it that do. */
import { spawn, type ChildProcess } from 'node:child_process';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { joinCgroups } from '../support/host-state.ts';

const MIB = 1024 * 1024;

describe('the end of the memory of the host', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
  });
  let hog: ChildProcess | undefined;
  after(async () => {
    hog?.kill('SIGKILL');
    await host.close();
  });

  it('is told by events, also when it is the end of the container', async () => {
    const bundle = host.bundle('time', ['forever'], (spec) => {
      // So that it is the kernel's first choice, as none of the others takes all there is.
      spec.process.oomScoreAdj = 1000;
      spec.linux.resources = { memory: { limit: 32 * MIB, swap: 32 * MIB } };
    });
    const call = await host.create('full', bundle);
    await host.runnc(['start', 'full']);
    await call.prints('waiting');
    const events = host.start(['events', '--interval', '50ms', 'full']);
    // It watches once it prints.
    await events.prints('"type":"stats"');

    const { pid } = await host.state('full');
    // Each holds its share until its input ends; together they want more than there is.
    const hogs =
      'exec 3<&0; for i in 1 2 3 4 5 6 7 8; do { head -c 5m /dev/zero; cat <&3; } | tail -c 5m & done; wait';
    const child = spawn('/bin/sh', ['-c', `read go; ${hogs}`], { stdio: ['pipe', 'ignore', 'ignore'] });
    hog = child;
    joinCgroups(Number(child.pid), pid);
    child.stdin.write('go\n');

    const { status, stdout, stderr } = await events.end();
    child.stdin.end();
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    const types = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; id: string });
    expect(types).to.deep.include({ type: 'oom', id: 'full' });
    await host.reaches('full', 'stopped');
    expect(await host.runnc(['delete', '--force', 'full'])).to.include({ status: 0, stderr: '' });
    expect(host.leftovers()).to.deep.equal([]);
  });
});
