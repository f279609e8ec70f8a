/**
 * The one declaration of the command line: verbs, flags, operands. Parsing (parse.ts), help and completion (help.ts)
 * and the man page (scripts/man-page.ts) are made from it.
 */
import type { OptionDeclarations } from './parse.ts';
import type { VerbModule } from './verb.ts';

export interface CommandDeclaration {
  /** One line, without a full stop. */
  readonly summary: string;
  /** More, for the help of the verb and the man page. */
  readonly details?: string;
  /** In the notation of man pages: "<container-id> [signal]". */
  readonly operands: string;
  readonly minOperands: number;
  readonly maxOperands: number;
  /** What follows the first operand is for another program, flags included. */
  readonly foreignFlags?: boolean;
  readonly options: OptionDeclarations;
  readonly load: () => Promise<VerbModule>;
}

export const globalOptions = {
  root: {
    type: 'string',
    value: 'DIR',
    complete: 'folder',
    help: 'where containers are kept (default: /run/runnc, for users $XDG_RUNTIME_DIR/runnc)',
  },
  log: {
    type: 'string',
    value: 'FILE',
    complete: 'file',
    help: 'append log lines to FILE (default: stderr)',
  },
  'log-format': {
    type: 'string',
    value: 'FORMAT',
    choices: ['text', 'json'],
    help: 'of log lines: text (default) or json',
  },
  debug: { type: 'boolean', help: 'log what is done, step by step' },
  'systemd-cgroup': {
    type: 'boolean',
    help: 'let systemd make the cgroups; linux.cgroupsPath is then slice:prefix:name',
  },
  rootless: {
    type: 'string',
    value: 'WHEN',
    choices: ['', 'true', 'false', 'auto'],
    help: 'do without the cgroups the user may not have: true, false or auto (default)',
  },
  criu: { type: 'string', value: 'PATH', help: 'ignored; runc has it' },
  help: { type: 'boolean', short: 'h', help: 'show help' },
  version: { type: 'boolean', short: 'v', help: 'print the version' },
} as const satisfies OptionDeclarations;

const bundle = {
  type: 'string',
  short: 'b',
  value: 'DIR',
  complete: 'folder',
  help: 'the bundle: the folder with config.json (default: the current one)',
} as const;
const help = { type: 'boolean', short: 'h', help: 'show help' } as const;

const createOptions = {
  bundle,
  'console-socket': {
    type: 'string',
    value: 'SOCKET',
    complete: 'file',
    help: "UNIX socket that receives the master of the container's terminal",
  },
  'pid-file': {
    type: 'string',
    value: 'FILE',
    complete: 'file',
    help: "write the pid of the container's process to FILE",
  },
  'no-pivot': { type: 'boolean', help: 'do not use pivot_root(2), for hosts that run from an initramfs' },
  'no-new-keyring': { type: 'boolean', help: "keep the caller's session keyring" },
  'preserve-fds': {
    type: 'string',
    value: 'N',
    help: 'ignored: a guest has no use for descriptors of the host',
  },
  help,
} as const satisfies OptionDeclarations;

const format = {
  type: 'string',
  short: 'f',
  value: 'FORMAT',
  choices: ['table', 'json'],
  help: 'table (default) or json',
} as const;

const insecure = {
  type: 'boolean',
  help: 'registry: any certificate will do, and plain HTTP where there is no TLS (on this host always so)',
} as const;
const platform = {
  type: 'string',
  value: 'OS/ARCH',
  help: 'of an image for several platforms the one for this (default: linux/amd64)',
} as const;
const store = {
  type: 'string',
  value: 'DIR',
  complete: 'folder',
  help: 'the store of images (default: /var/lib/runnc/images, for users $XDG_CACHE_HOME/runnc/images)',
} as const;
const quiet = { type: 'boolean', short: 'q', help: 'say less' } as const;

/** What `run` takes for images alone. */
export const imageRunOptions = {
  name: { type: 'string', value: 'ID', help: "image: the container's id (default: a random one)" },
  rm: { type: 'boolean', help: 'image: delete the container after its end' },
  interactive: { type: 'boolean', short: 'i', help: 'image: standard input is for the program' },
  tty: { type: 'boolean', short: 't', help: 'image: with a terminal' },
  env: { type: 'string', short: 'e', value: 'K[=V]', help: 'image: environment variable; may be repeated' },
  volume: {
    type: 'string',
    short: 'v',
    value: 'SRC:DST[:ro]',
    help: 'image: mount a path of the host, or a volume by its name; may be repeated',
  },
  publish: {
    type: 'string',
    short: 'p',
    value: 'PORTS',
    help: 'image: needs a network, which an engine makes',
  },
  memory: { type: 'string', short: 'm', value: 'SIZE', help: 'image: memory limit, such as 512m' },
  cpus: { type: 'string', value: 'N', help: 'image: processors that may be used, such as 1.5' },
  entrypoint: { type: 'string', value: 'PROGRAM', help: "image: in place of the image's entrypoint" },
  workdir: { type: 'string', short: 'w', value: 'DIR', help: 'image: working directory' },
  user: { type: 'string', short: 'u', value: 'USER[:GROUP]', help: 'image: names or numbers' },
  hostname: { type: 'string', value: 'NAME', help: "image: default: the container's id" },
  network: {
    type: 'string',
    value: 'MODE',
    help: 'image: none (default), or ns:PATH for a network namespace',
  },
  'read-only': { type: 'boolean', help: 'image: the root cannot be written' },
  annotation: { type: 'string', value: 'K=V', help: 'image: io.runnc.* and others; may be repeated' },
  pull: {
    type: 'string',
    value: 'WHEN',
    choices: ['missing', 'always', 'never'],
    help: 'image: ask the registry when it is missing (default), always or never',
  },
  platform: { ...platform, help: 'image: of several platforms the one for this' },
  insecure,
  store,
} as const satisfies OptionDeclarations;

const IMAGE = '<image>';

/** Not listed: `runnc __complete WORDS…` prints what the last word may become (completion.ts). */
export const COMPLETE_VERB = '__complete';

const ID = '<container-id>';

/** Each is made when it is asked for: a call of the command needs one. */
export const commands: Readonly<Record<string, () => CommandDeclaration>> = {
  create: () => ({
    summary: 'Create a container: everything but the start of its program',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: createOptions,
    load: () => import('./create.ts'),
  }),
  start: () => ({
    summary: 'Start the program of a created container',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: { help },
    load: () => import('./start.ts'),
  }),
  run: () => ({
    summary: 'Create and start a container, and wait for its end',
    details:
      "Of an image: by its name, which is pulled if it is not in the store, or from oci:DIR[:NAME], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME, containerd:NAME, docker://NAME; what follows is for its program. The container stays until it is deleted, unless --rm is given. Of a bundle (with --bundle, or config.json in the working directory): by the container's id; afterwards it is deleted. Standard input (for an image with --interactive), output and error are the container's, signals are passed on to it, and the exit status is its own (128+N if signal N ended it).",
    operands: '<image|container-id> [argument...]',
    minOperands: 1,
    maxOperands: Infinity,
    foreignFlags: true,
    options: {
      ...createOptions,
      detach: { type: 'boolean', short: 'd', help: 'return as soon as the program is started' },
      keep: { type: 'boolean', help: 'do not delete the container after its end' },
      strace: { type: 'boolean', help: 'print the system calls of a Linux program on standard error' },
      'no-subreaper': { type: 'boolean', help: 'ignored; runc has it' },
      ...imageRunOptions,
    },
    load: () => import('./run.ts'),
  }),
  state: () => ({
    summary: 'Print the state of a container as JSON',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: { help },
    load: () => import('./state.ts'),
  }),
  kill: () => ({
    summary: 'Send a signal to a container',
    details: 'The signal is a name (TERM, SIGTERM) or a number; the default is TERM.',
    operands: `${ID} [signal]`,
    minOperands: 1,
    maxOperands: 2,
    options: { all: { type: 'boolean', short: 'a', help: 'to every process of the container' }, help },
    load: () => import('./kill.ts'),
  }),
  delete: () => ({
    summary: 'Delete a container and all that belongs to it',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      force: { type: 'boolean', short: 'f', help: 'kill it first if it runs; no error if it does not exist' },
      help,
    },
    load: () => import('./delete.ts'),
  }),
  list: () => ({
    summary: 'List the containers',
    operands: '',
    minOperands: 0,
    maxOperands: 0,
    options: { format, quiet: { type: 'boolean', short: 'q', help: 'print ids only' }, help },
    load: () => import('./list.ts'),
  }),
  logs: () => ({
    summary: 'Print what a container of an image in the background has printed',
    details:
      'Of one that runnc run --detach IMAGE started: its standard output and error, in their order, until it is deleted.',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      follow: { type: 'boolean', short: 'f', help: 'go on until the end of the container' },
      tail: { type: 'string', short: 'n', value: 'N', help: 'the last N lines only (default: all)' },
      help,
    },
    load: () => import('./logs.ts'),
  }),
  ps: () => ({
    summary: 'List the processes of a container',
    details:
      'The table has the processes inside of a Linux guest that runs. With options for ps(1), as JSON, and for other guests it is those of the host that stand for the container: the guest and one for each exec.',
    operands: `${ID} [ps options]`,
    minOperands: 1,
    maxOperands: Infinity,
    foreignFlags: true,
    options: { format, help },
    load: () => import('./ps.ts'),
  }),
  pause: () => ({
    summary: 'Stop all processes of a container until resume',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: { help },
    load: () => import('./pause.ts'),
  }),
  resume: () => ({
    summary: 'Let a paused container go on',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: { help },
    load: () => import('./resume.ts'),
  }),
  update: () => ({
    summary: 'Change the resource limits of a container',
    details:
      "The size of guest memory is fixed at create: a memory limit below it makes the host's OOM killer end a guest that uses all it has.",
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      resources: {
        type: 'string',
        short: 'r',
        value: 'FILE',
        complete: 'file',
        help: 'linux.resources as JSON from FILE, or from standard input if FILE is -; the other flags are ignored then',
      },
      'blkio-weight': { type: 'string', value: 'N', help: 'I/O weight, 10 to 1000' },
      'cpu-period': { type: 'string', value: 'US', help: 'CPU period in microseconds' },
      'cpu-quota': { type: 'string', value: 'US', help: 'CPU time per period in microseconds, -1: no limit' },
      'cpu-burst': { type: 'string', value: 'US', help: 'CPU time that may be saved up, in microseconds' },
      'cpu-share': { type: 'string', value: 'N', help: 'CPU shares, relative to other containers' },
      'cpu-rt-period': {
        type: 'string',
        value: 'US',
        help: 'period of real-time scheduling in microseconds',
      },
      'cpu-rt-runtime': {
        type: 'string',
        value: 'US',
        help: 'real-time CPU time per period in microseconds',
      },
      'cpu-idle': { type: 'string', value: '0|1', help: '1: run only when nothing else wants to' },
      'cpuset-cpus': { type: 'string', value: 'LIST', help: 'CPUs that may be used, such as 0-3,7' },
      'cpuset-mems': { type: 'string', value: 'LIST', help: 'memory nodes that may be used' },
      memory: { type: 'string', value: 'BYTES', help: 'memory limit (also 512m, 2g), -1: none' },
      'memory-reservation': { type: 'string', value: 'BYTES', help: 'soft memory limit' },
      'memory-swap': { type: 'string', value: 'BYTES', help: 'memory and swap together, -1: no limit' },
      'pids-limit': { type: 'string', value: 'N', help: 'processes and threads, -1: no limit' },
      help,
    },
    load: () => import('./update.ts'),
  }),
  events: () => ({
    summary: 'Print statistics and out-of-memory events of a container, one JSON object a line',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      stats: { type: 'boolean', help: 'print the statistics once and end' },
      interval: {
        type: 'string',
        value: 'TIME',
        help: 'between statistics, such as 500ms, 5s (default), 1m',
      },
      help,
    },
    load: () => import('./events.ts'),
  }),
  spec: () => ({
    summary: 'Write a config.json to start from',
    details: 'With a program, one that runs it without a terminal.',
    operands: '[program [argument...]]',
    minOperands: 0,
    maxOperands: Infinity,
    foreignFlags: true,
    options: {
      bundle,
      rootless: { type: 'boolean', help: 'for a user other than root' },
      help,
    },
    load: () => import('./spec.ts'),
  }),
  features: () => ({
    summary: 'Print what this runtime can do, as JSON',
    operands: '',
    minOperands: 0,
    maxOperands: 0,
    options: { help },
    load: () => import('./features.ts'),
  }),
  inspect: () => ({
    summary: 'Show what a unikernel is (ABI, manifest, segments, extras it needs), or an image of the store',
    operands: '<file|image>',
    minOperands: 1,
    maxOperands: 1,
    options: { json: { type: 'boolean', help: 'print JSON' }, store, help },
    load: () => import('./inspect.ts'),
  }),
  cache: () => ({
    summary: 'List, prune, remove or verify the cached images of root file systems',
    details:
      'ls lists them; prune removes those that no container uses, the least recently used first, and what crashes left behind; rm removes the given ones; verify reads every byte of the given ones, or of all, and fails if anything was altered. A removed image that containers run from is freed when the last of them ends.',
    operands: '<ls|prune|rm|verify> [key...]',
    minOperands: 1,
    maxOperands: Infinity,
    options: {
      format,
      force: { type: 'boolean', short: 'f', help: 'rm: also what containers run from' },
      keep: {
        type: 'string',
        value: 'SIZE',
        help: 'prune: until the rest takes no more than this, such as 10g',
      },
      dir: {
        type: 'string',
        value: 'DIR',
        complete: 'folder',
        help: 'the cache (default: /var/lib/runnc/cache, for users $XDG_CACHE_HOME/runnc)',
      },
      help,
    },
    load: () => import('./cache.ts'),
  }),
  build: () => ({
    summary: 'Build an image from a Dockerfile',
    details:
      'No daemon is needed. FROM and COPY --from take an image of the store, or of a registry if it is not there; oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME and containerd:NAME name others. Prints the digest of the image. SOURCE_DATE_EPOCH in the environment is the time of all that the build makes; without it that is 1970.',
    operands: '<context>',
    minOperands: 1,
    maxOperands: 1,
    options: {
      file: {
        type: 'string',
        short: 'f',
        value: 'FILE',
        complete: 'file',
        help: 'the Dockerfile, - is standard input (default: Dockerfile in the context)',
      },
      tag: { type: 'string', short: 't', value: 'NAME', help: 'a name for the image; may be repeated' },
      target: {
        type: 'string',
        value: 'STAGE',
        help: 'the stage to build, by name or number (default: the last)',
      },
      'build-arg': {
        type: 'string',
        value: 'NAME=VALUE',
        help: 'a value for ARG; without =VALUE that of the environment; may be repeated',
      },
      platform: {
        type: 'string',
        value: 'OS/ARCH',
        help: 'of the image and of those it is built from (default: linux/amd64)',
      },
      label: { type: 'string', value: 'NAME=VALUE', help: 'a label of the image; may be repeated' },
      annotation: {
        type: 'string',
        value: 'NAME=VALUE',
        help: 'an annotation of the manifest; may be repeated',
      },
      output: {
        type: 'string',
        short: 'o',
        value: 'type=TYPE,dest=PATH',
        help: 'also write it to PATH: an OCI layout (oci), an archive (oci-archive, docker) or its files (dir); may be repeated',
      },
      unikernel: {
        type: 'string',
        value: 'FILE',
        complete: 'file',
        help: 'a Solo5 unikernel that becomes the entrypoint; without a Dockerfile there is nothing else in the image',
      },
      rootfs: {
        type: 'string',
        value: 'KIND',
        choices: ['iso', 'erofs', 'none'],
        help: 'the block image that the image carries: iso (default for a unikernel with a block device), erofs or none',
      },
      push: { type: 'boolean', help: 'push it to the registries that its names say' },
      load: { type: 'boolean', help: 'load it into the dockerd of this host' },
      pull: { type: 'boolean', help: 'ask registries for newer images than those of the store' },
      'no-cache': { type: 'boolean', help: 'carry out every instruction anew' },
      progress: {
        type: 'string',
        value: 'MODE',
        choices: ['auto', 'plain', 'tty', 'quiet'],
        help: 'how progress is shown: auto (default), plain, tty or quiet',
      },
      quiet: { type: 'boolean', short: 'q', help: 'print the digest only' },
      iidfile: { type: 'string', value: 'FILE', complete: 'file', help: "write the image's id to FILE" },
      store,
      help,
    },
    load: () => import('./build.ts'),
  }),
  images: () => ({
    summary: 'List the images of the store',
    operands: '[repository[:tag]]',
    minOperands: 0,
    maxOperands: 1,
    options: {
      format,
      quiet: { ...quiet, help: 'print ids only' },
      digests: { type: 'boolean', help: 'with the digests of the manifests' },
      store,
      help,
    },
    load: () => import('./images.ts'),
  }),
  pull: () => ({
    summary: 'Get an image from a registry',
    details:
      'Credentials are those of docker: $DOCKER_CONFIG/config.json or ~/.docker/config.json, and the helpers that it names. HTTPS_PROXY, HTTP_PROXY and NO_PROXY are obeyed. What broke off is gone on with.',
    operands: IMAGE,
    minOperands: 1,
    maxOperands: 1,
    options: {
      quiet,
      platform,
      'all-platforms': { type: 'boolean', help: 'keep the index with the images for all platforms' },
      insecure,
      store,
      help,
    },
    load: () => import('./pull.ts'),
  }),
  push: () => ({
    summary: 'Put an image of the store into a registry',
    operands: `${IMAGE} [name there]`,
    minOperands: 1,
    maxOperands: 2,
    options: { quiet, insecure, store, help },
    load: () => import('./push.ts'),
  }),
  tag: () => ({
    summary: 'Give an image of the store one more name',
    operands: `${IMAGE} <name>`,
    minOperands: 2,
    maxOperands: 2,
    options: { store, help },
    load: () => import('./tag.ts'),
  }),
  rmi: () => ({
    summary: 'Remove names of images, and with its last name an image',
    operands: '<image>...',
    minOperands: 1,
    maxOperands: Infinity,
    options: {
      force: { type: 'boolean', short: 'f', help: 'all names of an id; no error for what does not exist' },
      store,
      help,
    },
    load: () => import('./rmi.ts'),
  }),
  save: () => ({
    summary: 'Write images as an archive',
    details:
      'Both forms are OCI image layouts in a tar, with the digests that the images have; docker-archive has the manifest.json beside it that every version of "docker load" reads.',
    operands: '<image>...',
    minOperands: 1,
    maxOperands: Infinity,
    options: {
      output: {
        type: 'string',
        short: 'o',
        value: 'FILE',
        complete: 'file',
        help: 'to FILE (default: standard output)',
      },
      format: {
        type: 'string',
        short: 'f',
        value: 'FORMAT',
        choices: ['docker-archive', 'oci-archive'],
        help: 'docker-archive (default) or oci-archive',
      },
      store,
      help,
    },
    load: () => import('./save.ts'),
  }),
  load: () => ({
    summary: 'Read the images of an archive into the store',
    details: 'Archives of docker save, podman save, ctr image export and runnc save, gzipped too.',
    operands: '',
    minOperands: 0,
    maxOperands: 0,
    options: {
      input: {
        type: 'string',
        short: 'i',
        value: 'FILE',
        complete: 'file',
        help: 'from FILE (default: standard input)',
      },
      quiet,
      store,
      help,
    },
    load: () => import('./load.ts'),
  }),
  login: () => ({
    summary: "Keep a password for a registry in docker's config.json, or with the helper that it names",
    operands: '[registry]',
    minOperands: 0,
    maxOperands: 1,
    options: {
      username: { type: 'string', short: 'u', value: 'NAME', help: 'user name' },
      password: { type: 'string', short: 'p', value: 'TEXT', help: 'password; others may see it in ps' },
      'password-stdin': { type: 'boolean', help: 'read the password from standard input' },
      insecure,
      help,
    },
    load: () => import('./login.ts'),
  }),
  logout: () => ({
    summary: 'Forget the password for a registry',
    operands: '[registry]',
    minOperands: 0,
    maxOperands: 1,
    options: { help },
    load: () => import('./login.ts').then(({ logout }) => ({ run: logout })),
  }),
  exec: () => ({
    summary: "Run a program beside the container's own one",
    details:
      'For Linux programs; a Solo5 unikernel runs one program. Without --process, what the flags do not say is as in ' +
      "config.json. The exit status is the program's, 128 and the number for a signal.",
    operands: `${ID} [command [arguments]]`,
    minOperands: 1,
    maxOperands: Infinity,
    foreignFlags: true,
    options: {
      'console-socket': { type: 'string', value: 'SOCKET', help: 'as create' },
      cwd: { type: 'string', value: 'DIR', help: 'working directory' },
      env: { type: 'string', short: 'e', value: 'K=V', help: 'environment variable, added; may be repeated' },
      tty: { type: 'boolean', short: 't', help: 'allocate a terminal' },
      user: {
        type: 'string',
        short: 'u',
        value: 'UID[:GID]',
        help: 'user and group, numbers or names of the image',
      },
      'additional-gids': {
        type: 'string',
        short: 'g',
        value: 'GID',
        help: 'additional group; may be repeated',
      },
      cap: { type: 'string', short: 'c', value: 'CAP', help: 'additional capability; may be repeated' },
      'no-new-privs': { type: 'boolean', help: 'no program gives it more privileges' },
      'ignore-paused': {
        type: 'boolean',
        help: 'do not refuse a paused container: the program starts when it is resumed',
      },
      process: {
        type: 'string',
        short: 'p',
        value: 'FILE',
        complete: 'file',
        help: 'the whole process as JSON, as in config.json; - is standard input',
      },
      apparmor: { type: 'string', value: 'PROFILE', help: 'ignored; runc has it' },
      'process-label': { type: 'string', value: 'LABEL', help: 'ignored; runc has it' },
      cgroup: { type: 'string', value: 'PATH', help: 'ignored; runc has it' },
      detach: { type: 'boolean', short: 'd', help: 'return as soon as the program is started' },
      'pid-file': { type: 'string', value: 'FILE', help: 'as create' },
      'preserve-fds': { type: 'string', value: 'N', help: 'as create' },
      help,
    },
    load: () => import('./exec.ts'),
  }),
  checkpoint: () => ({
    summary: 'Not supported by any guest yet',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      'image-path': { type: 'string', value: 'DIR', help: 'as runc' },
      'work-path': { type: 'string', value: 'DIR', help: 'as runc' },
      'leave-running': { type: 'boolean', help: 'as runc' },
      help,
    },
    load: () => import('./unsupported.ts').then(({ checkpoint }) => ({ run: checkpoint })),
  }),
  restore: () => ({
    summary: 'Not supported by any guest yet',
    operands: ID,
    minOperands: 1,
    maxOperands: 1,
    options: {
      ...createOptions,
      'image-path': { type: 'string', value: 'DIR', help: 'as runc' },
      'work-path': { type: 'string', value: 'DIR', help: 'as runc' },
      detach: { type: 'boolean', short: 'd', help: 'as run' },
      help,
    },
    load: () => import('./unsupported.ts').then(({ restore }) => ({ run: restore })),
  }),
  completion: () => ({
    summary: 'Print the completion script of a shell',
    details: 'To be read by the shell at its start: source <(runnc completion bash).',
    operands: '<bash|zsh|fish>',
    minOperands: 1,
    maxOperands: 1,
    options: { help },
    load: () => import('./completion.ts'),
  }),
};
