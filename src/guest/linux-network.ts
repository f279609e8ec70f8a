/** The Linux guest's network: all interfaces there are, told by the boot config. */
import { RunncError } from '../errors.ts';
import { sealedMemfd } from '../native.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import { loopbackNameserver } from '../network/nameserver.ts';
import type { GuestMount } from '../rootfs/mounts.ts';
import type { TenderInput } from '../sandbox/tender-command.ts';
import { addRecords } from './boot-config.ts';
import { nameserverRecord, networkRecords } from './boot-config-network.ts';
import type { Extra, Guest } from './guest.ts';

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
    choose: (available) => {
      if (available.length <= MAX_INTERFACES) return available;
      throw new RunncError(
        'UNSUPPORTED',
        `network: the container has ${String(available.length)} interfaces, a Linux guest takes at most ${String(MAX_INTERFACES)}`,
      );
    },
    ...(nameserver === undefined ? {} : { nameserver }),
    joined: ({ interfaces, nameserverFd }) => {
      const records = networkRecords(interfaces);
      if (nameserver !== undefined) records.push(nameserverRecord(nameserver));
      const bootConfig = addRecords(guest.bootConfig ?? Buffer.alloc(0), records);
      const extras: readonly Extra[] = nameserverFd === undefined ? ['vnet'] : ['vnet', 'channel'];
      return {
        guest: { ...guest, bootConfig, allowedExtras: [...new Set([...guest.allowedExtras, ...extras])] },
        late: {
          bootConfigFd: keep(sealedMemfd('boot-config', bootConfig, 'data')),
          vnetFds: interfaces.map(({ fd }) => fd),
          nets: [],
          channels: nameserverFd === undefined ? [] : [{ name: 'resolver', fd: nameserverFd }],
        },
      };
    },
  };
}

/** What a program would find in /etc/resolv.conf. One of the image's own says nothing of this network. */
function nameserverOf(mounts: readonly GuestMount[]): Uint8Array | undefined {
  const mounted = mounts.findLast(
    (mount) => mount.kind === 'file' && mount.file.path.toString() === '/etc/resolv.conf',
  );
  return mounted?.kind === 'file' ? loopbackNameserver(mounted.file.content.toString('latin1')) : undefined;
}
