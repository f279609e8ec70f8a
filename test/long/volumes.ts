/** The file server under many hostile messages, and random use of a file with the container killed again and again. */
import { expect } from 'chai';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { compileFsx, compileFuzzer, fuzz, hostileFolders, isState } from '../volumes/programs.ts';

const MESSAGES = Number(process.env['MESSAGES'] ?? 1_000_000);
const OPERATIONS = Number(process.env['OPERATIONS'] ?? 1_000_000);
const KILLS = Number(process.env['KILLS'] ?? 40);
const MESSAGES_AT_ONCE = 50_000;
const OPERATIONS_AT_ONCE = 50_000;

describe('the file server, for long', function () {
  this.timeout(7_200_000);
  const host = new Playground();
  const rootfs = new Rootfs();
  const memory = fs.mkdtempSync('/dev/shm/runnc-test-');
  let count = 0;

  before(() => compileFsx(rootfs.path('/usr/bin/fsx')));
  after(async () => {
    await host.close();
    rootfs.remove();
    fs.rmSync(memory, { recursive: true });
  });

  const bundle = (...args: readonly string[]): string =>
    rootfs.bundle(host, ['/usr/bin/fsx', '/data/file', ...args], (spec) => {
      const mount = { destination: '/data', type: 'bind', source: memory, options: ['rbind', 'rw'] };
      spec.mounts = [...(spec.mounts ?? []), mount];
    });

  it(`answers ${String(MESSAGES)} messages and touches nothing outside of its mounts`, () => {
    const fuzzer = join(host.folder, 'fuzz');
    compileFuzzer(fuzzer);
    for (let sent = 0; sent < MESSAGES; sent += MESSAGES_AT_ONCE) {
      const folders = hostileFolders(join(memory, `fuzzed-${String(sent)}`));
      fuzz(fuzzer, folders, 1000 + sent, MESSAGES_AT_ONCE);
      expect(folders.outside()).to.deep.equal(folders.before);
    }
  });

  it(`does what a file does in ${String(OPERATIONS)} random operations`, async () => {
    for (let done = 0; done < OPERATIONS; done += OPERATIONS_AT_ONCE) {
      const call = host.start([
        'run',
        ...['--bundle', bundle(String(7000 + done), String(OPERATIONS_AT_ONCE))],
        `volumes-long-${String(count++)}`,
      ]);
      const timer = new Promise<number>((resolve) => {
        call.child.once('exit', (code) => resolve(code ?? -1));
      });
      expect(await timer, call.stdout + call.stderr).to.equal(0);
    }
  });

  it(`has what was written in each of ${String(KILLS)} containers that are killed`, async () => {
    for (let n = 0; n < KILLS; n++) {
      const id = `volumes-killed-${String(count++)}`;
      const seed = String(9000 + n);
      const call = host.start(['run', '--bundle', bundle(seed, '100000000', 'crash'), id]);
      await call.prints('kept');
      await delay((n * 97) % 1000);
      await host.runnc(['kill', id, 'KILL']);
      await call.end();
      await host.runnc(['delete', '--force', id]);
      const kept = Number(call.stdout.trim().split('\n').at(-1)?.split(' ')[1]);
      isState(rootfs.path('/usr/bin/fsx'), join(memory, 'file'), seed, kept);
    }
  });
});
