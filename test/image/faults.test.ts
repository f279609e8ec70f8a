/** kill -9 at every step of the store's work: what is there is whole, what was begun is gone after the next prune. */
import { expect } from 'chai';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { imageSteps } from '../../src/fault.ts';
import { ImageStore } from '../../src/image/store.ts';
import { Playground } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { TestRegistry } from '../support/registry.ts';

describe('the image store, killed', function () {
  this.timeout(120_000);
  const host = new Playground();
  const folder = join(host.folder, 'images');
  const archives = [join(host.folder, 'one.tar'), join(host.folder, 'two.tar')] as const;
  let registry: TestRegistry;
  const seen = new Set<string>();

  before(async () => {
    await writeLinuxArchive(archives[0], { name: 'linux:1' });
    await writeLinuxArchive(archives[1], {
      name: 'linux:1',
      entries: [{ name: 'etc/new', content: 'new\n' }],
    });
    registry = await TestRegistry.start();
    const from = ['--store', join(host.folder, 'origin')];
    await host.runnc(['load', ...from, '-i', archives[1]]);
    const pushed = await host.runnc(['push', ...from, 'linux:1', `${registry.host}/linux:1`]);
    expect(pushed.status, pushed.stderr).to.equal(0);
  });
  after(async () => {
    await registry.stop();
    await host.close();
  });

  const verbs: readonly (readonly [string, () => readonly string[]])[] = [
    ['load', () => ['load', '--store', folder, '-i', archives[1]]],
    ['pull', () => ['pull', '--store', folder, `${registry.host}/linux:1`]],
    [
      'run',
      () => ['run', '--store', folder, '--rm', '--pull=never', '-v', 'named:/etc', '-v', '/root', 'linux:1'],
    ],
    ['rmi', () => ['rmi', '--store', folder, 'linux:1']],
  ];

  for (const [name, args] of verbs) {
    for (const step of imageSteps) {
      it(`${name} at ${step}`, async () => {
        rmSync(folder, { recursive: true, force: true });
        expect((await host.runnc(['load', '--store', folder, '-i', archives[0]])).status).to.equal(0);
        const killed = await host.runnc(args(), { env: { ...process.env, RUNNC_FAULT: `runtime:${step}` } });
        const reached = killed.status === 137;
        if (reached) seen.add(step);
        else expect(killed.status, killed.stderr).to.equal(0);

        // Every name leads to a whole image.
        const store = await ImageStore.open(folder);
        for (const { descriptor } of store.list()) expect(store.missingPart(descriptor)).to.equal(undefined);
        store.release();
        const isThere = store.list().some(({ reference }) => reference === 'docker.io/library/linux:1');
        if (name !== 'rmi') expect(isThere).to.equal(true);
        if (isThere) {
          const run = await host.runnc(['run', '--store', folder, '--rm', '--pull=never', 'linux:1']);
          expect(run.stdout, run.stderr).to.equal('from the image\n');
        }

        // The same again works, and leaves nothing of what was killed.
        const again = await host.runnc(args());
        expect(again.status, again.stderr).to.be.oneOf(name === 'rmi' ? [0, 1] : [0]);
        for (const { reference } of store.list()) await store.untag(reference ?? '');
        await host.runnc(['rmi', '--force', '--store', folder, 'nothing']);
        for (const inside of [
          'tmp',
          'leases',
          'blobs/sha256',
          'unpacked/tmp',
          'unpacked/entries',
          'unpacked/building',
          'containers',
        ]) {
          const path = join(folder, inside);
          expect(existsSync(path) ? readdirSync(path) : [], inside).to.deep.equal([]);
        }
        if (name === 'run') {
          expect(readdirSync(join(folder, 'volumes'))).to.have.members(['.lock', 'named']);
          expect(readdirSync(join(folder, 'volumes/named'))).to.include.members(['motd', 'layer']);
        }
      });
    }
  }

  it('reached every step', () => {
    expect([...seen].sort()).to.deep.equal([...imageSteps].sort());
  });
});
