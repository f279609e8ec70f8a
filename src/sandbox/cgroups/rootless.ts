/** What an ordinary user's container may do without. */
import type { Resources } from '../../oci/spec.ts';
import { RunncError, errnoOf } from '../../errors.ts';
import { errnoText } from './file.ts';

/** Is there any limit that must not be lost in silence? Devices are not: the jail has none. */
export function limitsAsked(resources: Resources): boolean {
  return Object.entries(resources).some(([name, value]) => name !== 'devices' && holdsValue(value));
}

function holdsValue(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(holdsValue);
  return value !== undefined && value !== null && value !== 0 && value !== '' && value !== false;
}

export function isPermission(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '');
}

export function cannotMake(dir: string, rootless: boolean, error: unknown): RunncError {
  const why =
    rootless && isPermission(error)
      ? 'linux.resources: limits need a cgroup that is delegated to the user (--systemd-cgroup), or root'
      : 'cgroups';
  return new RunncError('HOST', `${why}: cannot make ${dir}: ${errnoText(error)}`, { cause: error });
}
