/** What a guest is told of its network: plain data, read from the container's network namespace, in its order. */

/** Numbers are those of linux/if_addr.h and linux/rtnetlink.h; addresses are in network order, 4 or 16 bytes. */
export interface GuestInterface {
  /** As in the namespace. */
  readonly name: string;
  readonly index: number;
  /** Bytes without the Ethernet header. */
  readonly mtu: number;
  /** 6 bytes. */
  readonly mac: Uint8Array;
  readonly addresses: readonly InterfaceAddress[];
  /** Unicast routes of the main table that leave by this interface. */
  readonly routes: readonly InterfaceRoute[];
  /** Those that somebody wrote down by hand (NUD_PERMANENT). */
  readonly neighbours: readonly Neighbour[];
}

export interface InterfaceAddress {
  readonly family: Family;
  readonly address: Uint8Array;
  /** Of the peer's prefix, where there is one. */
  readonly prefixLength: number;
  /** The other end of a point-to-point link. */
  readonly peer?: Uint8Array;
  readonly broadcast?: Uint8Array;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IFA_F_*. */
  readonly flags: number;
}

export interface InterfaceRoute {
  readonly family: Family;
  readonly destination: Uint8Array;
  /** 0: the default route. */
  readonly prefixLength: number;
  readonly gateway?: Gateway;
  readonly preferredSource?: Uint8Array;
  /** RTNH_F_ONLINK. */
  readonly onlink: boolean;
  /** RT_SCOPE_*. */
  readonly scope: number;
  readonly metric: number;
  /** RTAX_MTU; 0: that of the interface. */
  readonly mtu: number;
  /** RTPROT_*. */
  readonly protocol: number;
}

/** An IPv4 route may have an IPv6 gateway. */
export interface Gateway {
  readonly family: Family;
  readonly address: Uint8Array;
}

export interface Neighbour {
  readonly family: Family;
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
}

/** AF_INET, AF_INET6. */
export const IPV4 = 2;
export const IPV6 = 10;
export type Family = typeof IPV4 | typeof IPV6;

/** RT_SCOPE_UNIVERSE. */
export const SCOPE_GLOBAL = 0;

/** "10.0.0.1", "fd00:0:0:0:0:0:0:1". */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  return Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2).toString(16)).join(':');
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}
