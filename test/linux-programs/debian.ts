/**
 * Root file systems of Debian's packages: those of this machine, file by file as dpkg knows them, or a whole one by
 * debootstrap; and programs of theirs run natively and in the Linux guest.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { templateSpec } from '../../src/oci/spec-template.ts';
import { runNatively } from '../linux-abi/guest.ts';
import type { Draft, Playground } from '../support/bundle.ts';
import { succeed, type CommandResult } from '../support/command.ts';

const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
/** What dpkg does not list, for maintainers' scripts make it in /etc, and what they make it of. */
const MADE_BY_SCRIPTS = {
  passwd: '/usr/share/base-passwd/passwd.master',
  group: '/usr/share/base-passwd/group.master',
  'nsswitch.conf': '/usr/share/libc-bin/nsswitch.conf',
  'adduser.conf': '/usr/share/adduser/adduser.conf',
};
const NOT_NEEDED =
  /^\/usr\/(share\/(doc|man|locale|info|lintian|bug)|lib\/x86_64-linux-gnu\/perl\/cross-config)/;
const ADMIN = '/var/lib/dpkg';
/** What Docker gives a container. */
const CAPABILITIES = [
  ...[
    'CAP_AUDIT_WRITE',
    'CAP_CHOWN',
    'CAP_DAC_OVERRIDE',
    'CAP_FOWNER',
    'CAP_FSETID',
    'CAP_KILL',
    'CAP_MKNOD',
  ],
  ...[
    'CAP_NET_BIND_SERVICE',
    'CAP_NET_RAW',
    'CAP_SETFCAP',
    'CAP_SETGID',
    'CAP_SETPCAP',
    'CAP_SETUID',
    'CAP_SYS_CHROOT',
  ],
];
const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LANG=C.UTF-8',
];

export interface DebianOptions {
  readonly timeoutMs?: number;
  /** Bytes; default: none. */
  readonly memoryLimit?: number;
}

export class Debian {
  readonly folder: string;
  #runs = 0;

  private constructor() {
    this.folder = join(fs.mkdtempSync(join(tmpdir(), 'runnc-debian-')), 'rootfs');
    fs.mkdirSync(this.folder);
    fs.chmodSync(dirname(this.folder), 0o755);
  }

  /** Of packages that this machine has, and all that they depend on. */
  static ofThisMachine(packages: readonly string[]): Debian {
    const debian = new Debian();
    for (const path of [
      'usr',
      'etc',
      'tmp',
      'proc',
      'sys',
      'dev',
      'root',
      'home',
      'run',
      'var/log',
      'var/lib/dpkg/info',
    ])
      fs.mkdirSync(debian.path(path), { recursive: true });
    fs.chmodSync(debian.path('tmp'), 0o1777);
    for (const name of MERGED) {
      fs.mkdirSync(debian.path(`usr/${name}`));
      fs.symlinkSync(`usr/${name}`, debian.path(name));
    }
    const closure = closureOf(packages);
    copy('/', debian.folder, closure.flatMap(filesOf));
    for (const [name, original] of Object.entries(MADE_BY_SCRIPTS))
      if (fs.existsSync(original)) fs.copyFileSync(original, debian.path(`etc/${name}`));
    fs.cpSync('/etc/pam.d', debian.path('etc/pam.d'), { recursive: true });
    debian.#addShadow();
    debian.#addAlternatives();
    debian.#addAdministration(new Set(closure));
    execFileSync('ldconfig', ['-r', debian.folder]);
    return debian;
  }

  /** A new Debian 12 with these packages, from Debian's servers. */
  static async bootstrapped(packages: readonly string[]): Promise<Debian> {
    const debian = new Debian();
    const inside = (...command: readonly string[]): Promise<string> =>
      succeed('chroot', [debian.folder, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command], {
        timeoutMs: 1_800_000,
      });
    await succeed('debootstrap', ['--variant=minbase', 'bookworm', debian.folder], { timeoutMs: 1_800_000 });
    fs.writeFileSync(debian.path('usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    fs.copyFileSync('/etc/resolv.conf', debian.path('etc/resolv.conf'));
    await succeed('mount', ['-t', 'proc', 'proc', debian.path('proc')]); // for the JVM's maintainer script
    try {
      await inside('apt-get', 'install', '-y', '--no-install-recommends', ...packages);
      await inside('apt-get', 'clean');
    } finally {
      await succeed('umount', [debian.path('proc')]);
    }
    return debian;
  }

  /** Node.js as it runs this test, with its npm. */
  addNode(): void {
    const npm = join(dirname(fs.realpathSync(process.execPath)), '../lib/node_modules/npm');
    fs.copyFileSync(process.execPath, this.path('usr/bin/node'));
    fs.cpSync(npm, this.path('usr/lib/node_modules/npm'), { recursive: true, verbatimSymlinks: true });
    fs.symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', this.path('usr/bin/npm'));
  }

  path(inside: string): string {
    return join(this.folder, inside);
  }

  remove(): void {
    fs.rmSync(dirname(this.folder), { recursive: true, force: true });
  }

  /** A shell script, natively on an overlay and on one processor. */
  async native(script: string, { timeoutMs = 120_000 }: DebianOptions = {}): Promise<CommandResult> {
    const argv = ['/usr/bin/env', '-i', ...ENVIRONMENT, '/bin/sh', '-c', script];
    const { status, stdout, stderr } = await runNatively(this.folder, 'overlay', argv, {
      timeoutMs,
      oneProcessor: true,
    });
    const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString();
    return { status, stdout: text(stdout), stderr: text(stderr) };
  }

  /** The same script in a container. */
  async guest(host: Playground, script: string, options: DebianOptions = {}): Promise<CommandResult> {
    const bundle = this.bundle(host, ['/bin/sh', '-c', script], (spec) => {
      if (options.memoryLimit !== undefined)
        spec.linux.resources = { memory: { limit: options.memoryLimit } };
    });
    const call = host.start(['run', '--bundle', bundle, `debian-${String(this.#runs++)}`]);
    return call.end(options.timeoutMs ?? 120_000);
  }

  /** Writable, with the rights that Docker gives. */
  bundle(host: Playground, args: readonly string[], change: (spec: Draft) => void = () => undefined): string {
    const bundle = fs.mkdtempSync(join(host.folder, 'bundle-'));
    const spec = structuredClone(templateSpec()) as Draft;
    spec.process = {
      ...spec.process,
      terminal: false,
      args,
      env: ENVIRONMENT,
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: false,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 1_048_576 }],
    };
    spec.hostname = 'guest';
    spec.root = { path: this.folder };
    // Runs share the tree: what one writes is not for the next, and would cost it a new image.
    spec.annotations = { 'io.runnc.rootfs': 'memory' };
    spec.linux.cgroupsPath = `${host.cgroupParent}/${basename(bundle)}`;
    change(spec);
    fs.writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
    return bundle;
  }

  /** Nobody has a password. */
  #addShadow(): void {
    for (const [shadow, open, fields] of [
      ['shadow', 'passwd', '*:19000:0:99999:7:::'],
      ['gshadow', 'group', '*::'],
    ] as const) {
      const names = fs
        .readFileSync(this.path(`etc/${open}`), 'utf8')
        .trim()
        .split('\n');
      const lines = names.map((line) => `${line.split(':')[0] ?? ''}:${fields}\n`);
      fs.writeFileSync(this.path(`etc/${shadow}`), lines.join(''), { mode: 0o640 });
    }
  }

  /** /usr/bin/awk and its like: links to /etc/alternatives, and those to what is installed. */
  #addAlternatives(): void {
    fs.mkdirSync(this.path('etc/alternatives'), { recursive: true });
    for (const name of fs.readdirSync(`${ADMIN}/alternatives`)) {
      const link = fs.readFileSync(`${ADMIN}/alternatives/${name}`, 'utf8').split('\n')[1] ?? '';
      const target = fs.readlinkSync(`/etc/alternatives/${name}`);
      if (!fs.existsSync(this.path(target)) || !fs.existsSync(this.path(dirname(link)))) continue;
      fs.symlinkSync(target, this.path(`etc/alternatives/${name}`));
      fs.symlinkSync(`/etc/alternatives/${name}`, this.path(link));
    }
  }

  /** dpkg's books, of these packages alone. */
  #addAdministration(packages: ReadonlySet<string>): void {
    const paragraphs = fs.readFileSync(`${ADMIN}/status`, 'utf8').split('\n\n');
    const kept = paragraphs.filter((text) => packages.has(/^Package: (.*)$/m.exec(text)?.[1] ?? ''));
    fs.writeFileSync(this.path(`${ADMIN}/status`), `${kept.join('\n\n')}\n`);
    fs.writeFileSync(this.path(`${ADMIN}/available`), '');
    const info = fs
      .readdirSync(`${ADMIN}/info`)
      .filter((file) => packages.has(file.replace(/(:\w+)?\.\w+$/, '')));
    for (const file of info) fs.copyFileSync(`${ADMIN}/info/${file}`, this.path(`${ADMIN}/info/${file}`));
  }
}

/** Packages with all that they depend on, as they are installed here. */
function closureOf(packages: readonly string[]): readonly string[] {
  const format = '${Package}\\t${db:Status-Status}\\t${Pre-Depends}, ${Depends}\\n';
  const installed = new Map<string, readonly (readonly string[])[]>();
  for (const line of execFileSync('dpkg-query', ['-W', '-f', format], { encoding: 'utf8' }).split('\n')) {
    const [name = '', status, needed = ''] = line.split('\t');
    const clauses = needed
      .split(',')
      .map((clause) => clause.split('|').map((one) => one.trim().replace(/[\s:(].*/, '')));
    if (status === 'installed') installed.set(name, clauses);
  }
  const found = new Set<string>();
  const queue = [...packages];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const clauses = installed.get(name);
    if (clauses === undefined) throw new Error(`package ${name} is missing: run scripts/setup.sh test`);
    if (found.has(name)) continue;
    found.add(name);
    // Virtual packages are somebody's whom another clause names.
    for (const clause of clauses) queue.push(...clause.filter((one) => installed.has(one)).slice(0, 1));
  }
  return [...found].sort();
}

function filesOf(name: string): readonly string[] {
  const lists = [`${ADMIN}/info/${name}.list`, `${ADMIN}/info/${name}:amd64.list`];
  const list = lists.find((path) => fs.existsSync(path));
  const files = list === undefined ? [] : fs.readFileSync(list, 'utf8').split('\n');
  return files.filter(
    (path) => path !== '' && path !== '/.' && !NOT_NEEDED.test(path) && fs.existsSync(path),
  );
}

/** With owners and modes; what lies at two names of a merged folder once. */
function copy(from: string, to: string, paths: readonly string[]): void {
  const input = paths.map((path) => `${path.slice(1)}\0`).join('');
  const archive = join(dirname(to), 'files.tar');
  const selection = ['--null', '--no-recursion', '--files-from=-', '--ignore-failed-read'];
  execFileSync('tar', ['-C', from, '-cf', archive, ...selection], {
    input,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  execFileSync('tar', ['-C', to, '--keep-directory-symlink', '-xpf', archive]);
  fs.rmSync(archive);
}
