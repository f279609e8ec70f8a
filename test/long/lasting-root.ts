/** Random lives of a container's root under runc and runnc: Docker must have the same of both. SEEDS and FIRST choose. */
import { expect } from 'chai';
import { live, type Life, makePlaces, PLACES, PLACES_IMAGE } from '../docker/lives.ts';
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

  it('keeps 100,000 files, and folders 400 deep, for the host and the next start', async () => {
    const make = [
      'for my $d (1 .. 1000) { mkdir "/many/$d" or die $!;',
      'for my $f (1 .. 100) { open my $h, ">", "/many/$d/$f" or die "$d/$f: $!"; print $h $d * $f; close $h or die $! } }',
      'my $deep = "/many/deep"; for (1 .. 400) { mkdir $deep or die $!; $deep .= "/d" } open my $h, ">", $deep or die $!; print $h "down"',
    ].join(' ');
    const count =
      'my ($n, $sum) = (0, 0); for my $d (1 .. 1000) { for my $f (1 .. 100) { open my $h, "<", "/many/$d/$f" or die $!; $n++; $sum += <$h> } }';
    const script = `if [ ! -e /many ]; then mkdir /many && perl -e '${make}'; fi; perl -e '${count} print "$n $sum\\n"'; cat /many/deep/$(perl -e 'print "d/" x 400' | head -c 799)`;
    const id = await docker.docker('create', '--network=none', PLACES_IMAGE, 'sh', '-c', script);
    const said = '100000 2527525000\ndown';
    for (let starts = 0; starts < 2; starts++)
      expect(await docker.try(['start', '--attach', id], { timeoutMs: 900_000 })).to.deep.equal({
        status: 0,
        stdout: said,
        stderr: '',
      });
    const diff = (await docker.docker('diff', id)).split('\n');
    expect(diff.filter((line) => line.startsWith('A /many/'))).to.have.lengthOf(100_000 + 1000 + 400 + 1);
  });
});
