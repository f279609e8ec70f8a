/** podman with storage of the tests' own. It has no daemon; conmon watches each container. */
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run, succeed, type CommandOptions, type CommandResult } from './command.ts';
import { cgroupsBelow, mountsWith, removeCgroupParent } from './host-state.ts';
import { IMAGE, writeImage } from './images.ts';
import { needs, runtime } from './paths.ts';

const OVERLAYFS_MAGIC = 0x794c7630;

export interface PodmanOptions {
  /** Root's, or an ordinary user's (rootless), who needs an entry in /etc/passwd and no subordinate ids. */
  readonly user?: number;
  /** A network namespace that has its bridges and iptables rules. Default: no network at all. */
  readonly namespace?: string;
  /** What makes its networks. */
  readonly backend?: NetworkBackend;
}

export type NetworkBackend = 'cni' | 'netavark';

export class Podman {
  readonly folder: string;
  readonly cgroupParent: string;
  readonly #user: number | undefined;
  readonly #driver: string;
  readonly #runtime: string;
  readonly #namespace: string | undefined;

  private constructor(folder: string, { user, namespace, backend = 'cni' }: PodmanOptions) {
    this.folder = folder;
    writeFileSync(join(folder, 'containers.conf'), `[network]\nnetwork_backend = "${backend}"\n`);
    this.#namespace = namespace;
    this.cgroupParent = `/runnc-podman-${String(process.pid)}`;
    this.#user = user;
    this.#driver = user !== undefined || statfsSync(folder).type === OVERLAYFS_MAGIC ? 'vfs' : 'overlay';
    this.#runtime = runtime;
    if (user === undefined) return;
    // Wherever it is installed, that user may not be able to reach it.
    this.#runtime = join(folder, basename(runtime));
    copyFileSync(runtime, this.#runtime);
    for (const name of ['', 'home', 'xdg']) {
      mkdirSync(join(folder, name), { recursive: true });
      chownSync(join(folder, name), user, user);
    }
  }

  static async start(options: PodmanOptions = {}): Promise<Podman> {
    needs(runtime);
    const podman = new Podman(mkdtempSync(join(tmpdir(), 'rp-')), options);
    try {
      const image = join(podman.folder, 'image.tar');
      await writeImage(image);
      await podman.podman('load', '--quiet', '--input', image);
    } catch (error) {
      await podman.stop();
      throw error;
    }
    return podman;
  }

  get client(): readonly string[] {
    const { folder } = this;
    return [
      ...['--root', `${folder}/root`, '--runroot', `${folder}/run`, '--tmpdir', `${folder}/tmp`],
      ...['--storage-driver', this.#driver, '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
      ...['--runtime', this.#runtime],
      ...(this.#namespace === undefined ? [] : ['--network-config-dir', `${folder}/networks`]),
      // Or it warns of what a user's podman goes without.
      ...(this.#user === undefined ? [] : ['--log-level=error']),
    ];
  }

  get #as(): CommandOptions {
    if (this.#user === undefined) return {};
    const { folder } = this;
    const env = { PATH: process.env['PATH'], HOME: `${folder}/home`, XDG_RUNTIME_DIR: `${folder}/xdg` };
    return { uid: this.#user, gid: this.#user, cwd: folder, env };
  }

  podman(...args: readonly string[]): Promise<string> {
    return succeed(...this.command(args), this.#as);
  }

  try(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(...this.command(args), { ...this.#as, ...options });
  }

  /** The program and its arguments, for a caller that starts it itself. */
  command(args: readonly string[]): [program: string, args: readonly string[]] {
    if (this.#namespace === undefined) return ['podman', [...this.client, ...args]];
    const enter = [
      `--net=/run/netns/${this.#namespace}`,
      'env',
      `CONTAINERS_CONF=${this.folder}/containers.conf`,
    ];
    return ['nsenter', [...enter, 'podman', ...this.client, ...args]];
  }

  run(options: readonly string[], command: readonly string[]): Promise<CommandResult> {
    return this.try(['run', ...this.place, ...options, IMAGE, ...command]);
  }

  /** Its id; it is running. */
  runDetached(
    options: readonly string[] = [],
    command: readonly string[] = ['/time', 'forever'],
  ): Promise<string> {
    return this.podman('run', '-d', ...this.place, ...options, IMAGE, ...command);
  }

  /** Options of run that keep a container within what the tests clean up. */
  get place(): readonly string[] {
    // podman asks for a million open files, which root inside a container may not have.
    if (this.#user !== undefined) return ['--network=none'];
    return [
      ...(this.#namespace === undefined ? ['--network=none'] : []),
      '--ulimit=nofile=1024:1024',
      '--ulimit=nproc=1024:1024',
      '--cgroup-parent',
      this.cgroupParent,
    ];
  }

  inspect(id: string, template: string): Promise<string> {
    return this.podman('inspect', '--format', `{{${template}}}`, id);
  }

  async removeAll(): Promise<void> {
    await this.podman('rm', '--all', '--force', '--time=0');
  }

  leftovers(): readonly string[] {
    // podman itself leaves conmon's cgroup to whom it belongs.
    return [
      ...cgroupsBelow(this.cgroupParent).filter((dir) => !dir.includes('conmon')),
      ...mountsWith(this.folder).filter((dir) => dir.endsWith('/merged')),
    ];
  }

  async stop(): Promise<void> {
    // A user's podman leaves a process that holds its namespaces.
    if (this.#user !== undefined) await this.podman('system', 'migrate');
    for (const dir of [...mountsWith(this.folder)].reverse()) await run('umount', [dir]);
    for (const dir of [...cgroupsBelow(this.cgroupParent)].reverse()) await run('rmdir', [dir]);
    removeCgroupParent(this.cgroupParent);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
