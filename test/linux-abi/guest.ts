/**
 * Runs one program twice from the same tree: natively, in a chroot on a tmpfs, and in the Linux guest, under the
 * tender with a boot config and an EROFS image. What differs is a bug of the guest's.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { partPath } from '../../src/parts.ts';
import type { NetworkRecord } from '../../src/guest/boot-config-network.ts';
import {
  addRecords,
  encodeBootConfig,
  type BootConfig,
  type BootMount,
} from '../../src/guest/boot-config.ts';

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status; 128+n for signal n. */
  readonly status: number;
}

export interface RunOptions {
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly stdin?: string;
  readonly timeoutMs?: number;
  readonly config?: Partial<BootConfig>;
  readonly tender?: readonly string[];
  readonly network?: readonly NetworkRecord[];
  /** As io.runnc.profile=strict: the host process may not change its own memory. */
  readonly strict?: boolean;
}

const ALL_CAPABILITIES = (1n << 41n) - 1n;
const ROOT: BootConfig['credentials'] = {
  uid: 0,
  gid: 0,
  umask: 0o022,
  groups: [],
  capEffective: ALL_CAPABILITIES,
  capPermitted: ALL_CAPABILITIES,
  capInheritable: 0n,
  capBounding: ALL_CAPABILITIES,
  capAmbient: 0n,
};
const EXTRAS = 'exec-heap,boot-config,sud,rootfs-map,vtimer,stdio,vnet';
const GUEST_MEMORY_MIB = 8192;
export const GUEST_MEMORY_BYTES = GUEST_MEMORY_MIB * 2 ** 20;
const MEMORY_LIMIT_BYTES = 1n << 30n;
const DEFAULT_ENV = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LANG=C.UTF-8',
];

/** What Docker asks for. */
export const MOUNTS: readonly BootMount[] = [
  { type: 'proc', target: '/proc', options: ['nosuid', 'noexec', 'nodev'], readonly: false },
  {
    type: 'tmpfs',
    target: '/dev',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    readonly: false,
  },
  {
    type: 'devpts',
    target: '/dev/pts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    readonly: false,
  },
  { type: 'sysfs', target: '/sys', options: ['nosuid', 'noexec', 'nodev'], readonly: true },
  { type: 'mqueue', target: '/dev/mqueue', options: ['nosuid', 'noexec', 'nodev'], readonly: false },
  {
    type: 'tmpfs',
    target: '/dev/shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=67108864'],
    readonly: false,
  },
];

function run(
  command: string,
  args: readonly string[],
  options: RunOptions,
  env: NodeJS.ProcessEnv,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    child.stdin.on('error', () => undefined); // it may end without having read all
    child.stdin.end(options.stdin ?? '');
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString('latin1');
      const status = code ?? 128 + constants.signals[signal ?? 'SIGABRT'];
      resolve({ stdout: text(out), stderr: text(err), status });
    });
  });
}

/** A program natively, in namespaces of its own, on a copy of a tree or on an overlay over it: nothing of it stays. */
export function runNatively(
  root: string,
  how: 'copy' | 'overlay',
  argv: readonly string[],
  options: RunOptions & { readonly oneProcessor?: boolean } = {},
): Promise<Outcome> {
  const script = `
    set -e
    root=$1; cwd=$2; how=$3; shift 3
    mount -t tmpfs -o mode=755 tmpfs /mnt
    if [ $how = copy ]; then
      cp -a "$root"/. /mnt/
    else
      mkdir /mnt/upper /mnt/scratch
      layers="lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/scratch"
      mount -t overlay -o "$layers,redirect_dir=on,index=on" overlay /mnt
    fi
    mkdir -p /mnt/proc /mnt/dev /mnt/sys /mnt/box
    mount -t proc proc /mnt/proc
    mount -t tmpfs -o mode=755,nosuid tmpfs /mnt/dev
    for d in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do mknod -m 666 /mnt/dev/\${d% *} c 1 \${d#* }; done
    mknod -m 666 /mnt/dev/tty c 5 0
    ln -s /proc/self/fd /mnt/dev/fd; ln -s /proc/self/fd/0 /mnt/dev/stdin
    ln -s /proc/self/fd/1 /mnt/dev/stdout; ln -s /proc/self/fd/2 /mnt/dev/stderr
    mkdir -m 1777 /mnt/dev/shm; mount -t tmpfs -o mode=1777,size=64m tmpfs /mnt/dev/shm
    mkdir /mnt/dev/pts /mnt/dev/mqueue
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts /mnt/dev/pts; ln -s pts/ptmx /mnt/dev/ptmx
    hostname guest
    renice -n 0 $$ >/dev/null
    ip link set lo up
    exec unshare --root=/mnt --wd="$cwd" "$@"`;
  const args = [
    '--mount',
    '--pid',
    '--fork',
    '--uts',
    '--ipc',
    '--net', // what other programs of the host have open is nobody's business here
    '--kill-child',
    '--',
    'sh',
    '-c',
    script,
    'sh',
  ];
  args.push(root, options.cwd ?? '/', how, ...argv);
  const env = Object.fromEntries((options.env ?? DEFAULT_ENV).map((entry) => entry.split(/=(.*)/s)));
  const command = ['unshare', ...args];
  const [program = '', ...rest] =
    options.oneProcessor === true ? ['taskset', '--cpu-list', '0', ...command] : command;
  return run(program, rest, options, env as NodeJS.ProcessEnv);
}

/** A folder tree and the image made of it. */
export class Tree {
  readonly folder: string;
  private readonly scratch: string;
  private image: string | undefined;
  private runs = 0;

  private readonly nativeRoot: 'copy' | 'overlay';

  /** Native runs see a copy of the tree in a tmpfs, or an overlay over it: faster for a large tree. */
  constructor(nativeRoot: 'copy' | 'overlay' = 'copy') {
    this.nativeRoot = nativeRoot;
    this.scratch = mkdtempSync(join(tmpdir(), 'runnc-linux-'));
    this.folder = join(this.scratch, 'tree');
    execFileSync('mkdir', ['-p', this.folder]);
  }

  remove(): void {
    rmSync(this.scratch, { recursive: true, force: true });
  }

  /** To be called once the tree is complete. */
  makeImage(): void {
    this.image = join(this.scratch, 'image.erofs');
    execFileSync('mkfs.erofs', ['--quiet', this.image, this.folder], { stdio: 'ignore' });
  }

  /** In a mount and pid namespace of its own, on a copy of the tree: nothing of it stays. */
  native(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runNatively(this.folder, this.nativeRoot, argv, options);
  }

  /** argv[0] is the program's absolute path in the tree. */
  async guest(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const [command = '', ...args] = this.guestCommand(argv, options);
    return run(command, args, options, {});
  }

  /** The tender's command line; files that it names go with the tree. */
  guestCommand(argv: readonly string[], options: RunOptions = {}): readonly string[] {
    if (this.image === undefined) this.makeImage();
    const config = encodeBootConfig({
      args: argv,
      env: options.env ?? DEFAULT_ENV,
      cwd: options.cwd ?? '/',
      exe: argv[0] ?? '',
      credentials: ROOT,
      hostname: 'guest',
      rlimits: [{ resource: 7, soft: 1024n, hard: 1_048_576n }],
      memoryBytes: MEMORY_LIMIT_BYTES,

      mounts: MOUNTS,
      sysctl: {},
      strace: false,
      rootReadonly: false,
      noNewPrivileges: false,
      ...options.config,
    });
    const path = join(this.scratch, `config-${this.runs++}`);
    writeFileSync(path, addRecords(config, options.network ?? []));
    return [
      partPath('tender-spt'),
      ...[
        `--mem=${GUEST_MEMORY_MIB}`,
        `--allow-extras=${EXTRAS}${options.strict === true ? '' : ',memctl'}`,
        `--boot-config=${path}`,
      ],
      ...[`--rootfs=${this.image ?? ''}`, ...(options.tender ?? []), partPath('linux.spt')],
    ];
  }
}
