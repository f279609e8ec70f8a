/** Random lives of a container's root under runc and runnc: Docker must have the same of both. SEEDS and FIRST choose. */
import { expect } from 'chai';
import { live, type Life, makePlaces, PLACES } from '../docker/lives.ts';
import { Dockerd } from '../support/dockerd.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 200);
const FIRST = Number(process.env['FIRST'] ?? 1);
const OPERATIONS = 400;

describe('a root that is written under runnc', () => {
  let docker: Dockerd;

  before(async () => {
    docker = await Dockerd.start();
    await makePlaces(docker);
  });
  afterEach(() => docker.removeAll());
  after(() => docker.stop());

  for (let first = FIRST; first < FIRST + SEEDS; first += PLACES) {
    const seeds = Array.from({ length: Math.min(PLACES, FIRST + SEEDS - first) }, (_, i) => first + i);
    it(`is what it is under runc: seeds ${String(first)} to ${String(seeds.at(-1))}`, async () => {
      const lives: Life[] = [];
      for (const runtime of ['runc', 'runnc'])
        lives.push((await live(docker, runtime, seeds, OPERATIONS)).life);
      const [theirs, ours] = lives;
      for (const part of ['said', 'exported', 'diff', 'layer'] as const)
        expect(ours?.[part], part).to.deep.equal(theirs?.[part]);
      expect(ours?.said.length).to.be.greaterThan(seeds.length * 100);
    });
  }
});
