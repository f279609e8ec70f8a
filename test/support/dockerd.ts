/** A dockerd of the tests' own, with its own containerd, images and sockets; the machine's Docker is not touched. */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, succeed, type CommandOptions, type CommandResult } from './command.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import { cgroupsBelow, mountsWith, removeCgroupParent } from './host-state.ts';
import { IMAGE, writeImage } from './images.ts';
import { needs, runtime } from './paths.ts';

const OVERLAYFS_MAGIC = 0x794c7630;
/** A container may be removed already, by --rm. */
const REMOVAL_MS = 30_000;

export interface DockerdOptions {
  /** Ours, or one that dockerd knows itself ("runc"). */
  readonly defaultRuntime?: string;
  /** Bridges and iptables rules of its own, in this network namespace. Default: no network at all. */
  readonly network?: { readonly namespace: string; readonly options: readonly string[] };
}

export class Dockerd {
  readonly folder: string;
  /** The cgroup that holds those of all containers. */
  readonly cgroupParent: string;
  readonly #daemon: Daemon;

  private constructor(folder: string, cgroupParent: string, daemon: Daemon) {
    this.folder = folder;
    this.cgroupParent = cgroupParent;
    this.#daemon = daemon;
  }

  /** Also loads the image of images.ts. */
  static async start({ defaultRuntime = 'runnc', network }: DockerdOptions = {}): Promise<Dockerd> {
    needs(runtime);
    // Short: it holds sockets, whose paths may have 107 bytes.
    const folder = mkdtempSync(join(tmpdir(), 'rd-'));
    const cgroupParent = `/runnc-docker-${String(process.pid)}`;
    // An overlay cannot lie on an overlay, which is what the root of a container is.
    const driver = statfsSync(folder).type === OVERLAYFS_MAGIC ? 'vfs' : 'overlay2';
    const daemon = await startDaemon({
      ...(network === undefined ? {} : { namespace: network.namespace }),
      program: 'dockerd',
      args: [
        ...['--host', `unix://${folder}/docker.sock`, '--pidfile', `${folder}/docker.pid`],
        ...['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`],
        ...(network === undefined
          ? ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-masq=false']
          : network.options),
        ...['--storage-driver', driver, '--cgroup-parent', cgroupParent],
        ...['--add-runtime', `runnc=${runtime}`, '--default-runtime', defaultRuntime],
      ],
      log: join(folder, 'dockerd.log'),
      socket: join(folder, 'docker.sock'),
    });
    const dockerd = new Dockerd(folder, cgroupParent, daemon);
    try {
      await dockerd.docker('version');
      const image = join(folder, 'image.tar');
      await writeImage(image);
      await dockerd.docker('load', '--quiet', '--input', image);
    } catch (error) {
      await dockerd.stop();
      throw error;
    }
    return dockerd;
  }

  /** The arguments that make the docker command talk to this daemon. */
  get client(): readonly string[] {
    return ['--config', join(this.folder, 'client'), '--host', `unix://${this.folder}/docker.sock`];
  }

  /** Standard output of a docker command that must succeed. */
  docker(...args: readonly string[]): Promise<string> {
    return succeed('docker', [...this.client, ...args]);
  }

  /** A docker command that may fail. */
  try(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run('docker', [...this.client, ...args], options);
  }

  /** `docker run` without a network, of our image. */
  run(options: readonly string[], command: readonly string[] = []): Promise<CommandResult> {
    return this.try(['run', '--network=none', ...options, IMAGE, ...command]);
  }

  /** Its id; it is running. */
  runDetached(
    options: readonly string[] = [],
    command: readonly string[] = ['/time', 'forever'],
  ): Promise<string> {
    return this.docker('run', '-d', '--network=none', ...options, IMAGE, ...command);
  }

  /** A value from `docker inspect`, by a Go template such as .State.Pid */
  inspect(id: string, template: string): Promise<string> {
    return this.docker('inspect', '--format', `{{${template}}}`, id);
  }

  async pid(id: string): Promise<number> {
    return Number(await this.inspect(id, '.State.Pid'));
  }

  /** Removes every container, by force. */
  async removeAll(): Promise<void> {
    // dockerd may still write down the end of a container while it removes its folder ("directory not empty").
    for (const deadline = performance.now() + REMOVAL_MS; ;) {
      const ids = await this.#containers();
      if (ids.length === 0) return;
      const { status, stderr } = await this.try(['rm', '--force', ...ids]);
      const isLate = performance.now() > deadline;
      if (isLate || (status !== 0 && !/directory not empty|already in progress/.test(stderr))) {
        throw new Error(`dockerd does not remove ${ids.join(' ')}: ${stderr}`);
      }
    }
  }

  /** The ids of all. dockerd lists one for ever that ran out of memory while it was removed, but knows nothing of it. */
  async #containers(): Promise<readonly string[]> {
    const listed = (await this.docker('ps', '--all', '--quiet')).split('\n').filter(Boolean);
    if (listed.length === 0) return [];
    const { stdout } = await this.try(['container', 'inspect', '--format', '{{.Id}}', ...listed]);
    return stdout.split('\n').filter(Boolean);
  }

  /** What containers that are removed left behind. */
  leftovers(): readonly string[] {
    return [
      ...cgroupsBelow(this.cgroupParent),
      ...mountsWith(`${this.folder}/data`).filter((dir) => dir.endsWith('/merged')),
      ...mountsWith(`${this.folder}/exec`).filter((dir) => !dir.includes('/netns/')),
    ];
  }

  async stop(): Promise<void> {
    // Their shims outlive the daemon, and so would containers that a failed test left.
    await this.removeAll().catch(() => undefined);
    await this.#daemon.stop();
    // dockerd keeps the name of the host's network namespace mounted once it was asked for.
    for (const dir of mountsWith(this.folder)) await run('umount', [dir]);
    removeCgroupParent(this.cgroupParent);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
