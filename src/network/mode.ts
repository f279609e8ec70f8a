/** Whether a container has a network that a guest may take over: decided from config.json alone, before anything is made. */
import { statSync } from '../files.ts';
import { errnoOf, RunncError, shorten } from '../errors.ts';
import type { Spec } from '../oci/spec.ts';

const NETWORK_ANNOTATION = 'io.runnc.network';

export type NetworkMode =
  /** The host's own: no guest can have that. */
  | 'host'
  /** The guest is to leave alone what there is. */
  | 'none'
  /** A new namespace: nothing is there unless somebody puts it there before the start. */
  | 'new'
  /** Whatever the namespace holds once the hooks have run. */
  | 'namespace';

/** By these engines name a pod's sandbox, whose namespace is for the containers that come. */
const SANDBOX_ANNOTATIONS = ['io.kubernetes.cri.container-type', 'io.kubernetes.cri-o.ContainerType'];

/** Throws UNSUPPORTED for devices of the host that config.json wants moved: nobody gives them back if we do not. */
export function checkNetDevices({ linux }: Pick<Spec, 'linux'>): void {
  const [name] = Object.keys(linux?.netDevices ?? {});
  if (name === undefined) return;
  throw new RunncError(
    'UNSUPPORTED',
    `config.json: linux.netDevices[${shorten(name)}]: devices of the host are not moved into containers: ` +
      `move it into a network namespace and name that in linux.namespaces (ip link set ${name} netns NAME)`,
  );
}

/** Throws INVALID for an annotation with another value. */
export function networkMode({
  annotations = {},
  linux,
  hooks,
}: Pick<Spec, 'annotations' | 'linux' | 'hooks'>): NetworkMode {
  const asked = annotations[NETWORK_ANNOTATION] ?? 'default';
  if (asked !== 'default' && asked !== 'none') {
    throw new RunncError(
      'INVALID',
      `config.json: annotations[${NETWORK_ANNOTATION}]: expected "default" or "none", got ${shorten(asked)}`,
    );
  }
  if (asked === 'none' || SANDBOX_ANNOTATIONS.some((key) => annotations[key] === 'sandbox')) return 'none';
  const namespace = linux?.namespaces?.find(({ type }) => type === 'network');
  if (namespace === undefined) return 'host';
  if (namespace.path !== undefined && namespace.path !== '')
    return isHosts(namespace.path) ? 'host' : 'namespace';
  // A new namespace has only what a hook puts there.
  return (hooks?.prestart ?? []).length + (hooks?.createRuntime ?? []).length > 0 ? 'namespace' : 'new';
}

/**
 * Is it our own namespace, or that of the host's first process? Those are never emptied for a guest. A path that cannot
 * be read is told elsewhere.
 */
export function isHosts(path: string): boolean {
  const inode = namespaceInode(path);
  return (
    inode !== undefined &&
    ['/proc/self/ns/net', '/proc/1/ns/net'].some((own) => namespaceInode(own) === inode)
  );
}

function namespaceInode(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
