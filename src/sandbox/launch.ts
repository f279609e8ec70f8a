/**
 * Hands a launch plan to init and talks with it until the container is created, and later until it is started.
 * The one place that knows the protocol; tender/init/init.c is its other end.
 */
import { RunncError } from '../errors.ts';
import type { LaunchPlan } from './launch-plan.ts';

/** The container's process: init until start, the tender afterwards; one pid, one wait status. */
export interface InitProcess {
  /** As seen by this process. What belongs into the pid file. */
  readonly pid: number;
  /** As seen inside the container's pid namespace: 1 if that is new. What hooks run by init are told. */
  readonly containerPid: number;
  /** The caller owns it. waitExit(pidfd) works while this process is the parent. */
  readonly pidfd: number;
}

/** The OCI state that init passes to the hooks it runs, as JSON with `pid: containerPid`. */
export interface HookStates {
  /** `status: "creating"`. */
  readonly createContainer: string;
  /** `status: "created"`. */
  readonly startContainer: string;
}

/**
 * Creates the container's process. `onNamespaces` is called once its namespaces exist and before anything is
 * done inside them: there the caller records the pid, puts it in the cgroup, runs prestart and createRuntime
 * hooks and sets up the network. Resolves when init waits for start.
 *
 * Whatever fails (init, onNamespaces): rejects with a RunncError, and the process is gone and reaped by then.
 * If this process dies before it resolves, init ends by itself. Closes no descriptor of the plan.
 */
export async function launch(
  plan: LaunchPlan,
  onNamespaces: (init: InitProcess) => Promise<HookStates>,
): Promise<InitProcess> {
  void plan;
  void onNamespaces;
  throw new RunncError('INTERNAL', 'not built yet');
}

/**
 * Tells the init that listens on `name` in the folder `directoryFd` to run startContainer hooks and then the
 * tender; resolves when the tender has been executed. Rejects with init's own message (HOOK, EXEC_DENIED, HOST),
 * and with STATE if nobody listens there any more (already started, or dead).
 */
export async function start(directoryFd: number, name: string): Promise<void> {
  void directoryFd;
  void name;
  throw new RunncError('INTERNAL', 'not built yet');
}
