/**
 * The control groups of one container. `newCgroup` decides where they are and touches nothing; what it returns
 * makes, limits, reads and removes them. What must be known later is `state`, plain data for state.json.
 *
 * Resources are linux.resources of config.json with checked types. 0 or absent means "leave as it is" and, for
 * limits, a negative number means "no limit". Kernel memory limits are ignored: Linux has had none since 5.16.
 *
 * Every failure is a RunncError of one line that names the field of config.json, the file and the errno.
 */
import type { Resources } from '../../oci/spec.ts';
import type { CgroupStats } from './stats.ts';

export type { CgroupStats } from './stats.ts';

/** All that is needed to find a container's cgroups again. */
export interface CgroupState {
  /** 1 also for a hybrid host: the controllers are cgroup v1's, `unified` is among the paths. */
  readonly version: 1 | 2;
  /**
   * Absolute directories: by controller for version 1 (`memory`, `name=systemd`, `unified` …), and the one
   * `unified` for version 2. Empty when nothing could be made (rootless).
   */
  readonly paths: Readonly<Record<string, string>>;
  /** Set when systemd was asked to make the scope. */
  readonly systemd?: { readonly unit: string; readonly slice: string; readonly user: boolean };
  readonly rootless: boolean;
}

export interface CgroupOptions {
  readonly id: string;
  /** linux.cgroupsPath; absent or empty: a cgroup of the container's id beside the caller's own. */
  readonly cgroupsPath?: string;
  /** --systemd-cgroup: cgroupsPath is `slice:prefix:name` and systemd makes the scope. */
  readonly systemd: boolean;
  /** What the caller may not do is left out, unless config.json asked for it. */
  readonly rootless: boolean;
}

export type FreezerState = 'thawed' | 'freezing' | 'frozen';

export interface CgroupManager {
  /** Complete once `make` or `enter` has returned; before that the paths are those that they will make. */
  readonly state: CgroupState;

  /**
   * Throws STATE for cgroups that hold processes or are frozen. To be called before `state` is written down, for
   * what state.json names is killed and removed with the container.
   */
  refuseUsed(): void;

  /**
   * Makes the cgroups, sets the limits, and says how a process that is yet to be made gets in by itself. That spares
   * the wait for an RCU grace period (about 10 ms) that moving a process from outside costs, for the kernel must then
   * hold off all forks and exits. Undoes itself when it fails.
   *
   * Undefined, and nothing is made, where it takes a process first (systemd's scopes) or where some of the cgroups may
   * turn out closed to us (rootless): `enter` then.
   */
  make(resources: Resources | undefined): Promise<CgroupDoors | undefined>;

  /**
   * Makes the cgroups, sets the limits and only then moves the process in. Undoes itself when it fails.
   */
  enter(pid: number, resources: Resources | undefined): Promise<void>;

  /**
   * Files to which a single-threaded process writes 0 to get in by itself; the caller closes them. Empty where there
   * is no cgroup (rootless, or none any more).
   */
  entrances(): readonly number[];

  /** Moves one more process in. */
  add(pid: number): Promise<void>;

  /** Changes the limits that are given; the others stay. Device rules are set by `enter` only, as in runc. */
  update(resources: Resources): Promise<void>;

  /** Stops all processes; returns when they stand still. Throws UNSUPPORTED where there is no freezer. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** `thawed` where there is no freezer, or no cgroup any more. */
  freezerState(): FreezerState;

  /** The processes in the cgroup and below it. Empty when there is no cgroup (any more). */
  pids(): readonly number[];

  stats(): Promise<CgroupStats>;

  /** How many processes the host's OOM killer ended here. 0 where that is not counted. */
  oomKills(): number;

  /**
   * Calls back with the new count whenever the host's OOM killer struck. cgroup v2 tells by inotify;
   * cgroup v1 tells only by eventfd, which JavaScript has not, so there the counter is read once a second.
   * `close` ends it and must be called.
   */
  watchOom(onOom: (oomKills: number) => void): Promise<{ close(): void }>;

  /** SIGKILL to everything in it, also when frozen. Does not wait for the processes to be gone. */
  killAll(): Promise<void>;

  /**
   * Removes the cgroups and those below; nothing there is fine. Waits, up to 5 s, while processes that were
   * killed are still leaving; then throws.
   */
  delete(): Promise<void>;
}

/** Open descriptors, which the caller closes. */
export interface CgroupDoors {
  /** cgroup v1 `tasks` files: a single-threaded process enters by writing 0 to each. */
  readonly taskFds: readonly number[];
  /** A cgroup v2 directory, for clone3(2) with CLONE_INTO_CGROUP. */
  readonly cloneFd?: number;
}

/** The cgroups that a new container shall have. Reads the host's layout, touches nothing. */
export async function newCgroup(options: CgroupOptions): Promise<CgroupManager> {
  const { planCgroup } = await import('./plan.ts');
  return openCgroup(planCgroup(options));
}

/** The cgroups of a container that is there already. */
export async function openCgroup(state: CgroupState): Promise<CgroupManager> {
  if (state.version === 2) {
    const { CgroupV2 } = await import('./v2.ts');
    return new CgroupV2(state);
  }
  const { CgroupV1 } = await import('./v1.ts');
  return new CgroupV1(state);
}
