/** The kernel's memory after many thousand files, links, pipes, events, locks and mappings were made and dropped. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree } from './guest.ts';

const ALLOWED_KIB = 16;

describe('the memory of the Linux guest kernel', function () {
  this.timeout(120_000);

  it('is given back when files, pipes, events, locks and mappings are gone', async () => {
    const tree = new Tree();
    for (const folder of ['bin', 'box', 'proc', 'dev', 'sys']) fs.mkdirSync(join(tree.folder, folder));
    const source = join(dirname(fileURLToPath(import.meta.url)), 'cases/leaks.c');
    execFileSync('gcc', ['-O1', '-static', '-w', '-o', join(tree.folder, 'bin/leaks'), source]);
    const { stdout, stderr } = await tree.guest(['/bin/leaks'], { timeoutMs: 50_000 });
    expect(stdout, stderr).to.contain('nothing_is_kept| ends');
    expect(Number(/grew by (-?\d+) KiB/.exec(stderr)?.[1]), stderr).to.be.at.most(ALLOWED_KIB);
    tree.remove();
  });
});
