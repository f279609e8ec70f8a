/** What `features` prints: runtime-spec features.md and features-linux.md. */
import { OCI_VERSION } from './state.ts';

export interface Features {
  readonly ociVersionMin: string;
  readonly ociVersionMax: string;
  readonly hooks: readonly string[];
  readonly mountOptions: readonly string[];
  readonly linux: {
    readonly namespaces: readonly string[];
    readonly capabilities: readonly string[];
    readonly cgroup: Readonly<Record<'v1' | 'v2' | 'systemd' | 'systemdUser' | 'rdma', boolean>>;
    readonly seccomp: { readonly enabled: boolean };
    readonly apparmor: { readonly enabled: boolean };
    readonly selinux: { readonly enabled: boolean };
    readonly intelRdt: { readonly enabled: boolean };
    readonly memoryPolicy: Readonly<Record<string, never>>;
    readonly mountExtensions: { readonly idmap: { readonly enabled: boolean } };
    readonly netDevices: { readonly enabled: boolean };
  };
  readonly annotations: Readonly<Record<string, string>>;
  readonly potentiallyUnsafeConfigAnnotations: readonly string[];
}

export function features(version: string, commit: string): Features {
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: OCI_VERSION,
    hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
    mountOptions: [
      'bind',
      'nodev',
      'noexec',
      'nosuid',
      'private',
      'rbind',
      'ro',
      'rprivate',
      'rslave',
      'rw',
      'slave',
    ],
    linux: {
      namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts'],
      // The process outside the guest never has one.
      capabilities: [],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: false },
      // config.json's profile is not loaded: every sandbox has a filter of its own that is narrower than any.
      seccomp: { enabled: false },
      apparmor: { enabled: false },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      memoryPolicy: {},
      mountExtensions: { idmap: { enabled: false } },
      netDevices: { enabled: false },
    },
    annotations: { 'io.runnc.version': version, 'io.runnc.commit': commit },
    potentiallyUnsafeConfigAnnotations: ['io.runnc.'],
  };
}
