/**
 * The Linux guest's TCP/IP on a tap, beside the same program with the kernel's own on a veth in a network namespace, as
 * under runc; clients are the same, and take turns.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Tree } from '../test/linux-abi/guest.ts';
import { Guest, GUEST, Link } from '../test/linux-net/link.ts';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { type Bench, type Metrics, rounded } from './bench.ts';
import { median } from './measure.ts';

const ROUNDS = 5;
const STREAM_SECONDS = '3';
const REDIS = ['/usr/bin/redis-server', '--save', '', '--protected-mode', 'no', '--bind', '0.0.0.0'];
const IPERF = ['/usr/bin/iperf3', '--forceflush', '-s'];

/** Where a server runs, and how a client reaches it. */
interface Side {
  readonly address: string;
  start(argv: readonly string[]): Guest;
  client(argv: readonly string[]): Promise<string>;
  remove(): void;
}

type Probe = readonly [
  name: string,
  argv: (address: string) => readonly string[],
  read: (output: string) => number,
];

const redis = (name: string, ...options: readonly string[]): Probe => [
  name,
  (address) => ['redis-benchmark', '-h', address, '-t', 'get', '--csv', ...options],
  (output) => Number(/^"GET","([\d.]+)"/m.exec(output)?.[1]),
];
const stream = (name: string, ...options: readonly string[]): Probe => [
  name,
  (address) => ['iperf3', '-J', '-t', STREAM_SECONDS, '-c', address, ...options],
  (output) =>
    (JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received
      .bits_per_second / 1e9,
];

const REDIS_PROBES = [
  redis('redisC1', '-c', '1', '-n', '20000'),
  redis('redisC50', '-c', '50', '-n', '100000'),
  redis('redisPipelined', '-c', '50', '-P', '16', '-n', '500000'),
];
const STREAM_PROBES = [stream('streamInGbit'), stream('streamOutGbit', '-R')];

export const networkBench: Bench = {
  name: 'network',
  what: 'redis and iperf3 in the guest on a tap, beside the same on a veth; needs redis-server and iperf3',
  async run() {
    const tree = treeOf('/usr/bin/redis-server', '/usr/bin/iperf3');
    const sides = [guestSide(tree), nativeSide()];
    try {
      return rounded({
        ...(await compare(sides, REDIS, 'Ready to accept', REDIS_PROBES)),
        ...(await compare(sides, IPERF, 'Server listening', STREAM_PROBES)),
      });
    } finally {
      for (const side of sides) side.remove();
      tree.remove();
    }
  },
};

function treeOf(...programs: readonly string[]): Tree {
  const rootfs = new Rootfs();
  const tree = new Tree('overlay');
  rootfs.add(...programs);
  cpSync(rootfs.folder, tree.folder, { recursive: true, verbatimSymlinks: true });
  rootfs.remove();
  for (const folder of ['proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder), { recursive: true });
  return tree;
}

async function compare(
  sides: readonly Side[],
  argv: readonly string[],
  ready: string,
  probes: readonly Probe[],
): Promise<Metrics> {
  const servers = sides.map((side) => side.start(argv));
  const metrics: Record<string, number> = {};
  try {
    for (const server of servers) await server.says(ready);
    for (const [name, command, read] of probes) {
      const samples: number[][] = sides.map(() => []);
      for (let round = 0; round < ROUNDS; round++) {
        for (const [i, side] of sides.entries()) {
          samples[i]?.push(read(await side.client(command(side.address))));
        }
      }
      const [guest = NaN, native = NaN] = samples.map((values) => median(values.sort((a, b) => a - b)));
      metrics[name] = guest;
      metrics[`${name}Native`] = native;
      metrics[`ratio${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`] = guest / native;
    }
  } finally {
    for (const server of servers) await server.kill();
  }
  return metrics;
}

function guestSide(tree: Tree): Side {
  const link = new Link();
  return {
    address: GUEST,
    start: (argv) => link.boot(tree, argv),
    client: async (argv) => (await link.run(argv)).stdout,
    remove: () => link.remove(),
  };
}

/** Two namespaces with a veth between them. */
function nativeSide(): Side {
  const names = ['client', 'server'].map((role) => `runnc-bench-${process.pid}-${role}`) as [string, string];
  const [client, server] = names;
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
  for (const name of names) ip('netns', 'add', name);
  ip('-n', client, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', server);
  for (const [i, name] of names.entries()) {
    ip('-n', name, 'addr', 'add', `10.8.0.${i + 1}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
  const enter = (name: string, argv: readonly string[]): ChildProcess =>
    spawn('ip', ['netns', 'exec', name, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  return {
    address: '10.8.0.2',
    start: (argv) => new Guest(enter(server, argv)),
    client: async (argv) => {
      const one = new Guest(enter(client, argv));
      await one.end();
      return one.stdout;
    },
    remove: () => {
      for (const name of names) ip('netns', 'del', name);
    },
  };
}
