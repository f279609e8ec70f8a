/** How programs begin and end: exit statuses, and argument lists up to what Linux takes. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree } from './guest.ts';

const source = join(dirname(fileURLToPath(import.meta.url)), 'programs/endings.c');

const ways: readonly string[] = [
  ...['return', 'quick', 'thread', 'main-first'],
  ...['signals-to-process-1', 'blocked-signals-to-process-1', 'fault-of-process-1', 'abort-of-process-1'],
  ...['small-limits', 'many-arguments'],
  ...['long-argument', 'too-long-argument', 'too-many-arguments'],
];

describe('a program in the Linux guest begins and ends as on Linux', function () {
  this.timeout(120_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    for (const folder of ['bin', 'box', 'proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder));
    execFileSync('gcc', ['-O1', '-static', '-o', join(tree.folder, 'bin/endings'), source, '-lpthread']);
    tree.makeImage();
  });
  after(() => tree.remove());

  for (const way of ways) {
    it(way.replaceAll('-', ' '), async () => {
      const native = await tree.native(['/bin/endings', way]);
      const guest = await tree.guest(['/bin/endings', way]);
      expect(guest.stdout, guest.stderr).to.equal(native.stdout);
      expect(guest.status, guest.stderr).to.equal(native.status);
    });
  }

  // unshare(1), which starts the program natively, does not hand this end on.
  it('is killed at its limit of CPU time, process 1 or not', async () => {
    expect((await tree.guest(['/bin/endings', 'time-limit-of-process-1'])).status).to.equal(137);
  });
});
