/**
 * The conformance suite of the Linux guest: programs of small cases (cases/*.c), compiled once each, run natively
 * and in the guest. What a case says must be the same line for line: native is the oracle.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fillData } from './data.ts';
import { Tree, type Outcome, type RunOptions } from './guest.ts';

const sources = join(dirname(fileURLToPath(import.meta.url)), 'cases');

/**
 * Cases that are known to differ, and why. One that no longer does must be taken off: its test fails until then.
 * Names are "program/case".
 */
const KNOWN_TO_DIFFER: Readonly<Record<string, string>> = {
  'mapping/fixed_over_a_file':
    'there is one address space: a page of a shared mapping cannot be at two places',
  'mapping/duplicate_shared':
    'there is one address space: a page of a shared mapping cannot be at two places',
  'mapping/punch_by_advice': 'MADV_REMOVE is not there yet: EINVAL',
  'futexes/wait_for_several': 'futex_waitv is not there: ENOSYS, as on Linux before 5.16',
  'futexes/priority_inheritance': 'no priority inheritance: ENOSYS, as where Linux is built without it',
  'identity/limit_of_locked_memory': 'locking is accepted and not accounted: there is no swap',
};

/** Under the strict profile memory has no protection but what the tender left behind: these need to fault. */
const NEED_CLOSED_MEMORY: readonly string[] = [
  ...['map_anonymous', 'map_shared_readonly_written', 'protection', 'bad_pointers', 'remapping'].map(
    inProgram('memory'),
  ),
  ...['big_reservation', 'execute_written_code'].map(inProgram('memory')),
  ...['unmap_across_holes', 'shared_anonymous', 'the_file_s_last_page', 'truncated_under_a_mapping'].map(
    inProgram('mapping'),
  ),
  ...['grown_under_a_mapping', 'reservation_filled_in_parts', 'move_onto_something'].map(
    inProgram('mapping'),
  ),
  ...['remap_a_file', 'protect_across_a_hole', 'fence_of_guard_pages', 'break_and_fault'].map(
    inProgram('mapping'),
  ),
  ...['protect_behind_the_end', 'privately_mapped_and_grown'].map(inProgram('mapping')),
  ...['access_faults', 'execution_faults', 'file_ends', 'repaired_and_repeated'].map(inProgram('faults')),
  'faults/thread_s_stack_overflow', // it faults, in what is no mapping of its own
  ...['protections_are_each_ones_own', 'a_write_that_is_not_allowed_still_faults', 'write_barriers'].map(
    inProgram('forks'),
  ),
];

interface Program {
  readonly name: string;
  readonly source: string;
  readonly compiler: 'gcc' | 'musl-gcc';
}

const glibc = [
  ...['path', 'data', 'events', 'access', 'files', 'watch', 'unix', 'inet', 'pty', 'proc', 'random'],
  ...['memory', 'mapping', 'threads', 'pthreads', 'futexes', 'signals', 'queues', 'faults'],
  ...['forks', 'processes', 'ipc', 'mqueue'],
  ...['system', 'timers', 'identity'],
];
const musl = ['path', 'data', 'events', 'inet', 'threads', 'signals', 'forks'];
const programs: readonly Program[] = [
  ...glibc.map((source): Program => ({ name: source, source, compiler: 'gcc' })),
  ...musl.map((source): Program => ({ name: `${source}-musl`, source, compiler: 'musl-gcc' })),
];

/** Ways to run a program in the guest, and what is run in each of them (all of it, where nothing is said). */
interface Variant {
  readonly label: string;
  readonly options: RunOptions;
  readonly programs?: readonly string[];
}

const variants: readonly Variant[] = [
  { label: '', options: {} },
  {
    label: ', strict profile',
    options: { strict: true },
    programs: ['memory', 'mapping', 'threads', 'faults', 'forks', 'ipc'],
  },
  {
    // Most of what they map is opened by its first touch.
    label: ', in a small container',
    options: { config: { memoryBytes: 64n << 20n } },
    programs: ['memory', 'mapping', 'faults', 'forks', 'processes'],
  },
  {
    label: ', a processor without FSGSBASE',
    options: { tender: ['--x-no-fsgsbase'] },
    programs: ['threads', 'threads-musl'],
  },
];

/** The names in a program's table, in order. */
function casesOf(source: string): readonly string[] {
  const text = fs.readFileSync(join(sources, `${source}.c`), 'utf8');
  const table = text.slice(text.indexOf('const struct test_case cases[]'));
  return [...table.matchAll(/CASE\((\w+)\)/g)].map((match) => match[1] ?? '');
}

function saidBy(outcome: Outcome, name: string): readonly string[] {
  return outcome.stdout.split('\n').filter((line) => line.startsWith(`${name}| `));
}

function build(tree: Tree): void {
  for (const folder of ['bin', 'box', 'tmp', 'proc', 'dev', 'sys']) {
    fs.mkdirSync(join(tree.folder, folder), { recursive: true });
  }
  fillData(join(tree.folder, 'data'));
  // Cases of random.c change a copy each.
  for (const seed of casesOf('random')) fillData(join(tree.folder, 'data', seed.replace('seed_', '')));
  for (const program of programs) {
    const output = join(tree.folder, 'bin', program.name);
    // Cases pass what no sane program passes: warnings about that are silenced, not the cases.
    const flags = ['-O1', '-static', '-w'];
    // The kernel's headers, behind musl's own.
    if (program.compiler === 'musl-gcc') {
      flags.push('-idirafter', '/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu');
    }
    execFileSync(program.compiler, [
      ...flags,
      '-o',
      output,
      join(sources, `${program.source}.c`),
      '-lpthread',
      '-lm',
    ]);
  }
  tree.makeImage();
}

describe('the Linux guest does what Linux does', function () {
  this.timeout(300_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    build(tree);
  });
  after(() => tree.remove());

  const natives = new Map<string, Promise<Outcome>>();
  const native = (path: string): Promise<Outcome> => {
    const run = natives.get(path) ?? tree.native([path]);
    natives.set(path, run);
    return run;
  };

  for (const { program, label, options } of variants.flatMap((variant) =>
    programs
      .filter(({ name }) => variant.programs?.includes(name) !== false)
      .map((program) => ({ ...variant, program })),
  )) {
    describe(`${program.source}.c, ${program.compiler}${label}`, () => {
      let oracle: Outcome;
      let guest: Outcome;

      before(async () => {
        oracle = await native(`/bin/${program.name}`);
        guest = await tree.guest([`/bin/${program.name}`], options);
      });

      for (const name of casesOf(program.source)) {
        it(name.replaceAll('_', ' '), () => {
          const expected = saidBy(oracle, name);
          const said = saidBy(guest, name);
          expect(expected.at(-1), `native: ${oracle.stderr}`).to.equal(`${name}| ends`);
          const reason = reasonToDiffer(`${program.name}/${name}`, options.strict === true);
          if (reason === undefined) expect(said, guest.stderr).to.deep.equal(expected);
          else
            expect(said, `no longer differs (${reason}): take it off the list`).not.to.deep.equal(expected);
        });
      }

      it('ends as it does natively', () => {
        expect(oracle.status, oracle.stderr).to.equal(0);
        expect(guest.status, guest.stderr).to.equal(0);
      });
    });
  }
});

function inProgram(program: string): (name: string) => string {
  return (name) => `${program}/${name}`;
}

function reasonToDiffer(name: string, strict: boolean): string | undefined {
  return (
    KNOWN_TO_DIFFER[name] ?? (strict && NEED_CLOSED_MEMORY.includes(name) ? 'it needs to fault' : undefined)
  );
}
