import { expect } from 'chai';
import { loopbackNameserver, nameserverExceptions } from './nameserver.ts';

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

describe('nameserverExceptions', () => {
  /** As u32 does. */
  const receiver = (protocol: number, packet: string): string => {
    const bytes = Buffer.concat([Buffer.from(packet.replaceAll(' ', ''), 'hex'), Buffer.alloc(64)]);
    const exception = nameserverExceptions.find(
      ({ protocol: its, keys }) =>
        its === protocol &&
        keys.every(([offset, value, mask]) => (bytes.readUInt32BE(offset) & mask) >>> 0 === value),
    );
    return exception?.to ?? 'guest';
  };
  const ipv4 = (transport: string, ports: string, fragment = '4000'): string =>
    receiver(0x0800, `45000054 0001${fragment} 40${transport}0000 08080808 0a000002 ${ports}`);
  const ipv6 = (next: string, rest: string): string =>
    receiver(0x86dd, `60000000 0020${next}40 ${'20'.repeat(16)} ${'fd'.repeat(16)} ${rest}`);

  it('give the stack the answers of name servers to its ports', () => {
    for (const port of ['f000', 'f3ff']) {
      for (const transport of ['11', '06']) {
        expect(ipv4(transport, `0035${port}`)).to.equal('stack');
        expect(ipv6(transport, `0035${port}`)).to.equal('stack');
      }
    }
  });

  it('leave all else to the guest', () => {
    for (const ports of ['0035efff', '0035f400', '0036f000', 'f0000035', '0050f000']) {
      for (const transport of ['11', '06']) {
        expect(ipv4(transport, ports), ports).to.equal('guest');
        expect(ipv6(transport, ports), ports).to.equal('guest');
      }
    }
    expect(ipv4('01', '0035f000')).to.equal('guest');
    expect(receiver(0x0800, '46000054 00014000 40110000 08080808 0a000002 0035f000')).to.equal('guest');
  });

  it('give the stack the first fragment of a long answer, the guest that of anything else, both the rest', () => {
    expect(ipv4('11', '0035f000', '2000')).to.equal('stack');
    expect(ipv4('11', '0036f000', '2000')).to.equal('guest');
    for (const place of ['2001', '0001', '1fff', '3000'])
      expect(ipv4('11', '0035f000', place)).to.equal('both');
    expect(ipv6('2c', '11000001 00000007 0035f000')).to.equal('stack');
    expect(ipv6('2c', '11000001 00000007 0036f000')).to.equal('guest');
    for (const place of ['0009', '0008', 'fff8']) {
      expect(ipv6('2c', `1100${place} 00000007 0035f000`)).to.equal('both');
    }
  });

  it('leave fragments of anything but datagrams to the guest', () => {
    for (const place of ['2000', '2001', '0001']) {
      for (const transport of ['06', '01']) expect(ipv4(transport, '0035f000', place)).to.equal('guest');
    }
    for (const place of ['0001', '0009', '0008']) {
      for (const transport of ['06', '3a']) {
        expect(ipv6('2c', `${transport}00${place} 00000007 0035f000`)).to.equal('guest');
      }
    }
  });

  it('give both the answers about neighbours, and no questions', () => {
    expect(receiver(0x0806, '0001 0800 0604 0002')).to.equal('both');
    expect(receiver(0x0806, '0001 0800 0604 0001')).to.equal('guest');
    expect(ipv6('3a', '88000000')).to.equal('both');
    for (const type of ['87', '86', '80']) expect(ipv6('3a', `${type}000000`)).to.equal('guest');
  });
});
