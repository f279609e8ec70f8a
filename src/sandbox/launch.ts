/** Hands a launch plan to init and talks with it until the container is created. */
import { closeSync, writeFileSync } from '../files.ts';
import { readAsset } from '../assets.ts';
import { errnoOf, RunncError } from '../errors.ts';
import {
  pidfdOpen,
  pidfdSendSignal,
  receiveMessage,
  sealedMemfd,
  sendMessage,
  socketPair,
  spawn,
  waitExit,
  type ExitStatus,
  type SpawnedProcess,
} from '../native.ts';
import { encodePlan, encodeStrings } from './encode-plan.ts';
import { endedEarly, failureOf, INIT_HOLD_MS, kindOf, message, misunderstood } from './init-messages.ts';
import type { IdMapping, LaunchPlan, UserNamespacePlan } from './launch-plan.ts';

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

/** What init goes on with. */
export interface Continuation extends HookStates {
  /** In place of the plan's, if the network makes a difference. */
  readonly tender?: LateTender;
}

export interface LateTender {
  readonly argv: readonly string[];
  /** Beside those of the plan: see tender-command.ts. At most 80. */
  readonly lateDescriptors: readonly number[];
}

const SIGKILL = 9;

/**
 * Creates the container's process. `onNamespaces` is called once its namespaces exist and before anything is
 * done inside them: there the caller records the pid, puts it in the cgroup, runs prestart and createRuntime
 * hooks and sets up the network. Resolves when init waits for start.
 *
 * Whatever fails (init, onNamespaces): rejects, with a RunncError where it was init, and the process is gone and
 * reaped by then. If this process dies before it resolves, init ends by itself. Closes no descriptor of the plan.
 */
export async function launch(
  plan: LaunchPlan,
  onNamespaces: (init: InitProcess) => Promise<Continuation>,
): Promise<InitProcess> {
  const { sync, stage } = await spawnInit(plan);
  let init: InitProcess | undefined;
  try {
    for (;;) {
      const { data, fds, senderPid } = await receiveMessage(sync, INIT_HOLD_MS);
      switch (kindOf(data)) {
        case message.userNamespace:
          writeIdMaps(stage.pid, plan.userNamespace);
          sendMessage(sync, Buffer.from(message.mapped));
          break;
        case message.namespaces: {
          const pidfd = fds[0];
          if (pidfd === undefined || senderPid === undefined) throw misunderstood();
          init = { pid: senderPid, containerPid: data.readUInt32LE(1), pidfd };
          sendContinuation(sync, plan, await onNamespaces(init));
          break;
        }
        case message.created:
          if (init === undefined) throw misunderstood();
          return init;
        case message.failed:
          if (init === undefined && senderPid !== undefined && senderPid !== stage.pid) {
            init = { pid: senderPid, containerPid: 0, pidfd: pidfdOpen(senderPid) };
          }
          throw failureOf(data.subarray(1));
        case message.fault:
          process.kill(process.pid, 'SIGKILL');
          break;
        case undefined:
          throw endedEarly(await reap((init ?? stage).pidfd));
        default:
          throw misunderstood();
      }
    }
  } catch (error) {
    if (init !== undefined) {
      // It would end by itself when it finds us gone; this way it does so at once, even stopped.
      killProcess(init.pidfd);
      await reap(init.pidfd);
      closeSync(init.pidfd);
    }
    throw error;
  } finally {
    closeSync(sync);
    await reap(stage.pidfd);
    closeSync(stage.pidfd);
  }
}

/** Starts init's first stage; `sync` is our end of the conversation. */
async function spawnInit(
  plan: LaunchPlan,
): Promise<{ readonly sync: number; readonly stage: SpawnedProcess }> {
  const [sync, initSync] = socketPair();
  const toClose = [initSync];
  try {
    const { bytes, descriptors } = encodePlan(plan, initSync);
    const planFd = sealedMemfd('runnc-plan', bytes, 'data');
    toClose.push(planFd);
    // Readable: an ordinary user's runtime must get at its /proc files to write the maps. Init hides itself afterwards.
    const executableFd = sealedMemfd('runnc-init', await readAsset('init'), 'readable-executable');
    toClose.push(executableFd);
    const stage = spawn({
      executableFd,
      argv: ['runnc-init', String(descriptors.length)],
      environment: [],
      descriptors: [...descriptors, planFd],
    });
    return { sync, stage };
  } catch (error) {
    closeSync(sync);
    throw error;
  } finally {
    // initSync above all: as long as we hold it, the end of init cannot be seen.
    for (const fd of toClose) closeSync(fd);
  }
}

/** user_namespaces(7): setgroups before gid_map. One write each, the kernel takes no second. */
function writeIdMaps(pid: number, maps: UserNamespacePlan | undefined): void {
  if (maps === undefined) throw new RunncError('INTERNAL', 'a new user namespace needs its maps');
  const folder = `/proc/${String(pid)}`;
  if (maps.denySetgroups) writeFileSync(`${folder}/setgroups`, 'deny');
  writeMap(`${folder}/uid_map`, 'linux.uidMappings', maps.uidMappings);
  writeMap(`${folder}/gid_map`, 'linux.gidMappings', maps.gidMappings);
}

function writeMap(path: string, field: string, mappings: readonly IdMapping[]): void {
  const lines = mappings.map(
    (map) => `${String(map.containerId)} ${String(map.hostId)} ${String(map.size)}\n`,
  );
  try {
    writeFileSync(path, lines.join(''));
  } catch (error) {
    const reason = errnoOf(error) ?? 'unknown error';
    const text = `${field}: the kernel refuses this map (${reason}): ${lines.join(', ').replaceAll('\n', '')}`;
    throw new RunncError('HOST', text, { cause: error });
  }
}

/** Init expects the states if it has hooks to pass them to, then what the network adds, if that is anything. */
function sendContinuation(sync: number, plan: LaunchPlan, { tender, ...states }: Continuation): void {
  const fds: number[] = [];
  try {
    if (plan.createContainerHooks.length + plan.startContainerHooks.length > 0) {
      fds.push(sealedMemfd('runnc-state', Buffer.from(states.createContainer), 'data'));
      fds.push(sealedMemfd('runnc-state', Buffer.from(states.startContainer), 'data'));
    }
    if (tender !== undefined) fds.push(sealedMemfd('runnc-tender', encodeStrings(tender.argv), 'data'));
    sendMessage(sync, Buffer.from(message.continue), [...fds, ...(tender?.lateDescriptors ?? [])]);
  } catch (error) {
    // Init is dead already: what receiveMessage says next is the better error.
    if (errnoOf(error) !== 'EPIPE') throw error;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function killProcess(pidfd: number): void {
  try {
    pidfdSendSignal(pidfd, SIGKILL);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** Undefined if it was reaped before. */
async function reap(pidfd: number): Promise<ExitStatus | undefined> {
  try {
    return await waitExit(pidfd, INIT_HOLD_MS);
  } catch (error) {
    if (errnoOf(error) === 'ECHILD') return undefined;
    throw error;
  }
}
