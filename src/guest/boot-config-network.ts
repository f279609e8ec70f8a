/** The records of the boot config that tell the Linux guest its network: RUNNC_REC_NET* of runnc_boot_config.h. */
import type {
  GuestInterface,
  InterfaceAddress,
  InterfaceRoute,
  Neighbour,
} from '../network/guest-network.ts';

export type NetworkRecord = readonly [type: number, data: Buffer];

const RecordType = { DEVICE: 16, ADDRESS: 17, ROUTE: 18, NEIGHBOUR: 19, NAMESERVER: 20 } as const;

/** enum runnc_route_flags. */
const RouteFlag = { GATEWAY: 1, PREFSRC: 2, ONLINK: 4 } as const;

const NAME_BYTES = 16;
const ADDRESS_BYTES = 16;

/** Interface i is device i of the guest's boot info. */
export function networkRecords(interfaces: readonly GuestInterface[]): NetworkRecord[] {
  return interfaces.flatMap((entry, device) => [
    [RecordType.DEVICE, deviceRecord(entry, device)] as const,
    ...entry.addresses.map((address) => [RecordType.ADDRESS, addressRecord(address, device)] as const),
    ...entry.routes.map((route) => [RecordType.ROUTE, routeRecord(route, device)] as const),
    ...entry.neighbours.map((one) => [RecordType.NEIGHBOUR, neighbourRecord(one, device)] as const),
  ]);
}

/** One that the channel "resolver" leads to: 4 bytes. */
export function nameserverRecord(address: Uint8Array): NetworkRecord {
  return [RecordType.NAMESERVER, Buffer.from(address)];
}

function deviceRecord({ index, mtu, mac, name }: GuestInterface, device: number): Buffer {
  return Buffer.concat([u32(device, index, mtu), field(mac, 8), field(Buffer.from(name), NAME_BYTES)]);
}

function addressRecord(entry: InterfaceAddress, device: number): Buffer {
  const { family, prefixLength, scope, flags, address, peer = address, broadcast } = entry;
  return Buffer.concat([
    u32(device),
    Buffer.of(family, prefixLength, scope, 0),
    u32(flags),
    field(address, ADDRESS_BYTES),
    field(peer, ADDRESS_BYTES),
    field(broadcast, 4),
  ]);
}

function routeRecord(route: InterfaceRoute, device: number): Buffer {
  const { family, prefixLength, scope, gateway, preferredSource, onlink, metric, mtu, protocol } = route;
  const flags =
    (gateway === undefined ? 0 : RouteFlag.GATEWAY) |
    (preferredSource === undefined ? 0 : RouteFlag.PREFSRC) |
    (onlink ? RouteFlag.ONLINK : 0);
  return Buffer.concat([
    u32(device),
    Buffer.of(family, prefixLength, scope, gateway?.family ?? 0),
    u32(flags, metric, mtu, protocol),
    field(route.destination, ADDRESS_BYTES),
    field(gateway?.address, ADDRESS_BYTES),
    field(preferredSource, ADDRESS_BYTES),
  ]);
}

function neighbourRecord({ family, mac, address }: Neighbour, device: number): Buffer {
  return Buffer.concat([u32(device), Buffer.of(family), field(mac, 11), field(address, ADDRESS_BYTES)]);
}

/** At its start, zeros behind. */
function field(bytes: Uint8Array | undefined, size: number): Buffer {
  const result = Buffer.alloc(size);
  if (bytes !== undefined) result.set(bytes);
  return result;
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32LE(value, i * 4));
  return bytes;
}
