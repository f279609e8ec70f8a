import { expect } from 'chai';
import { loopbackNameserver, nameserverPasses } from './nameserver.ts';

describe('loopbackNameserver', () => {
  for (const [what, resolvConf, expected] of [
    ["Docker's", 'nameserver 127.0.0.11\noptions ndots:0\n', [127, 0, 0, 11]],
    ['one behind others and comments', '# x\nnameserver 10.0.0.1\nnameserver\t127.9.8.7 \n', [127, 9, 8, 7]],
    ['none on a loopback', 'nameserver 10.0.0.1\nnameserver ::1\n', undefined],
    ["the guest's own", 'nameserver 127.0.0.1\n', undefined],
    ['no address', 'nameserver 127.0.0.256\nnameserver 127.0.0\nnameserver 127.0.0.1.1\n', undefined],
    ['words around it', '#nameserver 127.0.0.11\nnameserver 127.0.0.11 127.0.0.12\n', undefined],
    ['nothing', '', undefined],
  ] as const)
    it(`finds ${what}`, () => {
      const found = loopbackNameserver(resolvConf);
      expect(found === undefined ? undefined : [...found]).to.deep.equal(expected);
    });
});

describe('nameserverPasses', () => {
  /** As u32 does. */
  const passes = (protocol: number, packet: string): boolean => {
    const bytes = Buffer.concat([Buffer.from(packet.replaceAll(' ', ''), 'hex'), Buffer.alloc(64)]);
    return nameserverPasses(7)
      .filter((pass) => pass.protocol === protocol)
      .some(({ keys }) =>
        keys.every(([offset, value, mask]) => (bytes.readUInt32BE(offset) & mask) >>> 0 === value),
      );
  };
  const ipv4 = (transport: string, ports: string, fragment = '4000'): string =>
    `45000054 0001${fragment} 40${transport}0000 08080808 0a000002 ${ports}`;
  const ipv6 = (transport: string, rest: string): string =>
    `60000000 0020${transport}40 ${'20'.repeat(16)} ${'fd'.repeat(16)} ${rest}`;

  it('lets answers of name servers to its ports through', () => {
    for (const port of ['f000', 'f3ff']) {
      for (const transport of ['11', '06']) {
        expect(passes(0x0800, ipv4(transport, `0035${port}`))).to.equal(true);
        expect(passes(0x86dd, ipv6(transport, `0035${port}`))).to.equal(true);
      }
    }
  });

  it('lets nothing else through', () => {
    for (const ports of ['0035efff', '0035f400', '0036f000', 'f0000035', '0050f000']) {
      for (const transport of ['11', '06']) {
        expect(passes(0x0800, ipv4(transport, ports)), ports).to.equal(false);
        expect(passes(0x86dd, ipv6(transport, ports)), ports).to.equal(false);
      }
    }
    expect(passes(0x0800, ipv4('01', '0035f000'))).to.equal(false);
    expect(passes(0x0800, ipv4('11', '0035f000', '2000'))).to.equal(false);
    expect(passes(0x0800, ipv4('11', '0035f000', '0001'))).to.equal(false);
    expect(passes(0x0800, ipv4('11', '0035f000').replace('45', '46'))).to.equal(false);
  });

  it('lets answers about neighbours through, and no questions', () => {
    expect(passes(0x0806, '0001 0800 0604 0002')).to.equal(true);
    expect(passes(0x0806, '0001 0800 0604 0001')).to.equal(false);
    expect(passes(0x86dd, ipv6('3a', '88000000'))).to.equal(true);
    for (const type of ['87', '86', '80']) {
      expect(passes(0x86dd, ipv6('3a', `${type}000000`))).to.equal(false);
    }
  });
});
