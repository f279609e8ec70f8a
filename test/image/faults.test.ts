/** kill -9 at every step of the store's work: what is there is whole, what was begun is gone after the next prune. */
import { expect } from 'chai';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { imageSteps } from '../../src/fault.ts';
import { ImageStore } from '../../src/image/store.ts';
import { Playground } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { TestRegistry } from '../support/registry.ts';

type Step = (typeof imageSteps)[number];

describe('the image store, killed', function () {
  this.timeout(120_000);
  const host = new Playground();
  const folder = join(host.folder, 'images');
  const archives = [join(host.folder, 'one.tar'), join(host.folder, 'two.tar')] as const;
  const saved = join(host.folder, 'saved.tar');
  let registry: TestRegistry;
  const seen = new Set<Step>();

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

  const placing = ['blob-written', 'blob-placed', 'index-written', 'index-replaced'] as const;
  const verbs: Readonly<
    Record<string, { readonly steps: readonly Step[]; readonly args: (step: Step) => readonly string[] }>
  > = {
    load: { steps: [...placing, 'blob-removed'], args: () => ['load', '--store', folder, '-i', archives[1]] },
    pull: { steps: placing, args: () => ['pull', '--store', folder, `${registry.host}/linux:1`] },
    run: {
      steps: ['layer-unpacked', 'image-unpacked', 'rootfs-placed', 'volume-filled'],
      args: () => [
        ...['run', '--store', folder, '--rm', '--pull=never', '-v', 'named:/etc', '-v', '/root', 'linux:1'],
      ],
    },
    tag: {
      steps: ['index-written', 'index-replaced'],
      args: () => ['tag', '--store', folder, 'linux:1', 'other'],
    },
    rmi: {
      steps: ['index-written', 'index-replaced', 'blob-removed'],
      args: () => ['rmi', '--store', folder, 'linux:1'],
    },
    push: {
      steps: ['blob-pushed', 'manifest-pushed'],
      args: (step) => ['push', '--store', folder, 'linux:1', `${registry.host}/${step}:1`],
    },
    save: {
      steps: ['archive-written'],
      args: () => ['save', '--store', folder, '--output', saved, 'linux:1'],
    },
  };

  for (const [name, { steps, args }] of Object.entries(verbs)) {
    for (const step of steps) {
      it(`${name} at ${step}`, async () => {
        rmSync(folder, { recursive: true, force: true });
        expect((await host.runnc(['load', '--store', folder, '-i', archives[0]])).status).to.equal(0);
        const env = { ...process.env, RUNNC_FAULT: `runtime:${step}` };
        const killed = await host.runnc(args(step), { env });
        expect(killed.status, killed.stderr).to.equal(137);
        seen.add(step);
        if (name === 'save') expect(existsSync(saved)).to.equal(false);
        if (name === 'push') await expectWholeThere(`${registry.host}/${step}:1`, step === 'manifest-pushed');

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
        const again = await host.runnc(args(step));
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
        if (name === 'push') await expectWholeThere(`${registry.host}/${step}:1`, true);
        if (name === 'save') {
          const other = join(host.folder, 'loaded');
          expect((await host.runnc(['load', '--store', other, '-i', saved])).stdout).to.contain('linux:1');
        }
        if (name === 'run') {
          expect(readdirSync(join(folder, 'volumes'))).to.have.members(['.lock', 'named']);
          expect(readdirSync(join(folder, 'volumes/named'))).to.include.members(['motd', 'layer']);
        }
      });
    }
  }

  /** The registry has the image under that name and gives all of it, or nothing. */
  async function expectWholeThere(name: string, isThere: boolean): Promise<void> {
    const other = join(host.folder, 'whole');
    rmSync(other, { recursive: true, force: true });
    const { status, stderr } = await host.runnc(['pull', '--store', other, name]);
    if (isThere) expect(status, stderr).to.equal(0);
    else expect(stderr).to.match(/manifest 1 does not exist/);
  }

  it('reached every step', () => {
    expect([...seen].sort()).to.deep.equal([...imageSteps].sort());
  });
});
