/**
 * The typed door to the addon network.node (tender/addon/network.cc): rtnetlink in a network namespace, and taps. Thin on
 * purpose, as src/native.ts; errors are Node's system errors (errnoOf), some with `detail`, the kernel's own words.
 */
import { closeSync } from '../files.ts';
import { errorMessage, RunncError } from '../errors.ts';
import { loadAddon } from '../native.ts';

/** An interface as the kernel has it. Numbers are those of linux/if.h and linux/if_arp.h. */
export interface Link {
  readonly index: number;
  /** ARPHRD_*. */
  readonly type: number;
  /** IFF_*. */
  readonly flags: number;
  readonly mtu: number;
  readonly name: string;
  /** "veth", "macvlan", …; "" for hardware. */
  readonly kind: string;
  readonly mac?: Buffer;
}

export interface Address {
  readonly index: number;
  readonly family: number;
  readonly prefixLength: number;
  readonly scope: number;
  /** IFA_F_*. */
  readonly flags: number;
  /** The other end of a point-to-point link where `local` is there and differs. */
  readonly address?: Buffer;
  readonly local?: Buffer;
  readonly broadcast?: Buffer;
  /** The kernel's own message, for replay(). */
  readonly raw: Buffer;
}

export interface Route {
  readonly family: number;
  /** RTN_*. */
  readonly type: number;
  readonly table: number;
  readonly scope: number;
  readonly protocol: number;
  /** RTM_F_*. */
  readonly routeFlags: number;
  readonly prefixLength: number;
  readonly metric: number;
  readonly mtu: number;
  readonly destination?: Buffer;
  readonly preferredSource?: Buffer;
  /** More than one: packets are spread over them. */
  readonly hops: readonly Hop[];
  readonly raw: Buffer;
}

export interface Hop {
  /** Of the interface; 0: none. */
  readonly index: number;
  /** RTNH_F_*. */
  readonly flags: number;
  readonly gateway?: Buffer;
  readonly gatewayFamily?: number;
}

export interface NeighbourEntry {
  readonly index: number;
  readonly family: number;
  /** NUD_*. */
  readonly state: number;
  readonly address?: Buffer;
  readonly mac?: Buffer;
  readonly raw: Buffer;
}

export interface Qdisc {
  readonly index: number;
  readonly parent: number;
  readonly kind: string;
}

/** A filter of an ingress qdisc. */
export interface Filter {
  /** Of the interface that frames are redirected to; 0 if that is gone, or for another kind of filter. */
  readonly target: number;
  readonly cookie?: Buffer;
}

export interface Tap {
  readonly fd: number;
  readonly index: number;
}

/** Input of an interface that is treated in another way than the rest. */
export interface InputException {
  /** ETH_P_*. */
  readonly protocol: number;
  /** All must match: offset from the network header in bytes, value and mask of the 32 bits there. */
  readonly keys: readonly (readonly [offset: number, value: number, mask: number])[];
  /** Who gets it: the namespace's own stack, the guest or both. */
  readonly to: 'stack' | 'guest' | 'both';
}

/** rtnetlink in one network namespace. */
export class Rtnetlink {
  readonly #namespaceFd: number;
  readonly #fd: number;

  /** Borrows the namespace's descriptor. EPERM without CAP_SYS_ADMIN over it. */
  constructor(namespaceFd: number) {
    this.#namespaceFd = namespaceFd;
    this.#fd = addon.openNetlink(namespaceFd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  links(): readonly Link[] {
    return addon.readLinks(this.#fd);
  }

  addresses(): readonly Address[] {
    return addon.readAddresses(this.#fd);
  }

  routes(family: number): readonly Route[] {
    return addon.readRoutes(this.#fd, family);
  }

  neighbours(): readonly NeighbourEntry[] {
    return addon.readNeighbours(this.#fd);
  }

  qdiscs(): readonly Qdisc[] {
    return addon.readQdiscs(this.#fd);
  }

  /** Of the ingress qdisc, which must be there. */
  ingressFilters(index: number): readonly Filter[] {
    return addon.readFilters(this.#fd, index);
  }

  /**
   * A new tap that goes with its last descriptor; non-blocking, frames without packet information, with virtio-net
   * headers if `vnet`. `syscall` of an error is "open" where it is /dev/net/tun.
   */
  openTap(vnet: boolean): Tap {
    return addon.openTap(this.#namespaceFd, vnet);
  }

  /** Sets MTU (bytes) and transmit queue (frames), keeps IPv6 from giving it addresses, and sets it up. */
  setUpTap(index: number, mtu: number, queueLength: number): void {
    addon.setUpTap(this.#fd, index, mtu, queueLength);
  }

  /**
   * All that comes in by an interface goes out by another. EEXIST: it has an ingress qdisc. `syscall` of an error says
   * which part the kernel refused: "ingress" or "mirred" (ENOENT: it has no such part). The cookie has at most 16 bytes.
   */
  addRedirect(from: number, to: number, cookie: Uint8Array): void {
    addon.addRedirect(this.#fd, from, to, cookie);
  }

  /**
   * An exception among what comes in by an interface that is redirected to the guest's. Those with a lower `order` (1 to
   * 99) are tried first, and the first that matches decides; those of one order are for one protocol.
   */
  addException(
    { index, guest, order }: { readonly index: number; readonly guest: number; readonly order: number },
    { protocol, keys, to }: InputException,
    cookie: Uint8Array,
  ): void {
    const device = to === 'stack' ? 0 : guest;
    addon.addException(this.#fd, index, order, protocol, keys, device, to === 'both', cookie);
  }

  /** A UDP socket in the namespace, connected to a port of an IPv4 address there. The caller closes it. */
  connectUdp(address: Uint8Array, port: number): number {
    return addon.connectUdp(this.#namespaceFd, address, port);
  }

  /** net.ipv4.ip_local_port_range of the namespace, as the kernel writes it. */
  get localPorts(): string {
    return addon.localPorts(this.#namespaceFd) ?? '';
  }

  /** EROFS, EACCES: the caller may not. */
  set localPorts(range: string) {
    addon.localPorts(this.#namespaceFd, range);
  }

  /** Removes the ingress qdisc with its filters. */
  removeIngress(index: number): void {
    addon.removeIngress(this.#fd, index);
  }

  /** Adds again (EEXIST: it is there) what the `raw` of an address, route or neighbour describes. */
  restore(raw: Uint8Array): void {
    addon.replay(this.#fd, raw, true);
  }

  /** Deletes it. EADDRNOTAVAIL, ESRCH: it is not there. */
  remove(raw: Uint8Array): void {
    addon.replay(this.#fd, raw, false);
  }
}

/** What tender/addon/network.cc exports. */
interface Addon {
  openNetlink(namespaceFd: number): number;
  openTap(namespaceFd: number, vnet: boolean): Tap;
  readLinks(fd: number): Link[];
  readAddresses(fd: number): Address[];
  readRoutes(fd: number, family: number): Route[];
  readNeighbours(fd: number): NeighbourEntry[];
  readQdiscs(fd: number): Qdisc[];
  readFilters(fd: number, index: number): Filter[];
  setUpTap(fd: number, index: number, mtu: number, queueLength: number): void;
  addRedirect(fd: number, from: number, to: number, cookie: Uint8Array): void;
  addException(
    fd: number,
    index: number,
    order: number,
    protocol: number,
    keys: InputException['keys'],
    device: number,
    copies: boolean,
    cookie: Uint8Array,
  ): void;
  connectUdp(namespaceFd: number, address: Uint8Array, port: number): number;
  localPorts(namespaceFd: number, range?: string): string | undefined;
  removeIngress(fd: number, index: number): void;
  replay(fd: number, raw: Uint8Array, add: boolean): void;
}

/** Whoever imports this module needs it. */
const addon = await load();

async function load(): Promise<Addon> {
  try {
    return (await loadAddon('network.node')) as Addon;
  } catch (error) {
    if (!errorMessage(error).includes('libmnl')) throw error;
    throw new RunncError('HOST', 'network: libmnl is missing on this host: install it (Debian: libmnl0)', {
      cause: error,
    });
  }
}
