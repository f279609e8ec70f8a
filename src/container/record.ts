/**
 * state.json: what the runtime remembers of a container between its calls. Everything that can be asked of the
 * kernel (is it alive, paused, started) is asked and not written down.
 */
import type { Solo5NetworkPlan } from '../guest/solo5-network.ts';
import type { CgroupState } from '../sandbox/cgroups/index.ts';
import type { NetworkRecord } from '../network/network-record.ts';
import type { Hook } from '../oci/spec.ts';

export interface ContainerRecord {
  /** Of this layout. A file with another number was written by another version of runnc. */
  readonly version: 1;
  readonly ociVersion: string;
  readonly id: string;
  /** Absolute, like rootfs. */
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  /** Name of the user who created it. */
  readonly owner: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** False until create has done everything it has to do. */
  readonly complete: boolean;
  /** The container's process, named for good by its start time (decimal clock ticks since boot); 0: none yet. */
  readonly pid: number;
  readonly startTime: string;
  readonly cgroup: CgroupState;
  /** The host's uid it runs as; absent for users other than root. */
  readonly sandboxUid?: number;
  /**
   * Number, in the container's process, of the descriptor that is the runtime's end of the control channel; absent for
   * guests that have none.
   */
  readonly controlFd?: number;
  /** What the guest took from its network namespace, if it has one to share. */
  readonly network?: NetworkRecord;
  /** The tender's command line as create planned it, of a guest that takes what comes into its namespace before start. */
  readonly tenderArgv?: readonly string[];
  /** How a Solo5 guest is joined to it. */
  readonly solo5Network?: Solo5NetworkPlan;
  /** Those that are still to run; config.json may have changed or gone by then. */
  readonly hooks: { readonly poststart: readonly Hook[]; readonly poststop: readonly Hook[] };
}
