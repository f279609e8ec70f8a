/**
 * runnc as a library: everything exported here is documented and kept stable; the rest of src/ is free to change.
 *
 *     import { Container, inspect, run } from 'runnc';
 */
export {
  Container,
  type ContainerEvent,
  type ContainerState,
  type ContainerStats,
  type DeleteOptions,
  type KillOptions,
  type StoreOptions,
} from './container/container.ts';
export type { CreateOptions } from './container/create.ts';
export type { ExecOptions, ExecProcess } from './container/exec.ts';
export type { LogOptions } from './container/logs.ts';
export type { GuestMemory, GuestProcess, GuestStats } from './container/guest-answers.ts';
export { run, type RunOptions, shellStatus } from './container/run.ts';
export { RunncError, type ErrorCode } from './errors.ts';
export { inspect, type Inspection } from './guest/inspect.ts';
export type { ExitStatus } from './native.ts';
export type { Resources, Spec } from './oci/spec.ts';
export type { State, Status } from './oci/state.ts';
export type { CgroupStats } from './sandbox/cgroups/index.ts';
