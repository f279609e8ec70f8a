/**
 * A name server on the loopback of the container's network namespace: Docker has one there, 127.0.0.11, in networks that
 * users define. It is a thread of the engine's in that namespace, so it needs two things of a guest that has taken the
 * interfaces over: a way for the guest to reach it, a UDP socket connected to it and to nothing else; and its own way to
 * the servers that it asks, for which the interfaces keep their addresses and let its answers through to the namespace's
 * stack.
 */
import type { InputException } from './rtnetlink.ts';

export const NAMESERVER_PORT = 53;

/** Nobody but the guest itself can be meant: it has a loopback of its own. */
const OWN = '127.0.0.1';

/** The first of resolv.conf(5) that is on a loopback, 4 bytes. */
export function loopbackNameserver(resolvConf: string): Uint8Array | undefined {
  for (const line of resolvConf.split('\n')) {
    const [, address = ''] = /^nameserver[ \t]+([0-9.]{7,15})[ \t]*$/.exec(line) ?? [];
    const parts = address.split('.').map(Number);
    const isAddress = parts.length === 4 && parts.every((part) => part <= 255);
    if (isAddress && parts[0] === 127 && address !== OWN) return Uint8Array.from(parts);
  }
  return undefined;
}

/**
 * The ports that it asks from (net.ipv4.ip_local_port_range of its namespace): none that a guest gives to a socket by
 * itself, and as many as one mask can say.
 */
export const NAMESERVER_ASKS_FROM = '61440 62463';
const ASKS_FROM = 0xf000;
const ASKS_FROM_MASK = 0xfc00;

const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const ARP_REPLY = 2;
const NEIGHBOUR_ADVERTISEMENT = 136;

/** From port 53 to one of its ports. */
const ANSWER = [NAMESERVER_PORT * 0x10000 + ASKS_FROM, 0xffff0000 + ASKS_FROM_MASK] as const;
/** IPv4 without options: the ports follow. */
const PLAIN_IPV4 = [0, 0x05000000, 0x0f000000] as const;
const IPV4_OFFSET = 0x1fff;
const IPV4_MORE = 0x2000;
const IPV6_FRAGMENT = 44;
const IPV6_OFFSET = 0xfff8;

const ipv4 = (transport: number) => [8, transport * 0x10000, 0xff0000] as const;
const ipv6 = (next: number) => [4, next * 0x100, 0xff00] as const;
const icmpv6 = (type: number) => [40, type * 0x1000000, 0xff000000] as const;
/** Of the fragment header, behind that of IPv6: what is in it, and with which bits of its place masked. */
const ipv6Fragment = (mask: number) => [40, UDP * 0x1000000, 0xff000000 + mask] as const;

/**
 * What of an interface's input is for the namespace's stack, in this order: answers to its questions, for names and for
 * neighbours. The ports are in the first fragment of a datagram alone. So of those that are no answers the guest gets the
 * first fragment, and both get what follows any; a first one that never comes is what either stack knows how to bear.
 */
export const nameserverExceptions: readonly InputException[] = [
  { protocol: ETH_P_ARP, keys: [[4, ARP_REPLY, 0xffff]], to: 'both' },
  {
    protocol: ETH_P_IP,
    keys: [PLAIN_IPV4, [4, 0, IPV4_OFFSET + IPV4_MORE], ipv4(TCP), [20, ...ANSWER]],
    to: 'stack',
  },
  { protocol: ETH_P_IP, keys: [PLAIN_IPV4, [4, 0, IPV4_OFFSET], ipv4(UDP), [20, ...ANSWER]], to: 'stack' },
  { protocol: ETH_P_IP, keys: [[4, 0, IPV4_OFFSET], ipv4(UDP)], to: 'guest' },
  { protocol: ETH_P_IP, keys: [ipv4(UDP)], to: 'both' },
  { protocol: ETH_P_IPV6, keys: [ipv6(ICMPV6), icmpv6(NEIGHBOUR_ADVERTISEMENT)], to: 'both' },
  ...[UDP, TCP].map((transport): InputException => ({
    protocol: ETH_P_IPV6,
    keys: [ipv6(transport), [40, ...ANSWER]],
    to: 'stack',
  })),
  {
    protocol: ETH_P_IPV6,
    keys: [ipv6(IPV6_FRAGMENT), ipv6Fragment(IPV6_OFFSET), [48, ...ANSWER]],
    to: 'stack',
  },
  { protocol: ETH_P_IPV6, keys: [ipv6(IPV6_FRAGMENT), ipv6Fragment(IPV6_OFFSET)], to: 'guest' },
  { protocol: ETH_P_IPV6, keys: [ipv6(IPV6_FRAGMENT), ipv6Fragment(0)], to: 'both' },
];
