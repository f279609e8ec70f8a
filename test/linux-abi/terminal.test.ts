/**
 * A program on a terminal: the guest's line discipline must show, byte for byte, what Linux's own shows for the
 * same keys.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree } from './guest.ts';

const here = join(dirname(fileURLToPath(import.meta.url)), 'terminal');

/** What to type, once the program has asked for it. Nothing is typed ahead: its echo could come anywhere. */
const steps = [
  ['line> ', 'hello\r'],
  ['erase> ', 'abc\x7f\x7fx\x7f\x7f\x7f\x7fyz\r'],
  ['kill> ', 'wrong\x15right\r'],
  ['word> ', 'one two  \x17three\r'],
  ['literal> ', 'a\x16\x03b\r'],
  ['carriage return> ', 'x\n'],
  ['control> ', '\x01\x02 \tz\r'],
  ['partial> ', 'part\x04'],
  ['end of file> ', '\x04'],
  ['interrupt> ', '\x03'],
  ['quit> ', '\x1c'],
  ['in two reads> ', 'first line\r'],
  ['password> ', 'secret\r'],
  ['three> ', '\x03\rx'],
  ['done> ', 'end\r'],
];

describe('a terminal in the Linux guest', function () {
  this.timeout(120_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    for (const folder of ['bin', 'proc', 'dev', 'sys'])
      fs.mkdirSync(join(tree.folder, folder), { recursive: true });
    execFileSync('gcc', [
      '-O1',
      '-static',
      '-o',
      join(tree.folder, 'bin/terminal'),
      join(here, 'terminal.c'),
    ]);
    tree.makeImage();
  });
  after(() => tree.remove());

  function type(mode: 'raw' | 'cooked', command: readonly string[]): string {
    const args = [join(here, 'type.py'), mode, JSON.stringify(steps), ...command];
    const ended = spawnSync('python3', args, { encoding: 'latin1' });
    expect(ended.status, ended.stdout + ended.stderr).to.equal(0);
    return ended.stdout;
  }

  it('edits lines, echoes, signals and changes modes as Linux does', () => {
    const native = type('cooked', ['chroot', tree.folder, '/bin/terminal']);
    const tty = { rows: 40, columns: 100 };
    const guest = type('raw', tree.guestCommand(['/bin/terminal'], { config: { tty } }));
    expect(native).to.contain('[4:end\\x0a]');
    expect(guest).to.equal(native);
  });
});
