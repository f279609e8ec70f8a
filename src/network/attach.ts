/**
 * Joins a guest to interfaces of its network namespace: per interface a tap, both redirected to each other at their
 * ingress, so that every frame passes whatever it carries. The guest takes over MAC address, addresses and routes; the
 * interface keeps none, or the namespace's own stack would answer too.
 */
import { randomBytes } from 'node:crypto';
import { closeSync } from '../files.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import type { GuestInterface } from './guest-network.ts';
import { NAMESERVER_ASKS_FROM, NAMESERVER_PORT, nameserverExceptions } from './nameserver.ts';
import type { NetworkRecord } from './network-record.ts';
import { checkKind, type NamespaceContent, type NamespaceInterface, readNamespace } from './read.ts';
import { type Link, Rtnetlink } from './rtnetlink.ts';

export interface AttachRequest {
  /** Descriptor on the network namespace. */
  readonly namespaceFd: number;
  readonly inode: number;
  /** As config.json names it. */
  readonly path?: string;
  /** With virtio-net headers. */
  readonly vnet: boolean;
  /** Which of the interfaces the guest gets, in its own order; may refuse. */
  readonly choose: (available: readonly GuestInterface[]) => readonly GuestInterface[];
  /** A name server on the namespace's loopback that the guest is to reach, IPv4. */
  readonly nameserver?: Uint8Array;
  /** Writes down what is needed to undo what follows. */
  readonly remember: (record: NetworkRecord) => void;
  readonly onWarning?: (message: string) => void;
}

/** An interface that the guest has taken over. */
export interface AttachedInterface extends GuestInterface {
  /** The tap's. The caller closes it. */
  readonly fd: number;
}

export interface AttachedNetwork {
  readonly interfaces: readonly AttachedInterface[];
  /** A UDP socket that is connected to the name server. The caller closes it. */
  readonly nameserverFd?: number;
}

/** Frames that may wait for the guest: enough for the windows of many connections, while it does other things. */
const QUEUE_LENGTH = 10_000;
/** A tap's longest, TUN's ETH_MAX_MTU less the Ethernet header. */
const MAX_TAP_MTU = 65_521;
/** TC_COOKIE_MAX_SIZE. */
const COOKIE_BYTES = 16;
/** Begins every cookie, so that one guest knows another's. */
const COOKIE_MARK = Buffer.from('runnc');
const TC_H_INGRESS = 0xfffffff1;

/**
 * Without interfaces if there is nothing to join to. Throws what `choose` throws, UNSUPPORTED where the namespace or the kernel does
 * not allow it, HOST. What was done until then is undone by restoreNetwork().
 */
export function attachNetwork(request: AttachRequest): AttachedNetwork {
  const netlink = openNetlink(request.namespaceFd);
  const opened: number[] = [];
  try {
    const content = readNamespace(netlink);
    const chosen = chooseInterfaces(request, content, netlink);
    if (chosen.length === 0) return { interfaces: [] };
    checkFree(netlink, chosen);
    const { nameserver } = request;
    const cookie = Buffer.concat([COOKIE_MARK, randomBytes(COOKIE_BYTES - COOKIE_MARK.length)]);
    request.remember(recordOf(request, chosen, cookie, netlink));
    reached('network-recorded');
    const shared = nameserver !== undefined && letNameserverAsk(netlink, request);
    const interfaces = chosen.map((entry) => {
      const attached = attachInterface(netlink, entry, { vnet: request.vnet, shared, cookie });
      opened.push(attached.fd);
      return attached;
    });
    if (nameserver === undefined) return { interfaces };
    const nameserverFd = netlink.connectUdp(nameserver, NAMESERVER_PORT);
    return { interfaces, nameserverFd };
  } catch (error) {
    for (const fd of opened) closeSync(fd);
    throw error;
  } finally {
    netlink.close();
  }
}

/** False where that cannot be: then it knows the names of containers only. */
function letNameserverAsk(netlink: Rtnetlink, { onWarning }: AttachRequest): boolean {
  try {
    netlink.localPorts = NAMESERVER_ASKS_FROM;
    return true;
  } catch (error) {
    onWarning?.(
      `network: the container's name server can ask no other servers: net.ipv4.ip_local_port_range cannot be set: ${errorMessage(error)}`,
    );
    return false;
  }
}

function openNetlink(namespaceFd: number): Rtnetlink {
  try {
    return new Rtnetlink(namespaceFd);
  } catch (error) {
    if (errnoOf(error) === 'EPERM') {
      throw new RunncError(
        'HOST',
        "network: entering the container's network namespace needs CAP_SYS_ADMIN over it: run as root, or without a network (--network none)",
        { cause: error },
      );
    }
    throw error;
  }
}

function chooseInterfaces(
  { choose, onWarning }: AttachRequest,
  { interfaces, unusable, bare }: NamespaceContent,
  netlink: Rtnetlink,
): NamespaceInterface[] {
  for (const name of unusable) {
    onWarning?.(`network: ${name} is not an Ethernet interface: the guest does not get it`);
  }
  if (interfaces.length === 0 && bare.length > 0) checkNotTaken(netlink, bare);
  return choose(interfaces.map(({ guest }) => guest)).map((guest) => {
    const found = interfaces.find((entry) => entry.guest === guest);
    if (found === undefined) throw new RunncError('INTERNAL', 'network: a chosen interface is not there');
    checkKind(found);
    return found;
  });
}

/** Containers that share a namespace: the first guest has its addresses, and the next must not come up without. */
function checkNotTaken(netlink: Rtnetlink, links: readonly Link[]): void {
  const ingress = withIngress(netlink);
  // Taps have it too, at the guest's end; nobody knows those by name.
  for (const { index, name, kind } of links) {
    if (kind !== 'tun' && ingress.has(index) && isGuests(netlink, index)) throw takenByGuest(name);
  }
}

function checkFree(netlink: Rtnetlink, chosen: readonly NamespaceInterface[]): void {
  const ingress = withIngress(netlink);
  for (const { guest } of chosen) {
    if (!ingress.has(guest.index)) continue;
    if (isGuests(netlink, guest.index)) throw takenByGuest(guest.name);
    throw new RunncError(
      'UNSUPPORTED',
      `network: ${guest.name} has an ingress qdisc already, which the guest needs for itself: remove it (tc qdisc del dev ${guest.name} ingress)`,
    );
  }
}

/** Indexes of the interfaces that have an ingress (or clsact) qdisc. */
function withIngress(netlink: Rtnetlink): ReadonlySet<number> {
  const qdiscs = netlink.qdiscs().filter(({ parent }) => parent === TC_H_INGRESS);
  return new Set(qdiscs.map(({ index }) => index));
}

function isGuests(netlink: Rtnetlink, index: number): boolean {
  return netlink
    .ingressFilters(index)
    .some(({ cookie }) => cookie?.subarray(0, COOKIE_MARK.length).equals(COOKIE_MARK) === true);
}

function takenByGuest(name: string): RunncError {
  return new RunncError(
    'UNSUPPORTED',
    `network: another guest in this network namespace has taken ${name}: two guests cannot share an address; ` +
      'run this one without a network by the annotation io.runnc.network=none',
  );
}

function recordOf(
  { inode, path, nameserver }: AttachRequest,
  chosen: readonly NamespaceInterface[],
  cookie: Buffer,
  netlink: Rtnetlink,
): NetworkRecord {
  const base64 = (message: Buffer): string => message.toString('base64');
  return {
    inode,
    ...(path === undefined ? {} : { path }),
    cookie: cookie.toString('hex'),
    ...(nameserver === undefined ? {} : { localPorts: netlink.localPorts }),
    interfaces: chosen.map(({ guest, addresses, routes, neighbours }) => ({
      index: guest.index,
      name: guest.name,
      addresses: addresses.map(base64),
      routes: routes.map(base64),
      neighbours: neighbours.map(base64),
    })),
  };
}

function attachInterface(
  netlink: Rtnetlink,
  { guest, addresses, routes }: NamespaceInterface,
  { vnet, shared, cookie }: { readonly vnet: boolean; readonly shared: boolean; readonly cookie: Buffer },
): AttachedInterface {
  const tap = openTap(netlink, vnet);
  try {
    const mtu = Math.min(guest.mtu, MAX_TAP_MTU);
    netlink.setUpTap(tap.index, mtu, QUEUE_LENGTH);
    reached('tap-made');
    addRedirect(netlink, tap.index, guest.index, cookie);
    addRedirect(netlink, guest.index, tap.index, cookie);
    reached('interface-redirected');
    if (shared) {
      nameserverExceptions.forEach((exception, i) => {
        netlink.addException({ index: guest.index, guest: tap.index, order: i + 1 }, exception, cookie);
      });
      return { ...guest, mtu, fd: tap.fd };
    }
    // Backwards: without its primary address the kernel would drop or promote those behind it.
    for (const message of [...addresses].reverse()) remove(netlink, message);
    reached('addresses-taken');
    for (const message of [...routes].reverse()) remove(netlink, message);
    reached('routes-taken');
    return { ...guest, mtu, fd: tap.fd };
  } catch (error) {
    closeSync(tap.fd);
    throw networkError(guest.name, error);
  }
}

/** With an address its routes go, and with a primary one sometimes the secondary ones. */
function remove(netlink: Rtnetlink, message: Buffer): void {
  try {
    netlink.remove(message);
  } catch (error) {
    if (!['EADDRNOTAVAIL', 'ESRCH', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error;
  }
}

function openTap(netlink: Rtnetlink, vnet: boolean): ReturnType<Rtnetlink['openTap']> {
  try {
    return netlink.openTap(vnet);
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (syscallOf(error) !== 'open') throw networkError('tap', error);
    if (['ENOENT', 'ENODEV', 'ENXIO'].includes(errno)) {
      throw new RunncError('HOST', 'network: /dev/net/tun is missing: load the kernel module (modprobe tun)');
    }
    throw new RunncError('HOST', `network: /dev/net/tun cannot be opened: ${errorMessage(error)}`);
  }
}

function addRedirect(netlink: Rtnetlink, from: number, to: number, cookie: Buffer): void {
  try {
    netlink.addRedirect(from, to, cookie);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const parts =
      syscallOf(error) === 'ingress'
        ? 'the ingress qdisc (CONFIG_NET_SCH_INGRESS, modprobe sch_ingress)'
        : 'the u32 filter or the mirred action (CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED, modprobe cls_u32 act_mirred)';
    throw new RunncError('UNSUPPORTED', `network: this kernel lacks ${parts}`, { cause: error });
  }
}

function networkError(name: string, error: unknown): unknown {
  if (error instanceof RunncError) return error;
  if (errnoOf(error) === 'EPERM') {
    return new RunncError(
      'HOST',
      `network: ${name}: changing the container's network namespace needs CAP_NET_ADMIN over it: run as root, or without a network (--network none)`,
      { cause: error },
    );
  }
  const detail = error instanceof Error && 'detail' in error ? ` (${String(error.detail)})` : '';
  return new RunncError('HOST', `network: ${name}: ${errorMessage(error)}${detail}`, { cause: error });
}

function syscallOf(error: unknown): unknown {
  return error instanceof Error && 'syscall' in error ? error.syscall : undefined;
}
