/** Root file systems made of this machine's own programs, and the programs of this folder compiled into them. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { templateSpec } from '../../src/oci/spec-template.ts';
import type { Draft, Playground } from '../support/bundle.ts';
import { run, type CommandResult } from '../support/command.ts';
import { needs } from '../support/paths.ts';

const PROGRAMS = resolve(import.meta.dirname, 'programs');
const PYTHON = '/usr/lib/python3.11';
/** Of no use without a screen or a compiler, and half of the size. */
const LEFT_OUT = new Set(['test', 'idlelib', 'tkinter', 'lib2to3', 'ensurepip', '__pycache__', 'turtledemo']);

export type Linkage =
  'static' | 'static-pie' | 'dynamic' | 'dynamic-nopie' | 'musl-static' | 'musl-dynamic' | 'go';

export class Rootfs {
  readonly folder: string;

  /** The folders and files that every image has. */
  constructor() {
    this.folder = join(mkdtempSync(join(tmpdir(), 'runnc-rootfs-')), 'rootfs');
    chmodSync(dirname(this.folder), 0o755);
    for (const path of [
      'usr/bin',
      'usr/lib64',
      'usr/lib/x86_64-linux-gnu',
      'etc',
      'tmp',
      'root',
      'home/alice',
    ]) {
      mkdirSync(join(this.folder, path), { recursive: true });
    }
    for (const name of ['bin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(this.folder, name));
    chmodSync(join(this.folder, 'tmp'), 0o1777);
    this.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n');
    this.write('/etc/group', 'root:x:0:\nalice:x:1001:\nvideo:x:44:alice,bob\n');
    this.add('/bin/busybox');
  }

  remove(): void {
    rmSync(dirname(this.folder), { recursive: true });
  }

  path(inside: string): string {
    return join(this.folder, inside);
  }

  write(inside: string, content: string, mode = 0o644): void {
    mkdirSync(dirname(this.path(inside)), { recursive: true });
    writeFileSync(this.path(inside), content);
    chmodSync(this.path(inside), mode);
  }

  /** Copies programs of this machine, with the libraries they need. */
  add(...programs: readonly string[]): void {
    for (const program of programs) {
      copyFileSync(realpathSync(program), this.path(`/usr/bin/${basename(program)}`));
      this.addLibraries(program);
    }
  }

  /** python3 with its library. */
  addPython(): void {
    needs(PYTHON);
    this.add('/usr/bin/python3.11');
    symlinkSync('python3.11', this.path('/usr/bin/python3'));
    cpSync(PYTHON, this.path(PYTHON), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !LEFT_OUT.has(basename(source)) && !basename(source).startsWith('config-'),
    });
    const modules = execFileSync('find', [`${PYTHON}/lib-dynload`, '-name', '*.so'], { encoding: 'utf8' });
    for (const module of modules.trim().split('\n')) this.addLibraries(module);
    for (const library of ['libssl.so.3', 'libcrypto.so.3', 'libsqlite3.so.0']) {
      this.#copyLibrary(`/usr/lib/x86_64-linux-gnu/${library}`);
    }
  }

  /** programs/`source`, or one by its absolute path, as /usr/bin/`name`. */
  compile(source: string, linkage: Linkage, name = basename(source).replace(/\.\w+$/, '')): void {
    const input = resolve(PROGRAMS, source);
    const output = this.path(`/usr/bin/${name}`);
    const c = ['-O2', '-Wall', '-Wno-infinite-recursion', '-pthread', '-o', output, input];
    switch (linkage) {
      case 'static':
        return void execFileSync('gcc', ['-static', '-no-pie', ...c]);
      case 'static-pie':
        return void execFileSync('gcc', ['-static-pie', ...c]);
      case 'dynamic':
        execFileSync('gcc', ['-pie', '-fPIE', ...c]);
        return this.addLibraries(output);
      case 'dynamic-nopie':
        execFileSync('gcc', ['-no-pie', ...c]);
        return this.addLibraries(output);
      case 'musl-static':
        return void execFileSync('musl-gcc', ['-static', ...c]);
      case 'musl-dynamic':
        execFileSync('musl-gcc', c);
        copyFileSync(realpathSync('/lib/ld-musl-x86_64.so.1'), this.path('/usr/lib/ld-musl-x86_64.so.1'));
        return;
      case 'go':
        return void execFileSync('go', ['build', '-o', output, input], {
          env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GO111MODULE: 'off' },
        });
    }
  }

  /** What the same program does on this machine, with this root. */
  native(args: readonly string[], input?: string): Promise<CommandResult> {
    return run('/usr/sbin/chroot', [this.folder, ...args], {
      env: { PATH: '/usr/bin', HOME: '/root', LANG: 'C.UTF-8' },
      ...(input === undefined ? {} : { input }),
    });
  }

  /** A bundle of it: writable, as a full root, with the environment that `native` has. */
  bundle(host: Playground, args: readonly string[], change: (spec: Draft) => void = () => undefined): string {
    const bundle = mkdtempSync(join(host.folder, 'bundle-'));
    const spec = structuredClone(templateSpec()) as Draft;
    const all = [
      'CAP_CHOWN',
      'CAP_DAC_OVERRIDE',
      'CAP_FOWNER',
      'CAP_FSETID',
      'CAP_SETUID',
      'CAP_SETGID',
      'CAP_MKNOD',
    ];
    spec.process = {
      ...spec.process,
      terminal: false,
      args,
      env: ['PATH=/usr/bin', 'HOME=/root', 'LANG=C.UTF-8'],
      capabilities: { bounding: all, effective: all, permitted: all },
    };
    spec.root = { path: this.folder };
    // Runs share the tree: what one writes is not for the next, and would cost it a new image.
    spec.annotations = { 'io.runnc.rootfs': 'memory' };
    spec.linux.cgroupsPath = `${host.cgroupParent}/${basename(bundle)}`;
    change(spec);
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
    return bundle;
  }

  /** What a program of this machine, or one made here, is linked to. */
  addLibraries(program: string): void {
    let libraries: string;
    try {
      libraries = execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    } catch {
      return; // static
    }
    for (const [library] of libraries.matchAll(/\/\S+/g)) this.#copyLibrary(library);
  }

  #copyLibrary(library: string): void {
    const inside = library.startsWith('/usr/') ? library : `/usr${library}`;
    mkdirSync(dirname(this.path(inside)), { recursive: true });
    copyFileSync(realpathSync(library), this.path(inside));
  }
}
