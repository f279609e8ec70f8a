/** The bar that a person sees while the image of a rootfs is built. */
import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { run } from '../support/command.ts';
import { runtime } from '../support/paths.ts';
import { onTerminal } from '../support/terminal.ts';
import { isRoot } from './fixture.ts';

const MIB = 2 ** 20;

describe('the progress of a build', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  beforeEach(function () {
    if (!isRoot) this.skip();
    host = new Playground();
    rootfs = new Rootfs();
    writeFileSync(rootfs.path('/large'), Buffer.alloc(12 * MIB, 'x'));
  });
  afterEach(async () => {
    rootfs.remove();
    await host.close();
  });

  const words = (): string[] => {
    const bundle = rootfs.bundle(host, ['/usr/bin/busybox', 'echo', 'ran']);
    return [runtime, '--root', host.root, 'run', '-b', bundle, 'bar'];
  };
  /** A disk that takes 0.4 s for each MiB, some of them at once: the build is sure to take more than a second. */
  const slowly = (command: readonly string[]): string[] => [
    ...['strace', '-f', '-qq', '-o', join(host.folder, 'trace')],
    ...['-e', 'trace=pwrite64', '-e', 'inject=pwrite64:delay_enter=400000', ...command],
  ];

  it('is a bar on a terminal if it takes more than half a second, gone when it is done', async () => {
    const [command = '', ...args] = slowly(words());
    const { stdout, status } = await onTerminal(command, args);
    expect(status).to.equal(0);
    expect(stdout).to.match(/building the image of the rootfs .*[█░]+.* \d+% \| \d+\/1\d MiB/);
    // Moved on in between; the line is cleared and the cursor back before the program prints.
    expect(new Set(stdout.match(/\d+%/g)).size).to.be.greaterThan(2);
    const end = stdout.lastIndexOf('MiB');
    const rest = stdout.slice(end);
    expect(rest).to.contain('\x1b[?25h');
    expect(rest.endsWith('\x1b[2Kran\r\n'), JSON.stringify(rest)).to.equal(true);
  });

  it('is nowhere if standard error is no terminal', async () => {
    const [command = '', ...args] = slowly(words());
    expect(await run(command, args)).to.deep.equal({ status: 0, stdout: 'ran\n', stderr: '' });
  });

  it('is nowhere if the image is there already', async () => {
    const [command = '', ...args] = words();
    await run(command, args);
    const [again = '', ...more] = slowly(words());
    expect((await onTerminal(again, more)).stdout).to.equal('ran\r\n');
  });
});
