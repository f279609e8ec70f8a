/** What the parts that know a guest's kind say of its network, and the part that makes networks does. */
import type { AttachedNetwork } from './attach.ts';
import type { GuestInterface } from './guest-network.ts';

/** `T`: what the tender is told once the interfaces are the guest's. */
export interface GuestNetworking<T> {
  /** Frames with virtio-net headers and offloads. */
  readonly vnet: boolean;
  /** Those of the namespace's interfaces that the guest gets, in its order. Throws if it cannot do with them. */
  readonly choose: (available: readonly GuestInterface[]) => readonly GuestInterface[];
  /** A name server on the namespace's loopback that it is to reach, IPv4. */
  readonly nameserver?: Uint8Array;
  readonly joined: (network: AttachedNetwork) => T;
}
