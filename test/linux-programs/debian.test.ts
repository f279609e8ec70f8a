/** Programs of Debian's packages, unchanged, as this machine has them: each says the same in a container as natively. */
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { Debian } from './debian.ts';
import { addPrograms, JAVA, NODE, SYSTEM } from './everyday.ts';

const PACKAGES = [
  ...[
    'adduser',
    'apt',
    'base-files',
    'base-passwd',
    'bash',
    'binutils',
    'coreutils',
    'dash',
    'diffutils',
    'dpkg',
    'findutils',
  ],
  ...[
    'gcc',
    'grep',
    'gzip',
    'hostname',
    'libc-bin',
    'libc6-dev',
    'login',
    'make',
    'mawk',
    'openjdk-17-jre-headless',
    'passwd',
  ],
  ...['perl', 'procps', 'redis-server', 'sed', 'sqlite3', 'tar', 'tzdata', 'util-linux'],
];

describe("Debian's programs in the Linux guest", function () {
  this.timeout(120_000);
  let host: Playground;
  let debian: Debian;

  before(() => {
    debian = Debian.ofThisMachine(PACKAGES);
    debian.addNode();
    addPrograms(debian);
    host = new Playground();
  });
  after(async () => {
    const leftovers = host.leftovers();
    await host.close();
    debian.remove();
    expect(leftovers).to.deep.equal([]);
  });

  for (const { what, script, says } of [...NODE, ...JAVA, ...SYSTEM]) {
    it(what, async () => {
      const native = await debian.native(script);
      expect(native.stdout, native.stderr).to.match(says);
      expect(await debian.guest(host, script)).to.deep.equal(native);
    });
  }
});
