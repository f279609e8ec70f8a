/** The Linux guest's network: all interfaces there are, told by the boot config. */
import { RunncError } from '../errors.ts';
import { sealedMemfd } from '../native.ts';
import type { AttachedNetwork } from '../network/attach.ts';
import type { GuestInterface } from '../network/guest-network.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import { loopbackNameserver } from '../network/nameserver.ts';
import type { GuestMount } from '../rootfs/mounts.ts';
import type { LateInput, TenderInput } from '../sandbox/tender-command.ts';
import { addRecords } from './boot-config.ts';
import { nameserverRecord, networkRecords } from './boot-config-network.ts';
import type { Guest } from './guest.ts';

/** RUNNC_VNET_MAX. */
const MAX_INTERFACES = 16;

export interface LinuxNetworkInput {
  readonly guest: Guest;
  /** Of config.json, as the hooks have left them. */
  readonly mounts: readonly GuestMount[];
  /** Closes a descriptor when the creation is over. */
  readonly keep: (fd: number) => number;
}

export function linuxNetworking({
  guest,
  mounts,
  keep,
}: LinuxNetworkInput): GuestNetworking<Pick<TenderInput, 'guest' | 'late'>> {
  const nameserver = nameserverOf(mounts);
  return {
    vnet: true,
    choose: linuxInterfaces,
    ...(nameserver === undefined ? {} : { nameserver }),
    joined: (network) => ({
      guest,
      late: lateNetwork(guest.bootConfig ?? Buffer.alloc(0), network, nameserver, keep),
    }),
  };
}

/** All that there are. Throws UNSUPPORTED for more than it can have. */
export function linuxInterfaces(available: readonly GuestInterface[]): readonly GuestInterface[] {
  if (available.length <= MAX_INTERFACES) return available;
  throw new RunncError(
    'UNSUPPORTED',
    `network: the container has ${String(available.length)} interfaces, a Linux guest takes at most ${String(MAX_INTERFACES)}`,
  );
}

/** What the tender gets, with the boot config as it was before. */
export function lateNetwork(
  bootConfig: Uint8Array,
  { interfaces, nameserverFd }: AttachedNetwork,
  nameserver: Uint8Array | undefined,
  keep: (fd: number) => number,
): LateInput {
  const records = networkRecords(interfaces);
  if (nameserver !== undefined) records.push(nameserverRecord(nameserver));
  const channels = nameserverFd === undefined ? [] : [{ name: 'resolver', fd: nameserverFd }];
  return {
    bootConfigFd: keep(sealedMemfd('boot-config', addRecords(bootConfig, records), 'data')),
    vnetFds: interfaces.map(({ fd }) => fd),
    nets: [],
    channels,
    extras: channels.length === 0 ? ['vnet'] : ['vnet', 'channel'],
  };
}

/** What a program would find in /etc/resolv.conf. One of the image's own says nothing of this network. */
function nameserverOf(mounts: readonly GuestMount[]): Uint8Array | undefined {
  const mounted = mounts.findLast(
    (mount) => mount.kind === 'file' && mount.file.path.toString() === '/etc/resolv.conf',
  );
  return mounted?.kind === 'file' ? loopbackNameserver(mounted.file.content.toString('latin1')) : undefined;
}
