/** What `spec` writes: a config.json to start from, as runc's. */
import type { Mount, Namespace, NamespaceType, Spec } from './spec.ts';
import { OCI_VERSION } from './state.ts';

export interface TemplateOptions {
  /** A program to run without a terminal; default: a shell with one. */
  readonly args?: readonly string[];
  /** For a user other than root: a user namespace that holds this one uid and gid as root. */
  readonly rootless?: { readonly uid: number; readonly gid: number };
}

export function templateSpec({ rootless, args }: TemplateOptions = {}): Spec {
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: args === undefined,
      user: { uid: 0, gid: 0 },
      args: args ?? ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: [], effective: [], permitted: [] },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'runnc',
    mounts: mounts(rootless !== undefined),
    linux: {
      ...(rootless === undefined
        ? { resources: { devices: [{ allow: false, access: 'rwm' }] } }
        : {
            uidMappings: [{ containerID: 0, hostID: rootless.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: rootless.gid, size: 1 }],
          }),
      namespaces: namespaces(rootless !== undefined),
    },
  };
}

function mounts(rootless: boolean): Mount[] {
  const hardened = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: [
        'nosuid',
        'noexec',
        'newinstance',
        'ptmxmode=0666',
        'mode=0620',
        // tty's group has no number in a user namespace of one gid.
        ...(rootless ? [] : ['gid=5']),
      ],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: hardened },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...hardened, 'ro'] },
  ];
}

function namespaces(rootless: boolean): Namespace[] {
  const types: NamespaceType[] = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'];
  if (rootless) types.push('user');
  return types.map((type) => ({ type }));
}
