/** Where a container's cgroups shall be. Decides only; makes nothing. */
import { dirname, join } from '../../path.ts';
import { RunncError } from '../../errors.ts';
import { readHost, type CgroupHost, type CgroupMount } from './host.ts';
import type { CgroupOptions, CgroupState } from './index.ts';

const FIELD = 'linux.cgroupsPath';

export function planCgroup(options: CgroupOptions, host: CgroupHost = readHost()): CgroupState {
  const cgroupsPath = options.cgroupsPath ?? '';
  if (cgroupsPath.includes('\0')) throw new RunncError('INVALID', `${FIELD}: holds a NUL byte`);
  return options.systemd
    ? planScope(options, cgroupsPath, host)
    : planDirectories(options, cgroupsPath, host);
}

function planDirectories(options: CgroupOptions, cgroupsPath: string, host: CgroupHost): CgroupState {
  const absolute = cgroupsPath.startsWith('/');
  // Cleaned as below the root, so that no number of ".." leaves the mount. There are no symbolic links in a
  // cgroup file system, so the text of the path is all there is to check.
  const inner = join('/', cgroupsPath === '' ? options.id : cgroupsPath);
  if (inner === '/') {
    throw new RunncError(
      'INVALID',
      `${FIELD}: ${JSON.stringify(cgroupsPath)} is the root cgroup; give it a name of its own, such as /runnc/${options.id}`,
    );
  }
  return {
    version: host.version,
    paths: pathsIn(host, (mount, controller) => {
      if (absolute) return inner;
      const own = ownCgroup(host, mount, controller);
      // On cgroup v2 a cgroup that holds processes, as the caller's own does, cannot give controllers to
      // its children: the container's becomes its sibling, as in runc.
      return join(host.version === 2 ? dirname(own) : own, inner);
    }),
    rootless: options.rootless,
  };
}

function planScope(options: CgroupOptions, cgroupsPath: string, host: CgroupHost): CgroupState {
  const defaultSlice = options.rootless ? 'user.slice' : 'system.slice';
  const parts = (cgroupsPath === '' ? `${defaultSlice}:runnc:${options.id}` : cgroupsPath).split(':');
  const [slice = '', prefix = '', name = ''] = parts;
  if (parts.length !== 3 || name === '') {
    throw new RunncError(
      'INVALID',
      `${FIELD}: ${JSON.stringify(cgroupsPath)} does not have the form slice:prefix:name that --systemd-cgroup needs`,
    );
  }
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  if (!/^[\w:.\\@-]{1,255}$/.test(unit)) {
    throw new RunncError(
      'INVALID',
      `${FIELD}: ${JSON.stringify(unit)} is not a name that systemd accepts for a unit`,
    );
  }
  const parent = slice === '' ? defaultSlice : slice;
  const inner = join(expandSlice(parent), unit);
  const user = options.rootless;
  return {
    version: host.version,
    paths: pathsIn(host, (mount, controller) =>
      // The user's systemd manages only what is below its own cgroup (user@UID.service).
      user ? join(userManager(ownCgroup(host, mount, controller)), inner) : inner,
    ),
    systemd: { unit, slice: parent, user },
    rootless: options.rootless,
  };
}

/**
 * The directory of a slice below the root: a-b.slice is in a.slice (systemd.slice(5)).
 *
 * @throws RunncError INVALID when it is not the name of a slice.
 */
export function expandSlice(slice: string): string {
  const name = slice.replace(/\.slice$/, '');
  if (slice === '-.slice') return '/';
  if (name === slice || !/^[\w:.\\@]+(-[\w:.\\@]+)*$/.test(name)) {
    throw new RunncError('INVALID', `${FIELD}: ${JSON.stringify(slice)} is not the name of a systemd slice`);
  }
  const words = name.split('-');
  return `/${words.map((_, index) => `${words.slice(0, index + 1).join('-')}.slice`).join('/')}`;
}

function userManager(own: string): string {
  return /^.*?\/user@\d+\.service/.exec(own)?.[0] ?? '/';
}

/** The caller's own cgroup as seen below the mount. */
function ownCgroup(host: CgroupHost, mount: CgroupMount, controller: string): string {
  const own = join('/', host.own[controller] ?? '/');
  if (mount.root === '/') return own;
  if (own === mount.root) return '/';
  return own.startsWith(`${mount.root}/`) ? own.slice(mount.root.length) : '/';
}

function pathsIn(
  host: CgroupHost,
  innerPath: (mount: CgroupMount, controller: string) => string,
): Readonly<Record<string, string>> {
  const paths: Record<string, string> = {};
  for (const mount of host.mounts) {
    for (const controller of mount.controllers) {
      paths[controller] = join(mount.dir, innerPath(mount, controller));
    }
  }
  return paths;
}
