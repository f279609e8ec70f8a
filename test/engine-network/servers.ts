/** A dockerd with a bridge in a namespace of the tests', an image of servers that people run, and clients beside them. */
import { spawn } from 'node:child_process';
import { copyFileSync, cpSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Guest } from '../linux-net/link.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type CommandOptions, type CommandResult, run, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { follow } from '../support/follow.ts';
import { addNamespace } from '../support/network.ts';

export const GATEWAY = '172.30.0.1';
export const GATEWAY6 = 'fd00:d0c::1';
export const IMAGE = 'programs:latest';
const PROGRAMS = resolve(import.meta.dirname, '../linux-net/programs');
const HTTP = resolve(import.meta.dirname, 'programs');
const PYTHON = '/usr/bin/python3.11';
const TORNADO = '/usr/lib/python3/dist-packages/tornado';

export const REDIS = [
  ...['redis-server', '--save', '', '--protected-mode', 'no'],
  ...['--bind', '0.0.0.0', '::', '--maxclients', '2000'],
] as const;
export const IPERF = ['iperf3', '--forceflush', '-s'] as const;

/** A server in a guest. */
export interface Serving {
  readonly id: string;
  /** IPv4, IPv6. */
  readonly addresses: readonly [string, string];
}

type ClientOptions = CommandOptions & { readonly namespace?: string };

export class Servers {
  readonly docker: Dockerd;
  /** Where dockerd and its bridge are. */
  readonly namespace: string;
  readonly #outside: Guest[] = [];

  private constructor(docker: Dockerd, namespace: string) {
    this.docker = docker;
    this.namespace = namespace;
  }

  static async start(): Promise<Servers> {
    const namespace = `runnc-docker-programs-${String(process.pid)}`;
    await addNamespace(namespace);
    const options = ['--bip=172.30.0.1/24', '--ipv6', '--fixed-cidr-v6=fd00:d0c::/64'];
    const servers = new Servers(await Dockerd.start({ network: { namespace, options } }), namespace);
    await servers.#importImage();
    return servers;
  }

  async #importImage(): Promise<void> {
    const rootfs = new Rootfs();
    try {
      rootfs.addPython();
      cpSync(TORNADO, rootfs.path(TORNADO), { recursive: true });
      rootfs.add('/usr/bin/openssl', '/usr/bin/wget', '/usr/bin/redis-server', '/usr/bin/iperf3');
      rootfs.add(process.execPath);
      rootfs.compile(join(HTTP, 'http.go'), 'go', 'http');
      for (const name of ['server.py', 'client.py']) copyFileSync(join(PROGRAMS, name), rootfs.path(name));
      for (const name of ['http.mjs', 'http_tornado.py']) copyFileSync(join(HTTP, name), rootfs.path(name));
      rootfs.write('/www/index.html', 'from the guest\n');
      const tar = join(this.docker.folder, 'programs.tar');
      await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
      const change = '--change=ENV PATH=/usr/bin PYTHONUNBUFFERED=1';
      await this.docker.docker('import', change, tar, IMAGE);
      rmSync(tar);
    } finally {
      rootfs.remove();
    }
  }

  /** A server in a guest, once its output has `ready` in it. */
  async serve(argv: readonly string[], ready: string, options: readonly string[] = []): Promise<Serving> {
    const id = await this.docker.docker('run', '-d', ...options, IMAGE, ...argv);
    await this.says(id, ready);
    const address = await this.docker.inspect(id, '.NetworkSettings.IPAddress');
    return { id, addresses: [address, await this.docker.inspect(id, '.NetworkSettings.GlobalIPv6Address')] };
  }

  /** Until the output of a guest has `text` in it. */
  says(id: string, text: string): Promise<void> {
    return follow('docker', [...this.docker.client, 'logs', '--follow', id], text);
  }

  /** iperf3 to a server of IPERF's, one run for each of `all`; what they print. */
  async iperf(
    { id }: Serving,
    all: readonly (readonly string[])[],
    options: ClientOptions = {},
  ): Promise<readonly string[]> {
    const outputs: string[] = [];
    for (const [i, argv] of all.entries()) {
      // It serves one at a time, and is not free yet when the last one's client ends.
      await this.says(id, `(test #${String(i + 1)})`);
      outputs.push(await this.client(['iperf3', ...argv], options));
    }
    return outputs;
  }

  /** A server of the host's, in its namespace. */
  async serveOutside(argv: readonly string[], ready: string): Promise<void> {
    const server = new Guest(
      spawn('nsenter', [`--net=/run/netns/${this.namespace}`, ...argv], {
        stdio: ['ignore', 'pipe', 'pipe'],
        cwd: this.docker.folder,
        env: { ...process.env, PYTHONUNBUFFERED: '1' },
      }),
    );
    this.#outside.push(server);
    await server.says(ready);
  }

  serveOutsidePython(): Promise<void> {
    return this.serveOutside([PYTHON, join(PROGRAMS, 'server.py')], 'serving');
  }

  /** A program in a guest of its own, to its end. */
  inGuest(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.docker.try(['run', '--rm', IMAGE, ...argv], options);
  }

  /** A client beside the bridge, or in another namespace; standard output. It must succeed. */
  async client(
    argv: readonly string[],
    { namespace = this.namespace, ...options }: ClientOptions = {},
  ): Promise<string> {
    const result = await run('nsenter', [`--net=/run/netns/${namespace}`, ...argv], options);
    if (result.status !== 0)
      throw new Error(`${argv.join(' ')}: status ${String(result.status)}\n${result.stdout}${result.stderr}`);
    return result.stdout.trim();
  }

  /** What to run for a conversation of test/linux-net/programs/client.py, on the host. */
  static conversation(what: string, address: string, number: number): readonly string[] {
    return [PYTHON, join(PROGRAMS, 'client.py'), what, address, String(number)];
  }

  /** What to run to question a server of programs/http*. */
  static httpClient(address: string): readonly string[] {
    return [PYTHON, join(HTTP, 'http_client.py'), address];
  }

  async removeAll(): Promise<void> {
    for (const server of this.#outside.splice(0)) await server.kill();
    await this.docker.removeAll();
  }

  async stop(): Promise<void> {
    await this.docker.stop();
    await succeed('ip', ['netns', 'delete', this.namespace]);
  }
}
