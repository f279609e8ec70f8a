/** Files and descriptors as block devices: what is accepted, what is refused, and what the guest can do with them. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { expectRefusal, tender, tenderPath } from './test-guest.ts';

const NOBODY = 65534;
/** Where descriptors that a test passes on begin in the child. */
const FIRST_FD = 3;

describe('block devices of the tender', () => {
  const folder = scratchFolder();
  const kernel = unikernel('block');
  const disk = join(folder, 'disk');
  beforeEach(() => writeFileSync(disk, Buffer.alloc(4096, 'x')));

  const run = (device: string, ...words: string[]): ReturnType<typeof tender> =>
    tender(['--mem=2', `--block:disk=${device}`, kernel, ...words]);
  const withFd = (flags: string, device: string, ...words: string[]): ReturnType<typeof tender> => {
    const fd = openSync(disk, flags);
    try {
      return tender(['--mem=2', `--block:disk=${device}`, kernel, ...words], {
        stdio: ['ignore', 'pipe', 'pipe', fd],
      });
    } finally {
      closeSync(fd);
    }
  };

  const expectBlockWritten = (): void => {
    const untouched = Buffer.alloc(512, 'x');
    const [before, written, behind] = [0, 512, 1024].map((at) => readFileSync(disk).subarray(at, at + 512));
    expect(before?.equals(untouched)).to.equal(true);
    expect(written?.equals(untouched)).to.equal(false);
    expect(behind?.equals(untouched)).to.equal(true);
  };

  it('are written to through a path', () => {
    expect(run(disk, 'write', '1').end).to.equal(0);
    expectBlockWritten();
  });

  it('are written to through a descriptor', () => {
    expect(withFd('r+', `@${FIRST_FD}`, 'write', '1').end).to.equal(0);
    expectBlockWritten();
  });

  for (const [how, device, flags] of [
    [',ro', `@${FIRST_FD},ro`, 'r+'],
    ['a descriptor open for reading', `@${FIRST_FD}`, 'r'],
  ] as const)
    it(`are read and not written to by ${how}`, () => {
      expect(withFd(flags, device, 'read', '0').stdout.toString()).to.include('xxxx');
      const { end } = withFd(flags, device, 'write', '0');
      expect(end).to.be.a('number'); // an error that the guest sees; not SIGSYS
      expect(end).to.not.equal(0);
      expect(readFileSync(disk).equals(Buffer.alloc(4096, 'x'))).to.equal(true);
    });

  describe('without permission', () => {
    // Not root, who may do everything.
    const asNobody = (device: string, ...words: string[]): ReturnType<typeof tender> =>
      tender(['--mem=2', `--block:disk=${device}`, kernel, ...words], { uid: NOBODY, gid: NOBODY });

    before(() => chmodSync(folder, 0o755));

    it('to write are read-only by themselves', () => {
      chmodSync(disk, 0o644);
      const read = asNobody(disk, 'read', '0');
      expect(read.stdout.toString(), read.stderr).to.include('xxxx');
      expect(asNobody(disk, 'write', '0').end).to.not.equal(0);
      expect(readFileSync(disk).equals(Buffer.alloc(4096, 'x'))).to.equal(true);
    });

    it('to read are refused', () => {
      chmodSync(disk, 0o600);
      expectRefusal(asNobody(disk), `block device 'disk': cannot open ${disk}: Permission denied`);
      chmodSync(disk, 0o644);
    });
  });

  it('are read-only on a read-only file system', () => {
    const mount = join(folder, 'ro');
    mkdirSync(mount);
    const script = `mount -t tmpfs none ${mount} && cp ${disk} ${mount} && mount -o remount,ro ${mount} &&
      exec ${tenderPath} --mem=2 --block:disk=${mount}/disk ${kernel} read 0`;
    const out = execFileSync('unshare', ['--mount', 'sh', '-c', script], { encoding: 'utf8' });
    expect(out).to.include('xxxx');
  });

  it('of a wrong size are refused, and it says how to mend it', () => {
    writeFileSync(disk, Buffer.alloc(521));
    expectRefusal(
      run(disk),
      `the 521 bytes of ${disk} are not a multiple of the sector size 512; pad it or give --block`,
    );
    writeFileSync(disk, Buffer.alloc(6144));
    const options = [`--block:disk=${disk}`, '--block-sector-size:disk=4096'];
    expectRefusal(tender([...options, kernel]), 'not a multiple of the sector size 4096');
    writeFileSync(disk, '');
    expectRefusal(run(disk), `${disk} is empty`);
  });

  for (const size of ['0', '256', '513', '521', '65536', '-512', '512k', '', '99999999999999999999'])
    it(`with sectors of "${size}" bytes are refused`, () => {
      const options = [`--block:disk=${disk}`, `--block-sector-size:disk=${size}`];
      expectRefusal(tender([...options, kernel]), 'is not a power of two from 512 to 32768');
    });

  it('that are no files are refused', () => {
    expectRefusal(run(join(folder, 'absent')), 'absent: No such file or directory');
    expectRefusal(run(folder), 'Is a directory');
    expectRefusal(run(`${folder},ro`), 'is neither a regular file nor a block device');
    expectRefusal(run('/dev/null'), 'is neither a regular file nor a block device');
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    expectRefusal(run(fifo), 'is neither a regular file nor a block device');
  });

  it('of a wrong descriptor are refused', () => {
    expectRefusal(run('@3x'), "'@3x' is not @ and the number of a descriptor");
    expectRefusal(run('@'), 'is not @ and the number');
    expectRefusal(run('@-1'), 'is not @ and the number');
    expectRefusal(run('@99999999999999999999'), 'is not @ and the number');
    expectRefusal(run('@1'), "descriptor 1 is the console's");
    expectRefusal(run('@1000'), 'descriptor 1000 is not open');
    expectRefusal(withFd('w', `@${FIRST_FD}`), 'is not open for reading');
  });
});
