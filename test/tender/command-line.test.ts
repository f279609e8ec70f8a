/** solo5-spt's command line, and the ways a run can end. */
import { expect } from 'chai';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { buildPlainGuest, expectRefusal, tender } from './test-guest.ts';

const CMDLINE_MAX = 8191;

describe('the command line of the tender', () => {
  const folder = scratchFolder();
  let guest: string;
  before(() => {
    guest = buildPlainGuest(folder);
  });

  it('prints help and version', () => {
    const help = tender(['--help']);
    expect(help.stdout.toString()).to.match(/^usage: tender-spt/);
    for (const option of ['--mem', '--net', '--net-mac', '--block', '--block-sector-size', '--x-exec-heap'])
      expect(help.stdout.toString()).to.include(`\n  ${option}`);
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(tender(['--version']).stdout.toString()).to.equal(`tender-spt ${version}\nABI version 2\n`);
    expect([help.end, tender(['--version']).end]).to.deep.equal([0, 0]);
  });

  it('refuses what is no command line', () => {
    expectRefusal(tender([]), 'no KERNEL given; see tender-spt --help');
    expectRefusal(tender(['--mem=2', '--']), 'no KERNEL given');
    expectRefusal(tender(['--bogus', guest]), 'unknown option --bogus; see tender-spt --help');
    expectRefusal(tender(['--mem', '2', guest]), '2: No such file or directory');
    expectRefusal(tender(['--x-exec-heap=1', guest]), 'unknown option --x-exec-heap=1');
  });

  it('passes everything behind the kernel to the guest', () => {
    const words = ['args', '--help', '--', '--mem=1', 'a  b', ''];
    expect(tender([guest, ...words]).stdout.toString()).to.equal('--help -- --mem=1 a  b ');
    expect(tender(['--', guest, 'args', 'x']).stdout.toString()).to.equal('x');
  });

  it(`takes guest arguments of ${CMDLINE_MAX} bytes and no more`, () => {
    const words = (bytes: number): string[] => ['args', 'x'.repeat(bytes - 'args '.length)];
    const most = tender([guest, ...words(CMDLINE_MAX)]);
    expect(most.stdout.length).to.equal(CMDLINE_MAX - 'args '.length);
    expectRefusal(tender([guest, ...words(CMDLINE_MAX + 1)]), "the guest's arguments exceed 8191 bytes");
    expectRefusal(tender([guest, ...Array<string>(5000).fill('xx')]), 'exceed 8191 bytes');
  });

  for (const mem of ['0', '-1', '1.5', '2k', '', ' 2', '65537', '18446744073709551616', '17592186044416'])
    it(`refuses --mem=${mem}`, () => {
      expectRefusal(
        tender([`--mem=${mem}`, guest]),
        `--mem=${mem}: expected a number of MiB from 1 to 65536`,
      );
    });

  it('gives the guest as much memory as it says, up to 64 GiB', () => {
    for (const mib of [2, 65536])
      expect(tender([`--mem=${mib}`, guest, 'info']).stdout.toString()).to.include(
        `mem_size=${mib * 2 ** 20}\n`,
      );
    expect(tender([guest, 'info']).stdout.toString()).to.include(`mem_size=${512 * 2 ** 20}\n`);
  });

  it('runs a kernel from a descriptor', () => {
    const fd = openSync(guest, 'r');
    const run = tender(['@3', 'args', 'hello'], { stdio: ['ignore', 'pipe', 'pipe', fd] });
    closeSync(fd);
    expect(run.stdout.toString(), run.stderr).to.equal('hello');
    expectRefusal(tender(['@7']), 'kernel: descriptor 7 is not open');
  });

  it('executes heap only with --x-exec-heap, and warns', () => {
    expect(tender([guest, 'execute']).end).to.equal('SIGSEGV');
    const run = tender(['--x-exec-heap', guest, 'execute']);
    expect(run.stdout.toString()).to.equal('executed\n');
    expect(run.stderr).to.match(
      /^tender-spt: --x-exec-heap makes heap and stack of the guest executable[^\n]*\n$/,
    );
  });

  describe('ends', () => {
    it('with the status of the guest', () => {
      for (const status of [0, 1, 77, 255])
        expect(tender([guest, 'exit', String(status)]).end).to.equal(status);
    });

    for (const status of [256, 257, 65536, 4294967295])
      it(`with 255 and one line where a guest says ${status}`, () => {
        const run = tender([guest, 'exit', String(status)]);
        expect(run.end).to.equal(255);
        expect(run.stderr).to.equal(
          "tender-spt: the guest's exit status is not within 0 to 255; it ends with 255\n",
        );
      });

    it('with 255 by abort', () => {
      expect(tender([unikernel('exit'), 'abort']).end).to.equal(255);
    });

    it('by SIGSEGV where the guest touches what it has not', () => {
      expect(tender([guest, 'fault']).end).to.equal('SIGSEGV');
    });

    it('by SIGSYS on a forbidden call', () => {
      expect(tender([guest, 'dispatch', '39']).end).to.equal('SIGSYS');
    });
  });
});
