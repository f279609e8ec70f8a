/** The host's OOM killer strikes. A guest cannot bring that about, so others are put beside it that do. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { cgroupFolder } from '../support/host-state.ts';

const MIB = 1024 * 1024;

describe('the end of the memory of the host', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
  });
  after(async () => {
    await host.close();
  });

  it('is told by events, also when it is the end of the container', async () => {
    const bundle = host.bundle('time', ['forever'], (spec) => {
      // So that it, and none of the others, is the kernel's first choice.
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
    const hogs = 'read go; for i in 1 2 3 4; do cat /dev/zero | tail -c 100m & done; wait';
    const hog = spawn('/bin/sh', ['-c', hogs], { stdio: ['pipe', 'ignore', 'ignore'] });
    writeFileSync(join(cgroupFolder(pid, 'memory'), 'cgroup.procs'), String(hog.pid));
    hog.stdin.end('go\n');

    const { status, stdout, stderr } = await events.end();
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
