import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import { checkKind, type NamespaceInterface } from './read.ts';

const interfaceOf = (kind: string): NamespaceInterface => ({
  kind,
  guest: {
    name: 'eth0',
    index: 2,
    mtu: 1500,
    mac: Buffer.alloc(6),
    addresses: [],
    routes: [],
    neighbours: [],
  },
  addresses: [],
  routes: [],
  neighbours: [],
});

describe('checkKind', () => {
  for (const kind of ['veth', 'macvlan', 'dummy', '']) {
    it(`takes ${kind === '' ? 'hardware' : kind}`, () => {
      checkKind(interfaceOf(kind));
    });
  }

  it('refuses ipvlan, and says what can be done', () => {
    expect(() => checkKind(interfaceOf('ipvlan'))).to.throw(RunncError, /eth0 is an ipvlan .*macvlan/);
  });
});
