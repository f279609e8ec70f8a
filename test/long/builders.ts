/** Every shape of a Dockerfile beside dockerd's classic builder; a context of 300 MB beside both. */
import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Builder, Builders } from '../support/builders.ts';
import { expectSame, shapes, startBuilders } from '../support/build-shapes.ts';

describe("dockerd's classic builder", () => {
  let builders: Builders;

  before(async () => (builders = await startBuilders()));
  after(() => builders.stop());

  for (const shape of shapes) {
    if (shape.builders?.includes('classic') === false) continue;
    it(shape.name, () => expectSame(builders, shape, 'classic'));
  }
});

describe('a context of 300 MB', () => {
  let builders: Builders;

  before(async () => {
    builders = await Builders.start();
    fill(builders.context);
  });
  after(() => builders.stop());

  const lines = [
    'FROM scratch',
    'COPY . /all/',
    'COPY large/0 large/1 /some/',
    'COPY --chown=5:6 small/*7 /texts/',
  ];

  for (const builder of ['classic', 'buildkit'] as const satisfies readonly Builder[]) {
    it(`becomes the same files as with ${builder}`, async () => {
      const dockerfile = join(builders.folder, 'Dockerfile');
      writeFileSync(dockerfile, `${lines.join('\n')}\n`);
      const theirs = await builders.docker(builder, dockerfile);
      const ours = await builders.runnc(dockerfile);
      expect(Object.keys(ours.files)).to.have.length.above(2000);
      expect(ours.files).to.deep.equal(theirs.files);
    });
  }

  it('is built again from memory', async () => {
    const dockerfile = join(builders.folder, 'Dockerfile');
    const { stderr } = await builders.tryRunnc(dockerfile);
    expect(stderr.match(/CACHED/g)).to.have.length(3);
  });
});

/** 290 MB in six files, half of it not to be compressed, and 2000 small ones. */
function fill(context: string): void {
  mkdirSync(join(context, 'large'));
  for (let i = 0; i < 6; i++) {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const part = Buffer.concat([noise, Buffer.alloc(65_536, i)]);
    writeFileSync(join(context, 'large', String(i)), Buffer.concat(Array.from({ length: 384 }, () => part)));
  }
  for (let i = 0; i < 2000; i++) {
    const folder = join(context, 'small', String(i % 40));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file${String(i)}`), `${String(i)}\n`.repeat(i));
    if (i % 10 === 7) writeFileSync(join(context, 'small', `text${String(i)}`), String(i));
  }
}
