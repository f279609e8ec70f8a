/**
 * The end of a container's memory, inside: who wants more than there is is killed there, by the guest kernel, and
 * nobody else; and no more is held against a program than it may have touched.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree, type Outcome, type RunOptions } from './guest.ts';

const source = join(dirname(fileURLToPath(import.meta.url)), 'programs/memory-limit.c');
const LIMIT = 64n << 20n;
const KILLED = 137;

/** Those that go to their end, with whom they may have killed on the way. */
const living: readonly string[] = [
  'as_much_as_there_is',
  'the_child_alone_dies',
  'a_reservation_costs_what_is_touched',
  'reading_costs_nothing',
  'hardly_used_pieces',
  'what_is_given_back_can_be_had_again',
  'grows_by_moving',
  'copies_for_a_child_count',
  'many_want_much',
  'files_fill_memory',
  'the_stack_grows',
  'calls_find_it_open',
  'shared_files',
  'the_one_that_says_so_dies',
  'accounts_agree',
  'random_work',
];
const dying: readonly string[] = ['too_much', 'allocates_in_a_loop', 'deep_in_little_memory'];

describe('the memory of a container', function () {
  this.timeout(120_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    for (const folder of ['bin', 'box', 'proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder));
    execFileSync('gcc', ['-O1', '-static', '-w', '-o', join(tree.folder, 'bin/memory-limit'), source]);
    tree.makeImage();
  });
  after(() => tree.remove());

  const run = (way: string, options: RunOptions = {}): Promise<Outcome> =>
    tree.guest(['/bin/memory-limit', way], {
      stdin: 'x'.repeat(400_000),
      ...options,
      config: { memoryBytes: LIMIT },
    });

  for (const way of living) {
    it(`is enough: ${way.replaceAll('_', ' ')}`, async () => {
      const { stdout, stderr, status } = await run(way);
      expect(stdout, stderr).to.equal('done\n');
      expect(status, stderr).to.equal(0);
    });
  }

  for (const way of dying) {
    it(`is not enough: ${way.replaceAll('_', ' ')}`, async () => {
      const { stdout, stderr, status } = await run(way);
      expect(stdout).to.equal('');
      expect(stderr).to.match(
        /^linux: out of memory: killed process 1 \(memory-limit\), which holds \d+ KiB\n$/,
      );
      expect(status).to.equal(KILLED);
    });
  }

  it('is refused beforehand where touching it is not seen: strict profile', async () => {
    const { stdout, stderr } = await run('refused_at_once', { strict: true });
    expect(stdout, stderr).to.equal('done\n');
  });
});
