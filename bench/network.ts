/**
 * Servers in the Linux guest beside the same under runc, on one bridge. Clients are the same programs on the host, or
 * beside it on the bridge, and take turns.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { type Bench, type Metrics, rounded } from './bench.ts';
import { Bridge, type Container, type RuntimeName } from './bridge.ts';
import { benchObj, median } from './measure.ts';

const ROUNDS = 5;
const STREAM_SECONDS = '2';
const HTTP = join(benchObj, 'http');
const SIDES: readonly RuntimeName[] = ['runnc', 'runc'];

interface Probe {
  readonly name: string;
  readonly client: (address: string) => readonly string[];
  readonly read: (output: string) => number;
  /** Not from the host's own stack. */
  readonly beside?: boolean;
}

interface Server {
  readonly argv: readonly string[];
  /** What it prints when it is ready. */
  readonly ready: string;
  readonly probes: readonly Probe[];
}

const redis = (name: string, ...options: readonly string[]): Probe => ({
  name,
  client: (address) => ['redis-benchmark', '-h', address, '-t', 'get', '--csv', ...options],
  read: (output) => Number(/^"GET","([\d.]+)"/m.exec(output)?.[1]),
});

const stream = (name: string, options: readonly string[] = [], beside = false): Probe => ({
  name,
  client: (address) => ['iperf3', '-J', '-t', STREAM_SECONDS, '-c', address, ...options],
  read: (output) =>
    (JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received
      .bits_per_second / 1e9,
  beside,
});

/** Requests a second, or the median time of one. */
const http = (name: string, what: 'rate' | 'median', open: number, atOnce: number): Probe => ({
  name,
  client: (address) => [HTTP, 'load', `${address}:8000`, String(open), String(atOnce), '2000'],
  read: (output) => Number(output.split(' ')[what === 'rate' ? 0 : 1]),
});

const REDIS: Server = {
  argv: ['redis-server', '--save', '', '--protected-mode', 'no', '--bind', '0.0.0.0'],
  ready: 'Ready to accept',
  probes: [
    redis('redisC1', '-c', '1', '-n', '20000'),
    redis('redisC50', '-c', '50', '-n', '100000'),
    redis('redisPipelined', '-c', '50', '-P', '16', '-n', '500000'),
  ],
};
const GO: Server = {
  argv: ['http', 'serve', ':8000'],
  ready: 'serving',
  probes: [
    http('httpRate', 'rate', 100, 64),
    http('httpMedianUs', 'median', 1, 1),
    http('httpRateOf10000', 'rate', 10_000, 64),
  ],
};
const IPERF: Server = {
  argv: ['iperf3', '--forceflush', '-s'],
  ready: 'Server listening',
  probes: [stream('streamInGbit'), stream('streamOutGbit', ['-R'])],
};
const LOSSY: Server = {
  ...IPERF,
  probes: [stream('lossyInGbit', [], true), stream('lossyOutGbit', ['-R'], true)],
};

export const networkBench: Bench = {
  name: 'network',
  what: 'redis, Go net/http and iperf3 beside the same under runc on one bridge; needs redis-server, iperf3, nft, ethtool',
  async run() {
    const rootfs = new Rootfs();
    rootfs.add('/usr/bin/redis-server', '/usr/bin/iperf3');
    // runc makes them where it mounts; we refuse a root file system that changes while it is read.
    for (const name of ['proc', 'dev', 'sys']) mkdirSync(rootfs.path(`/${name}`));
    copyFileSync(HTTP, rootfs.path('/usr/bin/http'));
    const bridge = new Bridge(rootfs);
    try {
      const even = {
        ...(await compare(bridge, REDIS)),
        ...(await compare(bridge, GO)),
        ...(await compare(bridge, IPERF)),
      };
      bridge.lose(0.005);
      const lossy = await compare(bridge, LOSSY);
      const perRequest = (even['httpRate'] ?? NaN) / (even['httpRateOf10000'] ?? NaN);
      return rounded({ ...even, ...lossy, ratioOf10000To100: perRequest });
    } finally {
      await bridge.remove();
      rootfs.remove();
    }
  },
};

async function compare(bridge: Bridge, { argv, ready, probes }: Server): Promise<Metrics> {
  const servers: Container[] = [];
  const metrics: Record<string, number> = {};
  try {
    for (const side of SIDES) {
      const server = bridge.start(side, argv);
      servers.push(server);
      await server.output.says(ready);
    }
    for (const { name, client, read, beside } of probes) {
      const samples: number[][] = SIDES.map(() => []);
      for (let round = 0; round < ROUNDS; round++) {
        for (const [i, { address }] of servers.entries()) {
          samples[i]?.push(read(await bridge.client(client(address), beside)));
        }
      }
      const [guest = NaN, runc = NaN] = samples.map((values) => median(values.sort((a, b) => a - b)));
      metrics[name] = guest;
      metrics[`${name}Runc`] = runc;
      metrics[`ratio${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`] = guest / runc;
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  return metrics;
}
