/**
 * Random host calls from inside a guest against a model of the filter: what the model allows comes back, all else
 * ends the guest by SIGSYS. CALLS sets how many, SEED where to begin.
 */
import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dist, scratchFolder, Tender, unikernel } from '../unikernels/guest.ts';
import { withTaps } from '../unikernels/network.ts';

const CALLS = Number(process.env['CALLS'] ?? 20_000);
const SEED = Number(process.env['SEED'] ?? 1);

const BLOCK = 512;
const BLOCKS = 8;
const LAST_OFFSET = (BLOCKS - 1) * BLOCK;
const LAST_NUMBER = 500;
/** uretprobe and uprobe pass every filter by the kernel's own design. */
const UNFILTERED = [335, 336];

type Fate = 'returned' | 'exited' | 'SIGSYS';

/** The words of the syscall probe: number and six arguments. */
type Call = readonly string[];

/** What must become of a call of a plain guest with one network and one block device. */
function predict([nr = '', a = '', b = '', c = '', d = '', e = '']: Call): Fate {
  const fate = (allowed: boolean): Fate => (allowed ? 'returned' : 'SIGSYS');
  switch (Number(nr)) {
    case 0:
      return fate(a === 'fd:net');
    case 1:
      return fate(['1', '2', 'fd:net'].includes(a));
    case 17:
    case 18:
      return fate(a === 'fd:disk' && c === String(BLOCK) && /^\d+$/.test(d) && Number(d) <= LAST_OFFSET);
    case 158:
      return fate(a === '0x1002');
    case 228:
      return fate(a === '0' || a === '1');
    case 231:
      return 'exited';
    case 281:
      return fate(a === 'epoll' && e === '0');
    case 286:
      return fate(a === 'timer' && b === '1' && d === '0');
    default:
      return 'SIGSYS';
  }
}

describe('random host calls', () => {
  const { namespace } = withTaps();
  const folder = scratchFolder();
  const tender = new Tender(join(dist, 'tender-spt'));
  const disk = join(folder, 'disk');
  const kernel = unikernel('syscalldev');

  it(`${CALLS} of them meet the fate that the table says`, () => {
    writeFileSync(disk, Buffer.alloc(BLOCKS * BLOCK));
    const options = ['--mem=2', '--net:net=left', `--block:disk=${disk}`];
    const random = generator(SEED);
    const counts = new Map<Fate, number>();
    for (let i = 0; i < CALLS; i++) {
      const call = randomCall(random);
      const expected = predict(call);
      const { end, stdout } = tender.run({
        within: namespace.enter,
        options,
        kernel,
        args: ['syscall', ...call],
      });
      const returned = /returned -?\d+\n$/.test(stdout.toString('latin1'));
      const fate = end === 0 && returned ? 'returned' : typeof end === 'number' && !returned ? 'exited' : end;
      expect(fate, `seed ${SEED}, call ${i}: ${call.join(' ')}`).to.equal(expected);
      counts.set(expected, (counts.get(expected) ?? 0) + 1);
    }
    console.log(`      ${[...counts].map(([fate, count]) => `${count} ${fate}`).join(', ')}`);
  });
});

type Random = (limit: number) => number;

/** Numerical Recipes' linear congruential generator: the same calls for the same seed. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/* Every second call has a number of the table, and most arguments are ones that some rule knows. No length is beyond
 * the probe's buffer, no wait has no end. */
function randomCall(random: Random): Call {
  const pick = <T>(list: readonly [T, ...T[]]): T => list[random(list.length)] ?? list[0];
  const descriptors = [
    'fd:net',
    'fd:disk',
    'epoll',
    'timer',
    '0',
    '1',
    '2',
    '3',
    '-1',
    '0x100000001',
  ] as const;
  let number = random(2) === 0 ? pick([0, 1, 17, 18, 158, 228, 231, 281, 286]) : random(LAST_NUMBER + 1);
  if (UNFILTERED.includes(number)) number = 39;
  const first = pick([...descriptors, '0x1002', '0x1003']);
  const buffer = pick(['buffer', 'buffer', '1', '0']);
  const third = pick([String(BLOCK), String(BLOCK), '0', '1024', 'buffer']);
  const offset = pick(['0', '1', String(LAST_OFFSET), String(LAST_OFFSET + 1), '-512', '0x8000000000000000']);
  const fifth = pick(['0', '0', 'buffer']);
  switch (number) {
    case 281:
      return [`${number}`, first, 'buffer', '1', '0', fifth, '8'];
    case 286:
      return [`${number}`, first, pick(['0', '1', '1', '3']), 'buffer', pick(['0', '0', 'buffer'])];
    case 17:
    case 18:
      return [`${number}`, pick(['fd:disk', first]), buffer, third, offset];
    default:
      return [`${number}`, first, buffer, third === 'buffer' ? '0' : third, offset, fifth];
  }
}
