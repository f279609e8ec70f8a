/**
 * A network that came between create and start: `ctr run --cni` and others put interfaces into the namespace that a
 * created container's process made. Nobody tells; so start looks.
 */
import { closeSync, constants, openSync, readFileSync } from '../files.ts';
import { lateNetwork, linuxInterfaces } from '../guest/linux-network.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import type { LateTender } from '../sandbox/launch.ts';
import { descriptorOf, type LateInput, withLate } from '../sandbox/tender-command.ts';
import { joinNetwork } from './join-network.ts';
import type { ContainerRecord } from './record.ts';
import type { LockedContainer } from './store.ts';

/** What the tender gets in place of what create planned; undefined if nothing came. `keep`: closes it afterwards. */
export function joinAtStart(
  locked: LockedContainer,
  record: ContainerRecord,
  argv: readonly string[],
  keep: (fd: number) => number,
): LateTender | undefined {
  const { pid } = record;
  if (!hasInterfaces(pid)) return undefined;
  const networking: GuestNetworking<LateInput> = {
    vnet: true,
    choose: linuxInterfaces,
    joined: (network) => lateNetwork(plannedBootConfig(pid, argv), network, undefined, keep),
  };
  const late = joinNetwork({
    pid,
    path: undefined,
    networking,
    remember: (network) => {
      locked.write({ ...record, network });
    },
    keep,
    onWarning: undefined,
  });
  return late === undefined ? undefined : withLate(argv, late);
}

/** Beside lo. */
function hasInterfaces(pid: number): boolean {
  const lines = readFileSync(`/proc/${String(pid)}/net/dev`, 'utf8')
    .trim()
    .split('\n');
  return lines.length > 3;
}

/** It waits in init, sealed. */
function plannedBootConfig(pid: number, argv: readonly string[]): Buffer {
  const fd = openSync(
    `/proc/${String(pid)}/fd/${String(descriptorOf(argv, '--boot-config'))}`,
    constants.O_RDONLY,
  );
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
