import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { checksum } from '../native.ts';
import { sha256 } from './sha256.ts';

describe('hashes', () => {
  it('are SHA-256 whatever the length', async () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 1000, 65_535, 65_536, 65_537, 300_000]) {
      const data = randomBytes(length);
      const expected = createHash('sha256').update(data).digest('hex');
      expect(await sha256(data), String(length)).to.equal(expected);
    }
    expect(await sha256('zażółć')).to.equal(createHash('sha256').update('zażółć').digest('hex'));
  });

  it('of the fast kind tell apart what differs in one bit', () => {
    const data = randomBytes(2 ** 20);
    const before = checksum(data).toString('hex');
    expect(before).to.have.length(32);
    const at = data.length / 3;
    data.writeUInt8(data.readUInt8(Math.floor(at)) ^ 4, Math.floor(at));
    expect(checksum(data).toString('hex')).to.not.equal(before);
    // XXH3's own test vector of nothing.
    expect(checksum(Buffer.alloc(0)).toString('hex')).to.equal('99aa06d3014798d86001c324468d497f');
  });
});
