/** Gives a container that is being created what its network namespace holds, once the hooks have filled that. */
import { closeSync, constants, fstatSync, openSync } from '../files.ts';
import { RunncError } from '../errors.ts';
import { reached } from '../fault.ts';
import { attachNetwork } from '../network/attach.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import { isHosts } from '../network/mode.ts';
import type { NetworkRecord } from '../network/network-record.ts';

export interface JoinRequest<T> {
  /** A process of ours in the namespace, not yet reaped: the number is still its. */
  readonly pid: number;
  /** As config.json names the namespace. */
  readonly path: string | undefined;
  readonly networking: GuestNetworking<T>;
  readonly remember: (record: NetworkRecord) => void;
  /** Closes a descriptor when the creation is over. */
  readonly keep: (fd: number) => number;
  readonly onWarning: ((message: string) => void) | undefined;
}

/** Undefined if there is nothing to join. Throws as attachNetwork(). */
export function joinNetwork<T>({
  pid,
  path,
  networking,
  remember,
  keep,
  onWarning,
}: JoinRequest<T>): T | undefined {
  const door = `/proc/${String(pid)}/ns/net`;
  const namespaceFd = openSync(door, constants.O_RDONLY);
  try {
    // config.json was looked at before; what its path led to may have changed since.
    if (isHosts(door)) throw new RunncError('UNSUPPORTED', "network: the namespace is the host's own");
    const network = attachNetwork({
      namespaceFd,
      inode: fstatSync(namespaceFd).ino,
      ...(path === undefined || path === '' ? {} : { path }),
      vnet: networking.vnet,
      choose: networking.choose,
      ...(networking.nameserver === undefined ? {} : { nameserver: networking.nameserver }),
      remember,
      ...(onWarning === undefined ? {} : { onWarning }),
    });
    if (network.interfaces.length === 0) return undefined;
    for (const { fd } of network.interfaces) keep(fd);
    if (network.nameserverFd !== undefined) keep(network.nameserverFd);
    reached('network-attached');
    return networking.joined(network);
  } finally {
    closeSync(namespaceFd);
  }
}
