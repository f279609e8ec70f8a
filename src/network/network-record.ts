/**
 * What state.json keeps of a guest's network: enough to give everything back that was taken, whatever was killed at
 * whatever moment. It is written before the first change.
 */
export interface NetworkRecord {
  /** The namespace: its inode in nsfs, and the path that config.json names it by. */
  readonly inode: number;
  readonly path?: string;
  /** On the filters that are this container's, hexadecimal. */
  readonly cookie: string;
  /** net.ipv4.ip_local_port_range of the namespace, where that was changed. */
  readonly localPorts?: string;
  readonly interfaces: readonly TakenInterface[];
}

export interface TakenInterface {
  readonly index: number;
  readonly name: string;
  /** Netlink messages as the kernel gave them, base64, in the order in which they can be added again. */
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  /** Those that do not expire; with its last address an interface loses them. */
  readonly neighbours: readonly string[];
}
