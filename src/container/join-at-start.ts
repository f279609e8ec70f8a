/**
 * A network that came between create and start: `ctr run --cni` and others put interfaces into the namespace that a
 * created container's process made. Nobody tells; so start looks.
 */
import { closeSync, constants, openSync, readFileSync } from '../files.ts';
import { lateNetwork, linuxInterfaces } from '../guest/linux-network.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import type { LateTender } from '../sandbox/launch.ts';
import { descriptorOf, withLate } from '../sandbox/tender-command.ts';
import { joinNetwork } from './join-network.ts';
import type { ContainerRecord } from './record.ts';
import type { LockedContainer } from './store.ts';

/**
 * What the tender gets in place of what create planned; undefined if nothing came and nothing needs to. Throws INVALID for
 * a Solo5 guest whose devices there is nothing for. `keep`: closes it afterwards.
 */
export async function joinAtStart(
  locked: LockedContainer,
  record: ContainerRecord,
  argv: readonly string[],
  keep: (fd: number) => number,
): Promise<LateTender | undefined> {
  const { pid, solo5Network } = record;
  const networking =
    solo5Network === undefined
      ? linuxNetworking(pid, argv, keep)
      : await solo5NetworkingOf(solo5Network, argv);
  if (!hasInterfaces(pid)) {
    if (solo5Network !== undefined) networking.choose([]);
    return undefined;
  }
  return joinNetwork({
    pid,
    path: undefined,
    networking,
    remember: (network) => {
      locked.write({ ...record, network });
    },
    keep,
    onWarning: undefined,
  });
}

function linuxNetworking(
  pid: number,
  argv: readonly string[],
  keep: (fd: number) => number,
): GuestNetworking<LateTender> {
  return {
    vnet: true,
    choose: linuxInterfaces,
    joined: (network) => withLate(argv, lateNetwork(plannedBootConfig(pid, argv), network, undefined, keep)),
  };
}

async function solo5NetworkingOf(
  plan: NonNullable<ContainerRecord['solo5Network']>,
  argv: readonly string[],
): Promise<GuestNetworking<LateTender>> {
  const networking = (await import('../guest/solo5-network.ts')).solo5Networking(plan);
  return {
    ...networking,
    joined: (network) => {
      const { args, late } = networking.joined(network);
      return withLate(argv, late, args);
    },
  };
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
