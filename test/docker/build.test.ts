/**
 * Dockerfiles built by us and by a real dockerd, by its BuildKit, and by its classic builder where the two differ most: the
 * same files and settings. test/long/builders.ts compares the rest with the classic one.
 */
import type { Builders } from '../support/builders.ts';
import { expectSame, shapes, startBuilders } from '../support/build-shapes.ts';

describe('building images, beside dockerd', function () {
  this.timeout(120_000);
  let builders: Builders;

  before(async () => (builders = await startBuilders()));
  after(() => builders.stop());

  for (const shape of shapes) {
    for (const builder of shape.builders ?? (['classic', 'buildkit'] as const)) {
      if (builder === 'classic' && shape.differs !== true) continue;
      it(`${shape.name}: as ${builder}`, () => expectSame(builders, shape, builder));
    }
  }
});
