/** Owners as a container in a user namespace sees them (user_namespaces(7)). */
import type { IdMapping } from '../oci/spec.ts';

/** What the kernel shows for an id that has no mapping: /proc/sys/kernel/overflowuid. */
const OVERFLOW_ID = 65534;

/** The container's id for a host's id. Without mappings the two are the same. */
export function toContainerId(hostId: number, mappings: readonly IdMapping[] | undefined): number {
  if (mappings === undefined || mappings.length === 0) return hostId;
  const range = mappings.find(({ hostID, size }) => hostId >= hostID && hostId < hostID + size);
  return range === undefined ? OVERFLOW_ID : hostId - range.hostID + range.containerID;
}

/** Has the container an id for the host's id? */
export function isMapped(hostId: number, mappings: readonly IdMapping[]): boolean {
  return (
    mappings.length === 0 || mappings.some(({ hostID, size }) => hostId >= hostID && hostId < hostID + size)
  );
}

/** Both kinds of ids, for those who read many files. */
export function idTranslation({
  uidMappings,
  gidMappings,
}: {
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
}): { toUid: (hostId: number) => number; toGid: (hostId: number) => number } {
  return {
    toUid: (hostId) => toContainerId(hostId, uidMappings),
    toGid: (hostId) => toContainerId(hostId, gidMappings),
  };
}
