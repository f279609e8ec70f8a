/** Reads a network namespace: the interfaces that a guest can take over, with all that belongs to them. */
import { RunncError } from '../errors.ts';
import type { GuestInterface, InterfaceAddress, InterfaceRoute, Neighbour } from './guest-network.ts';
import { type Family, IPV4, IPV6 } from './guest-network.ts';
import type { Address, Hop, Link, NeighbourEntry, Route, Rtnetlink } from './rtnetlink.ts';

/** An interface of the namespace that has an address. */
export interface NamespaceInterface {
  readonly guest: GuestInterface;
  /** As Link.kind. */
  readonly kind: string;
  /** Of all its addresses and routes, in the order in which they can be added again. */
  readonly addresses: readonly Buffer[];
  readonly routes: readonly Buffer[];
  readonly neighbours: readonly Buffer[];
}

export interface NamespaceContent {
  /** By index. */
  readonly interfaces: readonly NamespaceInterface[];
  /** Have an address but no guest can have them: their frames are not Ethernet's. */
  readonly unusable: readonly string[];
  /** Up, of Ethernet, without an address. */
  readonly bare: readonly Link[];
}

const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;
const IFF_UP = 1;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 4;
const NUD_PERMANENT = 0x80;
const MAC_BYTES = 6;

export function readNamespace(netlink: Rtnetlink): NamespaceContent {
  const links = netlink
    .links()
    .filter(({ type, flags }) => type !== ARPHRD_LOOPBACK && (flags & IFF_UP) !== 0);
  // Nothing but lo, as with --network none: no need to ask for more.
  if (links.length === 0) return { interfaces: [], unusable: [], bare: [] };
  const addresses = netlink.addresses().filter(({ family }) => isFamily(family));
  const hasAddress = ({ index }: Link): boolean => addresses.some((address) => address.index === index);
  const addressed = links.filter(hasAddress);
  const usable = addressed.filter(isEthernet).sort((a, b) => a.index - b.index);
  const routes = usable.length === 0 ? [] : [IPV4, IPV6].flatMap((family) => netlink.routes(family));
  const neighbours = usable.length === 0 ? [] : netlink.neighbours();
  return {
    interfaces: usable.map((link) => readInterface(link, addresses, routes, neighbours)),
    unusable: addressed.filter((link) => !isEthernet(link)).map(({ name }) => name),
    bare: links.filter((link) => isEthernet(link) && !hasAddress(link)),
  };
}

/** An ipvlan gives frames only to addresses that it has, by the kernel's own stack; a guest has those instead of it. */
export function checkKind({ guest: { name }, kind }: NamespaceInterface): void {
  if (kind !== 'ipvlan') return;
  throw new RunncError(
    'UNSUPPORTED',
    `network: ${name} is an ipvlan interface, whose frames reach no guest: use a bridge or a macvlan network, ` +
      'or run without a network by the annotation io.runnc.network=none',
  );
}

function isEthernet({ type, mac }: Link): boolean {
  return type === ARPHRD_ETHER && mac?.length === MAC_BYTES;
}

function readInterface(
  link: Link,
  allAddresses: readonly Address[],
  allRoutes: readonly Route[],
  allNeighbours: readonly NeighbourEntry[],
): NamespaceInterface {
  const { index, name, kind, mtu, mac = Buffer.alloc(MAC_BYTES) } = link;
  const addresses = allAddresses.filter((address) => address.index === index);
  const routes = allRoutes.filter(isOrdinary).filter(({ hops }) => hops.some((hop) => hop.index === index));
  const neighbours = allNeighbours.filter((one) => one.index === index && (one.state & NUD_PERMANENT) !== 0);
  return {
    kind,
    guest: {
      name,
      index,
      mtu,
      mac,
      addresses: addresses.flatMap(interfaceAddress),
      routes: routes.flatMap((route) =>
        route.hops.filter((hop) => hop.index === index).flatMap((hop) => interfaceRoute(route, hop)),
      ),
      neighbours: neighbours.flatMap(neighbour),
    },
    addresses: addresses.map(({ raw }) => raw),
    // Those to what is on the link come first: a gateway must be reachable when a route by it is added.
    routes: [...routes].sort((a, b) => gateways(a) - gateways(b)).map(({ raw }) => raw),
    neighbours: neighbours.map(({ raw }) => raw),
  };
}

function isOrdinary({ type, table, routeFlags }: Route): boolean {
  return type === RTN_UNICAST && table === RT_TABLE_MAIN && (routeFlags & RTM_F_CLONED) === 0;
}

function gateways({ hops }: Route): number {
  return hops.filter(({ gateway }) => gateway !== undefined).length;
}

function isFamily(family: number): family is Family {
  return family === IPV4 || family === IPV6;
}

function interfaceAddress(entry: Address): InterfaceAddress[] {
  const { family, prefixLength, scope, flags, broadcast } = entry;
  const own = entry.local ?? entry.address;
  if (!isFamily(family) || own?.length !== addressBytes(family)) return [];
  const peer = entry.address;
  return [
    {
      family,
      address: own,
      prefixLength,
      ...(peer?.length !== own.length || peer.equals(own) ? {} : { peer }),
      ...(broadcast?.length !== own.length ? {} : { broadcast }),
      scope,
      flags,
    },
  ];
}

function interfaceRoute(route: Route, hop: Hop): InterfaceRoute[] {
  const { family, prefixLength, destination, preferredSource, scope, metric, mtu, protocol } = route;
  const { gateway, gatewayFamily = 0 } = hop;
  if (!isFamily(family)) return [];
  const hasGateway = isFamily(gatewayFamily) && gateway?.length === addressBytes(gatewayFamily);
  return [
    {
      family,
      destination: destination ?? Buffer.alloc(addressBytes(family)),
      prefixLength,
      ...(hasGateway ? { gateway: { family: gatewayFamily, address: gateway } } : {}),
      ...(preferredSource === undefined ? {} : { preferredSource }),
      onlink: (hop.flags & RTNH_F_ONLINK) !== 0,
      scope,
      metric,
      mtu,
      protocol,
    },
  ];
}

function neighbour({ family, address, mac }: NeighbourEntry): Neighbour[] {
  if (!isFamily(family)) return [];
  if (address?.length !== addressBytes(family) || mac?.length !== MAC_BYTES) return [];
  return [{ family, address, mac }];
}

function addressBytes(family: Family): number {
  return family === IPV4 ? 4 : 16;
}
