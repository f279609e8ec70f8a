/**
 * The fault battery's switch, from the runtime's own environment: RUNNC_FAULT="runtime:STEP" makes it die at that step
 * as if by SIGKILL. Whoever may set that may as well kill it; neither config nor image can. Steps of init are in
 * sandbox/launch-plan.ts.
 */

/** In the order in which they are reached; each is the moment after what its name says. */
export const runtimeSteps = [
  'folder-made',
  'uid-claimed',
  'socket-made',
  'record-written',
  'cgroup-made',
  'process-recorded',
  'cgroup-entered',
  'create-hooks-run',
  'launched',
  'pid-file-written',
  'record-completed',
  'started',
  'poststart-hooks-run',
  'process-killed',
  'cgroup-removed',
  'poststop-hooks-run',
  'uid-released',
] as const;

/** Between 'create-hooks-run' and 'launched', then between 'process-killed' and 'cgroup-removed', of a guest with interfaces. */
export const networkSteps = [
  'network-recorded',
  'tap-made',
  'interface-redirected',
  'addresses-taken',
  'routes-taken',
  'network-attached',
  'addresses-restored',
  'routes-restored',
  'redirect-removed',
] as const;

/** Of the image store, whatever the verb. */
export const imageSteps = [
  'blob-written',
  'blob-placed',
  'index-written',
  'index-replaced',
  'blob-removed',
  'layer-unpacked',
  'image-unpacked',
  'rootfs-placed',
  'volume-filled',
  'archive-written',
  'blob-pushed',
  'manifest-pushed',
] as const;

export type RuntimeStep =
  (typeof runtimeSteps)[number] | (typeof networkSteps)[number] | (typeof imageSteps)[number];

export function reached(step: RuntimeStep): void {
  if (process.env.RUNNC_FAULT === `runtime:${step}`) process.kill(process.pid, 'SIGKILL');
}
