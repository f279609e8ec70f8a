/** The Linux guest's network: all interfaces there are, told by the boot config. */
import { RunncError } from '../errors.ts';
import { sealedMemfd } from '../native.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import type { TenderInput } from '../sandbox/tender-command.ts';
import { addRecords } from './boot-config.ts';
import { networkRecords } from './boot-config-network.ts';
import type { Guest } from './guest.ts';

/** RUNNC_VNET_MAX. */
const MAX_INTERFACES = 16;

/** `keep` closes a descriptor when the creation is over. */
export function linuxNetworking(
  guest: Guest,
  keep: (fd: number) => number,
): GuestNetworking<Pick<TenderInput, 'guest' | 'late'>> {
  return {
    vnet: true,
    choose: (available) => {
      if (available.length <= MAX_INTERFACES) return available;
      throw new RunncError(
        'UNSUPPORTED',
        `network: the container has ${String(available.length)} interfaces, a Linux guest takes at most ${String(MAX_INTERFACES)}`,
      );
    },
    joined: (interfaces) => {
      const bootConfig = addRecords(guest.bootConfig ?? Buffer.alloc(0), networkRecords(interfaces));
      return {
        guest: { ...guest, bootConfig, allowedExtras: [...guest.allowedExtras, 'vnet'] },
        late: {
          bootConfigFd: keep(sealedMemfd('boot-config', bootConfig, 'data')),
          vnetFds: interfaces.map(({ fd }) => fd),
          nets: [],
        },
      };
    },
  };
}
