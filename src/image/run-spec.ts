/** From an image's configuration and what the user asks for to the spec of a container, as `docker run` does it. */
import { resolve } from 'node:path';
import { RunncError, shorten } from '../errors.ts';
import type { Mount, Spec } from '../oci/spec.ts';
import { templateSpec } from '../oci/spec-template.ts';
import type { Image } from './platform.ts';

export interface RunRequest {
  /** The container's. */
  readonly id: string;
  /** Behind the image's name. */
  readonly args: readonly string[];
  readonly entrypoint?: string | undefined;
  /** "NAME=value", or "NAME" for the value it has here. */
  readonly env: readonly string[];
  readonly workingDir?: string | undefined;
  readonly user?: string | undefined;
  readonly hostname?: string | undefined;
  readonly terminal: boolean;
  readonly readonlyRoot: boolean;
  /** "SOURCE:DESTINATION[:ro]", or "DESTINATION". */
  readonly volumes: readonly string[];
  /** "none", or "ns:PATH" for a network namespace that somebody has set up. */
  readonly network: string;
  readonly memoryBytes?: number | undefined;
  readonly cpus?: number | undefined;
  /** "KEY=value" */
  readonly annotations: readonly string[];
}

export interface RunHost {
  /** Folder with the image's files. */
  readonly rootfs: string;
  /** Of a user other than root. */
  readonly rootless?: { readonly uid: number; readonly gid: number };
  readonly environment: NodeJS.ProcessEnv;
  readonly workingFolder: string;
  /** RLIMIT_NOFILE, which only the privileged can raise. */
  readonly maxOpenFiles: number;
  /** Where volumes lie that have a name, and the container's own. */
  readonly volumesFolder: string;
  readonly ownVolumesFolder: string;
}

export interface SpecForImage {
  readonly spec: Spec;
  /** See OwnBundle. */
  readonly files: Readonly<Record<string, string>>;
  /** Folders that the spec mounts, to be made where they are missing. */
  readonly volumes: readonly Volume[];
}

export interface Volume {
  /** undefined for one that is the container's own. */
  readonly name?: string;
  readonly folder: string;
  /** What a new one begins with: the image's files at this path. */
  readonly imagePath?: string;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CPU_PERIOD_US = 100_000;
/** As Docker's. */
const MAX_OPEN_FILES = 1_048_576;

/** As Docker's. */
const CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID'],
  ...['SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
].map((name) => `CAP_${name}`);

/**
 * What an image may say of how it is run. Nothing else of its labels and annotations counts: there are some that name files
 * of the host.
 */
const IMAGE_SETTINGS = /^(?:com\.urunc\.unikernel\..*|io\.runnc\.(?:guest|profile|net\..*))$/;
const BLOCK_SETTING = /^io\.runnc\.block\./;

/** Throws INVALID for what the user asks for and cannot be. */
export function specForImage(image: Image, request: RunRequest, host: RunHost): SpecForImage {
  const { config = {} } = image.config;
  const base = templateSpec({
    args: commandOf(image, request),
    ...(host.rootless === undefined ? {} : { rootless: host.rootless }),
  });
  const hostname = request.hostname ?? request.id.slice(0, 12);
  const user = request.user ?? config.User ?? '';
  const openFiles = Math.min(MAX_OPEN_FILES, host.maxOpenFiles);
  const { mounts, volumes } = volumeMounts(config.Volumes ?? {}, request, host);
  const spec: Spec = {
    ...base,
    process: {
      ...base.process,
      terminal: request.terminal,
      user: user === '' ? { uid: 0, gid: 0 } : { username: user },
      args: commandOf(image, request),
      env: environmentOf(config.Env ?? [], request, host, hostname),
      cwd: absolute(
        request.workingDir ?? (config.WorkingDir === '' ? '/' : (config.WorkingDir ?? '/')),
        '--workdir',
      ),
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: openFiles, soft: openFiles }],
      noNewPrivileges: false,
    },
    root: { path: host.rootfs, readonly: request.readonlyRoot },
    hostname,
    mounts: [
      ...(base.mounts ?? []),
      ...['hosts', 'hostname'].map((name) => ({
        destination: `/etc/${name}`,
        type: 'bind',
        source: name,
        options: ['rbind', 'rprivate'],
      })),
      ...mounts,
    ],
    // The folder is everybody's who runs the image: what this one writes is not to last.
    annotations: { ...annotationsOf(image, request), 'io.runnc.rootfs': 'memory' },
    linux: {
      ...base.linux,
      namespaces: (base.linux?.namespaces ?? []).map((namespace) =>
        namespace.type === 'network' ? { ...namespace, ...networkPath(request.network) } : namespace,
      ),
      resources: {
        ...base.linux?.resources,
        ...(request.memoryBytes === undefined ? {} : { memory: { limit: request.memoryBytes } }),
        ...(request.cpus === undefined
          ? {}
          : { cpu: { period: CPU_PERIOD_US, quota: Math.round(request.cpus * CPU_PERIOD_US) } }),
      },
    },
  };
  return {
    spec,
    files: {
      hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t${hostname}\n`,
      hostname: `${hostname}\n`,
    },
    volumes,
  };
}

function commandOf({ config: { config = {} }, descriptor }: Image, request: RunRequest): readonly string[] {
  const { args, entrypoint } = request;
  const command =
    entrypoint === undefined
      ? [...(config.Entrypoint ?? []), ...(args.length === 0 ? (config.Cmd ?? []) : args)]
      : [...(entrypoint === '' ? [] : [entrypoint]), ...args];
  if (command.length > 0) return command;
  throw new RunncError(
    'INVALID',
    `image ${descriptor.digest.slice(7, 19)} names no program to run: give one behind its name`,
  );
}

function environmentOf(
  ofImage: readonly string[],
  { env, terminal }: RunRequest,
  host: RunHost,
  hostname: string,
): readonly string[] {
  const variables = new Map<string, string>([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', hostname],
    ...(terminal ? ([['TERM', 'xterm']] as const) : []),
  ]);
  const set = (text: string, what: string): void => {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    if (name === '') throw new RunncError('INVALID', `${what}: expected NAME=value, got ${shorten(text)}`);
    const value = equals < 0 ? host.environment[name] : text.slice(equals + 1);
    if (value !== undefined) variables.set(name, value);
  };
  // One without "=" means nothing in an image; here it would show it the host's.
  for (const text of ofImage) if (text.includes('=')) set(text, "the image's environment");
  for (const text of env) set(text, '--env');
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

function annotationsOf({ config, manifest }: Image, { annotations }: RunRequest): Record<string, string> {
  const found: Record<string, string> = {};
  for (const settings of [config.config?.Labels ?? {}, manifest.annotations ?? {}]) {
    for (const [key, value] of Object.entries(settings)) {
      // The one value that names no file of the host.
      const isRootfs = BLOCK_SETTING.test(key) && value === 'rootfs';
      if (IMAGE_SETTINGS.test(key) || isRootfs) found[key] = value;
    }
  }
  const stopSignal = config.config?.StopSignal;
  if (stopSignal !== undefined && stopSignal !== '')
    found['org.opencontainers.image.stopSignal'] = stopSignal;
  for (const text of annotations) {
    const equals = text.indexOf('=');
    if (equals <= 0)
      throw new RunncError('INVALID', `--annotation: expected KEY=value, got ${shorten(text)}`);
    found[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return found;
}

function networkPath(network: string): { path?: string } {
  if (network === 'none') return {};
  if (network.startsWith('ns:') && network.length > 'ns:'.length)
    return { path: resolve(network.slice('ns:'.length)) };
  throw new RunncError(
    'UNSUPPORTED',
    `--network ${network}: stand-alone there is "none", and "ns:PATH" for a network namespace that is set up already; ` +
      'for networks run the image by Docker or Podman with --runtime=runnc',
  );
}

interface VolumeMounts {
  readonly mounts: readonly Mount[];
  readonly volumes: readonly Volume[];
}

/** The image's own volumes, where the user names no other, and those that the user asks for. */
function volumeMounts(
  ofImage: Readonly<Record<string, object>>,
  { volumes: asked }: RunRequest,
  host: RunHost,
): VolumeMounts {
  const mounts: Mount[] = [];
  const volumes: Volume[] = [];
  const add = (requests: readonly VolumeRequest[]): void => {
    for (const { source, destination, access, copies } of requests) {
      let folder = source?.path;
      if (folder === undefined) {
        const name = source?.name;
        folder =
          name === undefined
            ? `${host.ownVolumesFolder}/${String(volumes.length)}`
            : `${host.volumesFolder}/${name}`;
        volumes.push({
          ...(name === undefined ? {} : { name }),
          folder,
          ...(copies ? { imagePath: destination } : {}),
        });
      }
      mounts.push({ destination, type: 'bind', source: folder, options: ['rbind', 'rprivate', access] });
    }
  };
  const requests = asked.map((text) => volumeRequest(text, host));
  const taken = new Set(requests.map(({ destination }) => destination));
  const own = Object.keys(ofImage)
    .map((path) => ownVolume(absolute(path, "the image's volume")))
    .filter(({ destination }) => !taken.has(destination));
  add(own);
  add(requests);
  return { mounts, volumes };
}

interface VolumeRequest {
  /** undefined: a new one of the container's own. */
  readonly source?:
    | { readonly path: string; readonly name?: undefined }
    | { readonly name: string; readonly path?: undefined };
  readonly destination: string;
  readonly access: 'ro' | 'rw';
  /** A new one begins with the image's files. */
  readonly copies: boolean;
}

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Of SELinux and of Docker on other systems. */
const IGNORED_OPTIONS = new Set(['z', 'Z', 'cached', 'delegated', 'consistent']);

function ownVolume(destination: string): VolumeRequest {
  return { destination, access: 'rw', copies: true };
}

/** Throws INVALID. */
function volumeRequest(text: string, host: RunHost): VolumeRequest {
  const fail = (why: string): RunncError => new RunncError('INVALID', `--volume ${shorten(text)}: ${why}`);
  const [first = '', second, options = '', ...more] = text.split(':');
  if (second === undefined) return ownVolume(absolute(first, '--volume'));
  if (more.length > 0) throw fail('expected SOURCE:DESTINATION[:OPTIONS]');
  let access: VolumeRequest['access'] = 'rw';
  let copies = true;
  for (const option of options.split(',').filter((word) => word !== '')) {
    if (option === 'ro' || option === 'rw') access = option;
    else if (option === 'nocopy') copies = false;
    else if (!IGNORED_OPTIONS.has(option)) throw fail(`there is no option ${shorten(option)}`);
  }
  const destination = absolute(second, '--volume');
  if (first.startsWith('/') || first.startsWith('.')) {
    return { source: { path: resolve(host.workingFolder, first) }, destination, access, copies: false };
  }
  if (!VOLUME_NAME.test(first)) throw fail('the source is neither a path nor the name of a volume');
  return { source: { name: first }, destination, access, copies };
}

function absolute(path: string, what: string): string {
  if (path.startsWith('/')) return path;
  throw new RunncError('INVALID', `${what}: expected an absolute path, got ${shorten(path)}`);
}
