/** A bridge in a namespace of the bench's, and containers of two runtimes on it, of one root file system. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Guest } from '../test/linux-net/link.ts';
import type { Rootfs } from '../test/linux-programs/rootfs.ts';
import { Playground } from '../test/support/bundle.ts';
import { runtime } from '../test/support/paths.ts';

const RUNTIMES = { runnc: runtime, runc: '/usr/sbin/runc' } as const;

export type RuntimeName = keyof typeof RUNTIMES;

const FILES = 20_000;
/** Of the processors, before all that is not measured; where cgroups are of version 1. */
const SHARES = 100_000;
const CPU_CGROUPS = '/sys/fs/cgroup/cpu';

export class Bridge {
  readonly #host = `runnc-bench-${String(process.pid)}`;
  readonly #playground = new Playground();
  readonly #rootfs: Rootfs;
  #made = 0;
  #isLossy = false;
  readonly #namespaces: string[] = [];

  constructor(rootfs: Rootfs) {
    this.#rootfs = rootfs;
    if (existsSync(CPU_CGROUPS)) {
      mkdirSync(this.#cpuCgroup, { recursive: true });
      writeFileSync(join(this.#cpuCgroup, 'cpu.shares'), String(SHARES));
    }
    this.#addNamespace(this.#host);
    this.#ip('link', 'add', 'br0', 'type', 'bridge');
    this.#ip('addr', 'add', '10.8.0.1/16', 'dev', 'br0');
    this.#ip('link', 'set', 'br0', 'up');
    // A client beside the host's own stack, whose frames the bridge forwards.
    this.#plug('client', '10.8.0.2');
  }

  get #cpuCgroup(): string {
    return join(CPU_CGROUPS, this.#playground.cgroupParent);
  }

  /** Loses this share of the frames that the bridge forwards, one by one: no link has longer ones than its MTU then. */
  lose(share: number): void {
    const rule = `numgen random mod 10000 < ${String(Math.round(share * 10_000))} drop`;
    const table = `add table bridge loss; add chain bridge loss forward { type filter hook forward priority 0; }; add rule bridge loss forward ${rule}`;
    this.#isLossy = true;
    for (const namespace of this.#namespaces) this.#cutFrames(namespace);
    this.#within(this.#host, 'nft', table);
  }

  /** A program in a container, and the address of that. */
  start(name: RuntimeName, args: readonly string[]): Container {
    const address = `10.8.1.${String(++this.#made)}`;
    const namespace = this.#plug(`c${String(this.#made)}`, address);
    const bundle = this.#rootfs.bundle(this.#playground, args, (spec) => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
        type === 'network' ? { type, path: `/run/netns/${namespace}` } : { type },
      );
      spec.linux.resources = { ...spec.linux.resources, cpu: { shares: SHARES } };
      spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: FILES, hard: FILES }];
    });
    const root = `${this.#playground.folder}/${name}`;
    mkdirSync(root, { recursive: true });
    const id = `bench-${String(process.pid)}-${String(this.#made)}`;
    const program = RUNTIMES[name];
    const child = spawn(program, ['--root', root, 'run', '--bundle', bundle, id], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const stop = async (): Promise<void> => {
      execFileSync(program, ['--root', root, 'delete', '--force', id]);
      await guest.end();
    };
    const guest = new Guest(child);
    return { address, output: guest, stop };
  }

  /** Standard output of a client: on the host itself, or `beside` it on the bridge. */
  async client(argv: readonly string[], beside = false): Promise<string> {
    const [first = ''] = this.#namespaces;
    const one = new Guest(
      spawn(
        'sh',
        [
          ...[
            '-c',
            'if [ -w "$1/tasks" ]; then echo $$ >"$1/tasks"; fi; shift; exec "$@"',
            'sh',
            this.#cpuCgroup,
          ],
          ...['prlimit', `--nofile=${String(FILES)}`],
          ...['nsenter', `--net=/run/netns/${beside ? first : this.#host}`, ...argv],
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      ),
    );
    const status = await one.end();
    if (status !== 0)
      throw new Error(`${argv.join(' ')}: status ${String(status)}\n${one.stdout}${one.stderr}`);
    return one.stdout;
  }

  async remove(): Promise<void> {
    for (const name of [...this.#namespaces, this.#host]) execFileSync('ip', ['netns', 'del', name]);
    await this.#playground.close();
  }

  #plug(role: string, address: string): string {
    const namespace = `${this.#host}-${role}`;
    this.#addNamespace(namespace);
    this.#namespaces.push(namespace);
    this.#ip('link', 'add', role, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    this.#ip('link', 'set', role, 'master', 'br0', 'up');
    execFileSync('ip', ['-n', namespace, 'addr', 'add', `${address}/16`, 'dev', 'eth0']);
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
    if (this.#isLossy) this.#cutFrames(namespace);
    return namespace;
  }

  #cutFrames(namespace: string): void {
    this.#within(namespace, 'ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off', 'gro', 'off');
  }

  #addNamespace(name: string): void {
    execFileSync('ip', ['netns', 'add', name]);
    execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  }

  #ip(...args: readonly string[]): void {
    execFileSync('ip', ['-n', this.#host, ...args]);
  }

  #within(namespace: string, ...command: readonly string[]): void {
    execFileSync('nsenter', [`--net=/run/netns/${namespace}`, ...command]);
  }
}

export interface Container {
  readonly address: string;
  readonly output: Guest;
  stop(): Promise<void>;
}
