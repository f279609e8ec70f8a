/** Other ways into the kernel than the syscall instruction; and that a program without work costs nothing. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Tree } from './guest.ts';

/** Longer than the second after which an idle guest gives back what it has read of its image: its last host call. */
const IDLE_MS = 2000;
/** So often it is looked whether it sleeps by now: its start takes its time where others want the processor. */
const LOOKS = 10;

describe('a program in the Linux guest', function () {
  this.timeout(120_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    for (const folder of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder));
    const source = join(import.meta.dirname, 'programs/entries.c');
    execFileSync('gcc', ['-O1', '-static', '-o', join(tree.folder, 'bin/entries'), source, '-lpthread']);
    tree.makeImage();
  });
  after(() => tree.remove());

  it('gets ENOSYS for int 0x80, whose numbers mean other calls', async () => {
    const { stdout, status } = await tree.guest(['/bin/entries', 'int80']);
    expect(stdout.trim().split('\n')).to.have.lengthOf(7);
    for (const line of stdout.trim().split('\n')) expect(line).to.match(/: -38$/);
    expect(status).to.equal(0);
  });

  it('is ended by a call into the vsyscall page, which only the host sees', async () => {
    const { stdout, status } = await tree.guest(['/bin/entries', 'vsyscall']);
    expect(stdout).to.equal('before\n');
    // Killed by the filter; a host without that page has the guest see a fault.
    expect(status).to.be.oneOf([128 + 31, 128 + 11]);
  });

  it('is not woken while nothing happens, however many threads it has', async () => {
    const [command = '', ...args] = tree.guestCommand(['/bin/entries', 'idle']);
    const guest = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(guest.stdout, 'data');
    const switches = (): string =>
      /^voluntary_ctxt_switches:.*$/m.exec(readFileSync(`/proc/${String(guest.pid)}/status`, 'utf8'))?.[0] ??
      '';
    let before: string;
    let looks = 0;
    do {
      before = switches();
      await delay(IDLE_MS);
    } while (switches() !== before && ++looks < LOOKS);
    expect(looks, 'looks that saw it woken').to.be.lessThan(LOOKS);
    guest.kill('SIGKILL');
  });
});
