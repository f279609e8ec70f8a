/** A containerd of the tests' own, driven by ctr. */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, succeed, type CommandResult } from './command.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import { cgroupsBelow, mountsWith, removeCgroupParent } from './host-state.ts';
import { IMAGE, writeImage } from './images.ts';
import { needs, runtime } from './paths.ts';

const OVERLAYFS_MAGIC = 0x794c7630;

export class Containerd {
  readonly folder: string;
  /** ctr's cgroups are /NAMESPACE/ID, so this is also the cgroup parent. */
  readonly namespace: string;
  readonly #snapshotter: string;
  readonly #daemon: Daemon;

  private constructor(folder: string, namespace: string, snapshotter: string, daemon: Daemon) {
    this.folder = folder;
    this.namespace = namespace;
    this.#snapshotter = snapshotter;
    this.#daemon = daemon;
  }

  static async start(): Promise<Containerd> {
    needs(runtime);
    const folder = mkdtempSync(join(tmpdir(), 'rc-'));
    const config = join(folder, 'config.toml');
    writeFileSync(
      config,
      [
        'version = 2',
        `root = "${folder}/root"`,
        `state = "${folder}/state"`,
        // Kubernetes's side of it wants a network; nobody here asks for it.
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        '[grpc]',
        `address = "${folder}/c.sock"`,
        '',
      ].join('\n'),
    );
    const daemon = await startDaemon({
      program: 'containerd',
      args: ['--config', config],
      log: join(folder, 'containerd.log'),
      socket: join(folder, 'c.sock'),
    });
    const snapshotter = statfsSync(folder).type === OVERLAYFS_MAGIC ? 'native' : 'overlayfs';
    const containerd = new Containerd(folder, `runnc-ctr-${String(process.pid)}`, snapshotter, daemon);
    try {
      const image = join(folder, 'image.tar');
      await writeImage(image);
      await containerd.ctr('image', 'import', '--snapshotter', snapshotter, image);
    } catch (error) {
      await containerd.stop();
      throw error;
    }
    return containerd;
  }

  /** Standard output of a ctr command that must succeed. */
  ctr(...args: readonly string[]): Promise<string> {
    return succeed('ctr', [...this.#client, ...args]);
  }

  /** A ctr command that may fail. */
  try(...args: readonly string[]): Promise<CommandResult> {
    return run('ctr', [...this.#client, ...args]);
  }

  /** `ctr run` of our image. */
  run(id: string, options: readonly string[], command: readonly string[]): Promise<CommandResult> {
    return this.runImage(`docker.io/library/${IMAGE}`, id, options, command);
  }

  /** Unpacked too, so that it can be run. */
  async import(archive: string): Promise<void> {
    await this.ctr('image', 'import', '--snapshotter', this.#snapshotter, archive);
  }

  /** `ctr run` of any image, by its whole name. */
  runImage(
    image: string,
    id: string,
    options: readonly string[],
    command: readonly string[],
  ): Promise<CommandResult> {
    const own = ['run', '--snapshotter', this.#snapshotter, '--runc-binary', runtime, ...options];
    return this.try(...own, image, id, ...command);
  }

  /** `ctr run`, for a caller that starts it itself; `image` is a folder with --rootfs. */
  command(
    id: string,
    options: readonly string[],
    image: string,
    command: readonly string[],
  ): readonly string[] {
    return ['ctr', ...this.#client, 'run', '--runc-binary', runtime, ...options, image, id, ...command];
  }

  /** CREATED, RUNNING, PAUSED or STOPPED; undefined without a task. */
  async status(id: string): Promise<string | undefined> {
    return (await this.#task(id))?.[2];
  }

  async pid(id: string): Promise<number> {
    return Number((await this.#task(id))?.[1]);
  }

  async #task(id: string): Promise<readonly string[] | undefined> {
    const lines = (await this.ctr('task', 'list')).split('\n').map((line) => line.split(/\s+/));
    return lines.find(([name]) => name === id);
  }

  get #client(): readonly string[] {
    return ['--address', join(this.folder, 'c.sock'), '--namespace', this.namespace];
  }

  async removeAll(): Promise<void> {
    for (const id of (await this.ctr('task', 'list', '--quiet')).split('\n').filter(Boolean)) {
      await this.try('task', 'delete', '--force', id);
    }
    const ids = (await this.ctr('container', 'list', '--quiet')).split('\n').filter(Boolean);
    if (ids.length > 0) await this.ctr('container', 'delete', ...ids);
  }

  leftovers(): readonly string[] {
    return [...cgroupsBelow(`/${this.namespace}`), ...mountsWith(`${this.folder}/state`)];
  }

  async stop(): Promise<void> {
    await this.#daemon.stop();
    removeCgroupParent(`/${this.namespace}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
