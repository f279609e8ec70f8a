import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mappedIds } from './host-user.ts';

describe('the ids for sandboxes in a user namespace', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-maps-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function idsOf(uidMap: string, gidMap = uidMap): readonly [number, number] {
    writeFileSync(join(folder, 'uid_map'), uidMap);
    writeFileSync(join(folder, 'gid_map'), gidMap);
    const { start, size } = mappedIds(folder);
    return [start, start + size - 1];
  }

  it('are the last of the largest range that is mapped, never 0 where there is another', () => {
    expect(idsOf('         0       1000          1\n         1     100000      65536\n')).to.deep.equal([
      64513, 65536,
    ]);
    expect(idsOf('0 100000 65536\n')).to.deep.equal([64512, 65535]);
    expect(idsOf('0 1000 2\n')).to.deep.equal([1, 1]);
    expect(idsOf('0 1000 1\n5 2000 10\n')).to.deep.equal([6, 14]);
  });

  it('are 0 alone where nothing else is mapped, for users or for groups', () => {
    expect(idsOf('0 1000 1\n')).to.deep.equal([0, 0]);
    expect(idsOf('0 1000 1\n1 100000 65536\n', '0 1000 1\n')).to.deep.equal([0, 0]);
  });
});
