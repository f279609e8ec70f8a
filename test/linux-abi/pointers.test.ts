/** Pointers into the guest kernel, which lives in its programs' address space, get the answer that Linux gives to its own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { GUEST_MEMORY_BYTES, Tree } from './guest.ts';

/** Of Linux itself, on x86-64. */
const LINUX = 'ffffffff81000000';
/** Where the tender leaves it: GUEST_BOOT_INFO. */
const BOOT_INFO = '11000';
/** dist/linux.spt before it was stripped. */
const withSymbols = join(import.meta.dirname, '../../build/obj/linux/linux.debug');

describe('a program that hands the guest kernel pointers to the kernel', function () {
  this.timeout(120_000);
  const tree = new Tree();
  const symbols = new Map<string, string>();

  before(() => {
    for (const folder of ['bin', 'box', 'proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder));
    for (const program of ['pointers', 'touch']) {
      const source = join(import.meta.dirname, `programs/${program}.c`);
      execFileSync('gcc', ['-O1', '-static', '-w', '-o', join(tree.folder, 'bin', program), source]);
    }
    tree.makeImage();
    for (const line of execFileSync('nm', [withSymbols], { encoding: 'utf8' }).split('\n')) {
      const [address = '', , name = ''] = line.split(' ');
      symbols.set(name, address);
    }
  });
  after(() => {
    tree.remove();
  });

  it('cannot write to its code and constants, nor touch the closed pages around its memory', async () => {
    const at = (symbol: string, bytes = 0): string =>
      (parseInt(symbols.get(symbol) ?? '', 16) + bytes).toString(16);
    // What the tender protects before it goes, and what the kernel closes where it may.
    const places = [
      [at('kernel_start'), 'r-', 'r-'],
      [at('gate_start'), 'r-', 'r-'],
      [at('fixups_start'), 'r-', 'r-'],
      [at('kernel_end', 4096), '--', 'rw'],
      [at('signal_stack', -8), '--', 'rw'],
      [BOOT_INFO, 'r-', 'rw'],
      [(GUEST_MEMORY_BYTES - 8).toString(16), '--', 'rw'],
      ['0', '--', '--'],
    ] as const;
    const words = ['/bin/touch', ...places.map(([address]) => address)];
    const lines = async (strict: boolean): Promise<readonly string[]> =>
      (await tree.guest(words, { strict })).stdout.trim().split('\n');
    expect(await lines(false)).to.deep.equal(places.map(([, normal]) => normal));
    expect(await lines(true)).to.deep.equal(places.map(([, , strict]) => strict));
  });

  for (const [profile, options] of [
    ['default', {}],
    ['strict', { strict: true }],
  ] as const) {
    // The stack that the kernel started on is not used any more, and a program can write there: so a change shows.
    for (const [what, symbol, words] of [
      ['data', 'boot_stack', ['filled']],
      ['code', 'kernel_start', []],
    ] as const) {
      it(`has the errors of Linux and changes nothing: ${what}, ${profile} profile`, async () => {
        const address = symbols.get(symbol) ?? '';
        expect(address).to.match(/^[0-9a-f]{16}$/);
        const native = await tree.native(['/bin/pointers', LINUX]);
        const guest = await tree.guest(['/bin/pointers', address, ...words], options);
        expect(native.stdout).to.contain('done');
        expect(guest.stdout.split('\n'), guest.stderr).to.deep.equal(native.stdout.split('\n'));
      });
    }
  }
});
