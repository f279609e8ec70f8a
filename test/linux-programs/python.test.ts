/** A big program of Debian's, from its own files, through the installed runtime. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { Rootfs } from './rootfs.ts';

describe('python3 in the Linux guest', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  before(() => {
    rootfs = new Rootfs();
    rootfs.addPython();
    rootfs.write(
      '/app/batteries.py',
      readFileSync(resolve(import.meta.dirname, 'programs/batteries.py'), 'utf8'),
    );
    rootfs.write(
      '/usr/bin/shebang',
      '#!/usr/bin/python3 -S\nimport sys\nprint(sys.argv)\nsys.exit(3)\n',
      0o755,
    );
    host = new Playground();
  });
  after(async () => {
    const leftovers = host.leftovers();
    await host.close();
    rootfs.remove();
    expect(leftovers).to.deep.equal([]);
  });

  for (const [what, args] of [
    ['uses its batteries', ['python3', '/app/batteries.py']],
    ['runs a script of its own', ['shebang', 'one', 'two words']],
    ['shows an uncaught exception', ['python3', '-c', 'import json; json.loads("{")']],
  ] as const) {
    it(`${what} with the same words as natively`, async () => {
      const native = await rootfs.native(args);
      const guest = await host.runnc(['run', '-b', rootfs.bundle(host, args), 'python']);
      expect(guest).to.deep.equal(native);
    });
  }

  for (const words of [
    ['busybox', 'timeout', '20', 'python3', '-S', '-c', 'print(1)'],
    ['busybox', 'sh', '-c', 'python3 -S -c "print(1)"; exit $?'],
  ]) {
    it(`runs beside a program at its own addresses that executed it: busybox ${words[1] ?? ''}`, async () => {
      const { status, stdout, stderr } = await host.runnc([
        'run',
        '-b',
        rootfs.bundle(host, words),
        'python-beside',
      ]);
      expect({ status, stdout, stderr }).to.deep.equal({ status: 0, stdout: '1\n', stderr: '' });
    });
  }
});
