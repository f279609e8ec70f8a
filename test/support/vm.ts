/**
 * A small virtual machine with Debian's cloud kernel, for what this host's kernel cannot show: cgroup v2 alone,
 * ftrace, iso9660, an older kernel, another CPU. Emulated (TCG), so figures from it are counts, never times. Boots in
 * seconds.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Linux counts ticks at its start to see whether the timer works, and panics if the emulator was not given time for any. */
const onBusyMachine = 'no_timer_check';

const begin = '---- script ----';
const end = '---- status ';

export interface VmOptions {
  /** Shell script (busybox sh) run as root after /proc, /sys, /dev, /tmp and /run are mounted. */
  readonly script: string;
  /** Path in the VM → path here; files keep their mode, folders are copied whole. */
  readonly files?: Readonly<Record<string, string>>;
  /** Programs whose shared libraries are copied along. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Kernel modules that are loaded before the script runs, by name; those they need come along. */
  readonly modules?: readonly string[];
  /** As qemu's -cpu has it (default: `max`, all that it can emulate). */
  readonly cpu?: string;
  readonly memoryMiB?: number;
  readonly timeoutMs?: number;
}

export interface VmResult {
  readonly status: number;
  /** What the script printed, standard error included. */
  readonly output: string;
}

/**
 * Runs a script in a fresh machine. Needs qemu-system-x86 and busybox-static and, the first time, an apt that can
 * download the kernel's package.
 */
export function runInVm(options: VmOptions): VmResult {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-vm-'));
  try {
    const root = join(folder, 'root');
    for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'run', 'etc'])
      mkdirSync(join(root, name), { recursive: true });
    copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
    for (const [to, from] of Object.entries(options.files ?? {})) copyInto(root, to, from);
    for (const [to, from] of Object.entries(options.programs ?? {})) {
      copyInto(root, to, from);
      for (const library of librariesOf(from)) copyInto(root, library, library);
    }
    addModules(root, options.modules ?? []);
    writeFileSync(join(root, 'script'), options.script);
    writeFileSync(join(root, 'init'), initScript);
    chmodSync(join(root, 'init'), 0o755);
    const initrd = join(folder, 'initrd');
    execFileSync(
      'sh',
      ['-c', 'cd "$1" && find . | busybox cpio -o -H newc | gzip -1 > "$2"', 'sh', root, initrd],
      {
        stdio: ['ignore', 'ignore', 'ignore'],
      },
    );
    const machine = spawnSync(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-cpu', options.cpu ?? 'max', '-smp', '2'],
        ...['-m', String(options.memoryMiB ?? 1536), '-nographic', '-no-reboot', '-nic', 'none'],
        ...[
          '-kernel',
          cloudKernel(),
          '-initrd',
          initrd,
          '-append',
          `console=ttyS0 quiet panic=-1 ${onBusyMachine}`,
        ],
      ],
      {
        encoding: 'utf8',
        timeout: options.timeoutMs ?? 120_000,
        stdio: ['ignore', 'pipe', 'inherit'],
        maxBuffer: 1 << 26,
      },
    );
    const console = machine.stdout?.replaceAll('\r', '') ?? '';
    const from = console.indexOf(`${begin}\n`);
    const to = console.lastIndexOf(end);
    if (from < 0 || to < 0) {
      const why = machine.error?.message ?? 'it ended too early';
      throw new Error(`the machine did not finish its script, ${why}:\n${console}`);
    }
    return {
      status: Number.parseInt(console.slice(to + end.length), 10),
      output: console.slice(from + begin.length + 1, to),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The kernel's own root cannot be pivoted away, and is none to make a user namespace in: another is put on top. */
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
if [ ! -e /top ]; then
  mkdir /top
  mount --bind / /top
  cd /top
  mount --move . /
  exec chroot . /init
fi
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
for module in $(cat /modules/order); do insmod /modules/$module; done
echo '${begin}'
sh /script 2>&1
echo '${end}'$?
poweroff -f
`;

function copyInto(root: string, to: string, from: string): void {
  const target = join(root, to);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(from, target, { recursive: true, dereference: true });
}

/** Absolute paths of the shared libraries a program is linked with, the loader included. */
function librariesOf(program: string): string[] {
  const listing = execFileSync('ldd', [program], { encoding: 'utf8' });
  return [...listing.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
}

/** Puts modules into /modules, with those they need before them, and the order to load them in. */
function addModules(root: string, names: readonly string[]): void {
  const folder = join(root, 'modules');
  mkdirSync(folder);
  const files = new Map<string, string>();
  if (names.length > 0) {
    for (const file of readdirSync(join(kernelPackage(), 'lib/modules'), {
      recursive: true,
      encoding: 'utf8',
    })) {
      // The kernel takes either sign in a module's name; files have both.
      if (file.endsWith('.ko')) files.set(basename(file, '.ko').replaceAll('-', '_'), file);
    }
  }
  const order = new Set<string>();
  const add = (name: string): void => {
    const file = files.get(name);
    if (file === undefined) throw new Error(`the kernel's package has no module ${name}`);
    const path = join(kernelPackage(), 'lib/modules', file);
    const needed = /\0depends=([^\0]*)\0/.exec(readFileSync(path, 'latin1'))?.[1] ?? '';
    for (const other of needed.split(',').filter(Boolean)) add(other.replaceAll('-', '_'));
    copyFileSync(path, join(folder, `${name}.ko`));
    order.add(`${name}.ko`);
  };
  for (const name of names) add(name);
  writeFileSync(join(folder, 'order'), [...order].join('\n'));
}

function cloudKernel(): string {
  const boot = join(kernelPackage(), 'boot');
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`no kernel image in ${boot}`);
  return join(boot, image);
}

/** Debian's linux-image-cloud-amd64, unpacked once into build/vm/ and never installed. */
function kernelPackage(): string {
  const folder = join(import.meta.dirname, '../../build/vm');
  // Moved there when it is complete, for several test files may ask for it at once.
  if (existsSync(folder)) return folder;
  const depends = execFileSync('apt-cache', ['depends', 'linux-image-cloud-amd64'], { encoding: 'utf8' });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error('apt-cache knows no linux-image-cloud-amd64: run apt-get update');
  mkdirSync(dirname(folder), { recursive: true });
  const half = mkdtempSync(`${folder}-`);
  try {
    execFileSync('apt-get', ['download', '-qq', name], { cwd: half, stdio: ['ignore', 'ignore', 'ignore'] });
    const deb = readdirSync(half).find((file) => file.endsWith('.deb'));
    if (deb === undefined) throw new Error(`apt-get download ${name} left no package`);
    execFileSync('dpkg', ['-x', deb, '.'], { cwd: half });
    if (!existsSync(folder)) renameSync(half, folder);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
  return folder;
}
