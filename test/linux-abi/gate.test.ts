/** Hostile code in the guest can reach the kernel's gate; nothing but the tender's filter stands behind it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { Tree } from './guest.ts';

const HIGHEST = 479;
const AT_ONCE = 4;
/** write, mprotect, clock_gettime and madvise come back from these arguments; exit_group ends with status 1. */
const ALLOWED = [1, 10, 228];
const EXIT_GROUP = 231;
/** uretprobe and uprobe pass every filter since Linux 6.14 and 6.18, by the host kernel's design. */
const BEYOND_FILTERS = [335, 336];
const KILLED_BY_SIGSYS = 128 + 31;

/** dist/linux.spt before it was stripped. */
const withSymbols = join(import.meta.dirname, '../../build/obj/linux/linux.debug');

function gateAddress(): string {
  const symbols = execFileSync('nm', [withSymbols], { encoding: 'utf8' });
  const line = symbols.split('\n').find((entry) => entry.endsWith(' host_call'));
  return line?.split(' ')[0] ?? '';
}

describe('a program that jumps to the guest kernel’s gate', function () {
  this.timeout(120_000);
  const tree = new Tree();

  before(() => {
    const source = join(import.meta.dirname, 'gate.c');
    execFileSync('gcc', ['-O1', '-static', '-o', join(tree.folder, 'gate'), source]);
    tree.makeImage();
  });

  after(() => {
    tree.remove();
  });

  it('is killed for every host call but those of the table', async () => {
    const address = gateAddress();
    expect(address).to.match(/^[0-9a-f]{16}$/);
    const numbers = Array.from({ length: HIGHEST + 1 }, (_, nr) => nr).filter(
      (nr) => !BEYOND_FILTERS.includes(nr),
    );
    const survived: number[] = [];
    const worker = async (): Promise<void> => {
      for (let nr = numbers.shift(); nr !== undefined; nr = numbers.shift()) {
        const { status, stdout } = await tree.guest(['/gate', address, String(nr)]);
        expect(stdout, `number ${String(nr)} was tried`).to.match(/^before\n/);
        if (status !== KILLED_BY_SIGSYS) survived.push(nr);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(survived.sort((a, b) => a - b)).to.deep.equal([...ALLOWED, EXIT_GROUP]);
  });
});
