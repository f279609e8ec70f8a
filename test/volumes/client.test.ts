/**
 * The guest's end of the file server's protocol, compiled for the host and run against a made-up server, by chance:
 * waits that nothing ends, replies and data that get mixed up, numbers used too early (client/client.c).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

const here = import.meta.dirname;
const top = join(here, '../..');
const kernel = join(top, 'unikernels/linux');

describe('the client of the file server in the Linux guest kernel', function () {
  this.timeout(300_000);
  const scratch = mkdtempSync(join(tmpdir(), 'runnc-client-'));

  after(() => {
    rmSync(scratch, { recursive: true });
  });

  it('never waits for what cannot come, and gives everybody what is his', () => {
    const flags = ['-std=c11', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE'];
    flags.push('-fsanitize=undefined', '-fno-sanitize-recover=all');
    flags.push('-I', join(here, '../linux-erofs/host'), '-I', kernel, '-I', top);
    const objects = ['fs/remote_rpc', 'time/timer'].map((part) => {
      const object = join(scratch, `${part.replace('/', '-')}.o`);
      execFileSync('gcc', [...flags, '-ffreestanding', '-c', '-o', object, join(kernel, `${part}.c`)]);
      return object;
    });
    const client = join(scratch, 'client');
    const sources = ['client', 'stage'].map((name) => join(here, 'client', `${name}.c`));
    execFileSync('gcc', [...flags, '-o', client, ...sources, ...objects]);
    let said = '';
    try {
      execFileSync(client, ['1', '60'], { encoding: 'utf8' });
    } catch (error) {
      said = String((error as { stdout?: string }).stdout ?? error);
    }
    expect(said).to.equal('');
  });
});
