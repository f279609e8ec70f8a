/** What changes in the root of a Linux guest changes in the bundle's rootfs. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type Draft, Playground, type Result } from '../support/bundle.ts';

const CHANGES = join(import.meta.dirname, 'changes.pl');
const PERL = '/usr/lib/x86_64-linux-gnu/perl-base';
const COUNT = 1500;

describe('a root that is written', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  beforeEach(() => {
    host = new Playground();
    rootfs = new Rootfs();
    rootfs.add('/usr/bin/perl');
    cpSync(PERL, rootfs.path(PERL), { recursive: true });
    copyFileSync(CHANGES, rootfs.path('/changes.pl'));
  });
  afterEach(async () => {
    rootfs.remove();
    await host.close();
  });

  const run = (words: readonly string[], change: (spec: Draft) => void = () => undefined): Promise<Result> =>
    host.runnc([
      'run',
      '-b',
      rootfs.bundle(host, [...words], (spec) => {
        spec.root = { path: rootfs.folder, readonly: false };
        spec.annotations = {};
        spec.process.env = ['PATH=/usr/bin'];
        change(spec);
      }),
      'lasting',
    ]);
  const perl = (...words: readonly string[]): readonly string[] => ['/usr/bin/perl', '/changes.pl', ...words];
  const shell = (script: string): readonly string[] => ['/bin/busybox', 'sh', '-c', script];

  for (const seed of [1, 2, 3]) {
    it(`is on the host what it was in the guest after random changes, and again at the next start: seed ${seed}`, async () => {
      mkdirSync(rootfs.path('/work'));
      execFileSync('perl', [CHANGES, 'change', '99', '300', rootfs.path('/work')]);
      const script = `/usr/bin/perl /changes.pl change ${seed} ${COUNT} /work && /usr/bin/perl /changes.pl list /work`;
      const said = await run(shell(script));
      expect(said.stderr).to.equal('');
      expect(said.status).to.equal(0);
      expect(said.stdout.split('\n').length).to.be.greaterThan(200);
      const kept = execFileSync('perl', [CHANGES, 'list', rootfs.path('/work')], { encoding: 'utf8' });
      expect(kept.split('\n')).to.deep.equal(said.stdout.split('\n'));
      expect(await run(perl('list', '/work'))).to.deep.equal(said);
    });
  }
});
