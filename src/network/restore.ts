/** Gives a namespace back what a guest took: addresses and routes to their interfaces, and no filters. */
import { closeSync, constants, openSync, readFileSync, statSync } from '../files.ts';
import { errnoOf, errorMessage } from '../errors.ts';
import { reached } from '../fault.ts';
import type { NetworkRecord, TakenInterface } from './network-record.ts';
import { Rtnetlink } from './rtnetlink.ts';

/**
 * A descriptor on the record's network namespace, which the caller closes; undefined if it is gone, or nobody has a name
 * for it any more. `pid` is a process in it, if it still lives.
 */
export function openNamespace({ inode, path }: NetworkRecord, pid?: number): number | undefined {
  const candidates = [
    ...(pid === undefined ? [] : [`/proc/${String(pid)}/ns/net`]),
    ...(path === undefined ? [] : [path]),
    ...mountedAt(inode),
  ];
  for (const candidate of candidates) {
    try {
      // A path may lead anywhere by now; nothing but a namespace has this number, and nsfs opens nothing.
      if (statSync(candidate).ino !== inode) continue;
      const fd = openSync(candidate, constants.O_RDONLY);
      if (isNamespace(fd, inode)) return fd;
      closeSync(fd);
    } catch {
      // Gone: the next one.
    }
  }
  return undefined;
}

function isNamespace(fd: number, inode: number): boolean {
  return statSync(`/proc/self/fd/${String(fd)}`).ino === inode;
}

/** Where a namespace is mounted, as `ip netns`, Docker, podman and CNI do, see proc_pid_mountinfo(5). */
function mountedAt(inode: number): string[] {
  const root = `net:[${String(inode)}]`;
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[3] === root)
    .map((fields) => unescapePath(fields[4] ?? ''));
}

function unescapePath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * To be called once the guest is dead. May be called again after it was cut off at any point. What cannot be given back
 * (the gateway of a route is gone, for example) is told, and does not keep the rest from it.
 */
export function restoreNetwork(
  namespaceFd: number,
  record: NetworkRecord,
  onWarning: ((message: string) => void) | undefined,
): void {
  const netlink = new Rtnetlink(namespaceFd);
  try {
    for (const taken of record.interfaces) restoreInterface(netlink, taken, record.cookie, onWarning);
    if (record.localPorts !== undefined) restoreLocalPorts(netlink, record.localPorts, onWarning);
  } finally {
    netlink.close();
  }
}

function restoreLocalPorts(
  netlink: Rtnetlink,
  range: string,
  onWarning: ((message: string) => void) | undefined,
): void {
  try {
    netlink.localPorts = range;
  } catch (error) {
    onWarning?.(`network: cannot give net.ipv4.ip_local_port_range back: ${errorMessage(error)}`);
  }
}

function restoreInterface(
  netlink: Rtnetlink,
  { index, name, addresses, routes, neighbours }: TakenInterface,
  cookie: string,
  onWarning: ((message: string) => void) | undefined,
): void {
  switch (leftOf(netlink, index, cookie)) {
    case 'nothing':
      return;
    case 'qdisc':
      break;
    case 'redirect': {
      const give = (what: string, message: string): void => {
        try {
          netlink.restore(Buffer.from(message, 'base64'));
        } catch (error) {
          if (errnoOf(error) === 'EEXIST') return;
          onWarning?.(`network: ${name}: cannot give ${what} back: ${errorMessage(error)}`);
        }
      };
      for (const message of addresses) give('an address', message);
      reached('addresses-restored');
      for (const message of routes) give('a route', message);
      for (const message of neighbours) give('a neighbour', message);
      reached('routes-restored');
    }
  }
  try {
    netlink.removeIngress(index);
  } catch (error) {
    onWarning?.(`network: ${name}: cannot remove the redirect: ${errorMessage(error)}`);
  }
  reached('redirect-removed');
}

/**
 * The filter with our cookie says that this is the interface and that something may have been taken from it. An ingress
 * qdisc without any filter is what a killed runtime leaves that was just about to make it.
 */
function leftOf(netlink: Rtnetlink, index: number, cookie: string): 'nothing' | 'qdisc' | 'redirect' {
  const qdisc = netlink.qdiscs().find((one) => one.index === index && one.kind === 'ingress');
  if (qdisc === undefined) return 'nothing';
  const filters = netlink.ingressFilters(index);
  if (filters.length === 0) return 'qdisc';
  return filters.some((filter) => filter.cookie?.toString('hex') === cookie) ? 'redirect' : 'nothing';
}
