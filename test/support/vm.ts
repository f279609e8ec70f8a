/**
 * A small virtual machine with Debian's cloud kernel, for what this host's kernel cannot show: cgroup v2 alone,
 * ftrace, iso9660. Emulated (TCG), so figures from it are counts, never times. Boots in seconds.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const begin = '---- script ----';
const end = '---- status ';

export interface VmOptions {
  /** Shell script (busybox sh) run as root after /proc, /sys, /dev, /tmp and /run are mounted. */
  readonly script: string;
  /** Path in the VM → path here; files keep their mode, folders are copied whole. */
  readonly files?: Readonly<Record<string, string>>;
  /** Programs whose shared libraries are copied along. */
  readonly programs?: Readonly<Record<string, string>>;
  readonly memoryMiB?: number;
  readonly timeoutMs?: number;
}

export interface VmResult {
  readonly status: number;
  /** What the script printed, standard error included. */
  readonly output: string;
}

/** Runs a script in a fresh machine. Needs qemu-system-x86, busybox-static and a network-less apt (for the kernel once). */
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
    const console = execFileSync(
      'qemu-system-x86_64',
      [
        ...[
          '-accel',
          'tcg',
          '-cpu',
          'max',
          '-m',
          String(options.memoryMiB ?? 1536),
          '-nographic',
          '-no-reboot',
        ],
        ...[
          '-nic',
          'none',
          '-kernel',
          cloudKernel(),
          '-initrd',
          initrd,
          '-append',
          'console=ttyS0 quiet panic=-1',
        ],
      ],
      {
        encoding: 'utf8',
        timeout: options.timeoutMs ?? 120_000,
        stdio: ['ignore', 'pipe', 'inherit'],
        maxBuffer: 1 << 26,
      },
    ).replaceAll('\r', '');
    const from = console.indexOf(`${begin}\n`);
    const to = console.lastIndexOf(end);
    if (from < 0 || to < 0) throw new Error(`the machine did not finish its script:\n${console}`);
    return {
      status: Number.parseInt(console.slice(to + end.length), 10),
      output: console.slice(from + begin.length + 1, to),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
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

/** vmlinuz of Debian's linux-image-cloud-amd64, unpacked once into build/vm/ and never installed. */
function cloudKernel(): string {
  const folder = join(import.meta.dirname, '../../build/vm');
  const boot = join(folder, 'boot');
  if (!existsSync(boot)) {
    mkdirSync(folder, { recursive: true });
    const depends = execFileSync('apt-cache', ['depends', 'linux-image-cloud-amd64'], { encoding: 'utf8' });
    const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (name === undefined) throw new Error('apt-cache knows no linux-image-cloud-amd64: run apt-get update');
    execFileSync('apt-get', ['download', '-qq', name], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const deb = readdirSync(folder).find((file) => file.endsWith('.deb'));
    if (deb === undefined) throw new Error(`apt-get download ${name} left no package`);
    execFileSync('dpkg', ['-x', deb, '.'], { cwd: folder });
  }
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`no kernel image in ${boot}`);
  return join(boot, image);
}
