import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, run } from '../support/command.ts';
import { runtime } from '../support/paths.ts';
import { scratchFolder, unikernel } from './guest.ts';

describe('runnc inspect', () => {
  const folder = scratchFolder();
  const inspect = (...args: string[]): Promise<CommandResult> => run(runtime, ['inspect', ...args]);

  it('says in words what a unikernel is', async () => {
    const { status, stdout } = await inspect(unikernel('net2'));
    expect(status).to.equal(0);
    expect(stdout.split('\n').slice(0, 3)).to.deep.equal([
      'kind      Solo5 unikernel',
      'abi       spt 2',
      'devices   left (NET_BASIC), right (NET_BASIC)',
    ]);
    expect(stdout).to.match(/^ +0x100000 {2}\d+ {2}\d+ {2}r-x$/m);
  });

  it('says the same in JSON, with the manifest as Solo5 writes it', async () => {
    const { status, stdout } = await inspect('--json', unikernel('syscalldev'));
    expect(status).to.equal(0);
    const json = JSON.parse(stdout) as { entry: string; segments: { address: string; flags: string }[] };
    expect(json).to.deep.include({
      kind: 'solo5',
      abi: { target: 'spt', version: 2 },
      manifest: {
        type: 'solo5.manifest',
        version: 1,
        devices: [
          { name: 'net', type: 'NET_BASIC' },
          { name: 'disk', type: 'BLOCK_BASIC' },
        ],
      },
    });
    expect(json.entry).to.match(/^0x10[0-9a-f]{4}$/);
    expect(json.segments.map(({ flags }) => flags)).to.deep.equal(['r-x', 'r--', 'rw-']);
    expect(json.segments[0]?.address).to.equal('0x100000');
  });

  it('knows what is no unikernel', async () => {
    expect((await inspect(process.execPath)).stdout).to.match(
      /^kind +Linux program\nlinked +dynamic, by "\/lib/,
    );
    expect((await inspect(import.meta.filename)).stdout).to.equal(
      'kind      neither an ELF file nor a script\n',
    );
    expect(JSON.parse((await inspect('--json', import.meta.filename)).stdout)).to.deep.equal({
      kind: 'not-elf',
    });
  });

  it('refuses a missing, a broken and a missing file’s name with one line', async () => {
    const broken = join(folder, 'broken');
    writeFileSync(broken, '\x7fELF', 'latin1');
    for (const args of [[join(folder, 'none')], [broken], [folder], []]) {
      const { status, stdout, stderr } = await inspect(...args);
      expect(status).to.equal(1);
      expect(stdout).to.equal('');
      expect(stderr.trimEnd().split('\n')).to.have.lengthOf(1);
    }
  });
});
