/**
 * Servers over Docker's bridge at length: a thousand connections held for a minute, a hundred thousand short ones both
 * ways, redis-benchmark at its full size, a link that loses, doubles and reorders frames. SEED chooses those.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { GATEWAY, GATEWAY6, IMAGE, IPERF, REDIS, Servers, type Serving } from '../engine-network/servers.ts';
import { Guest } from '../linux-net/link.ts';
import { succeed } from '../support/command.ts';
import { addNamespace } from '../support/network.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const CONNECTIONS = Number(process.env['CONNECTIONS'] ?? 100_000);
const BATCH = 5000;
const GROWTH_KIB = 16 * 1024;
const HELD_MS = 60_000;
const PATIENCE = { timeoutMs: 1_800_000 };
const BAD_LINK = resolve(import.meta.dirname, '../engine-network/programs/bad_link.py');

describe("programs in docker's networks, at length", function () {
  this.timeout(3_600_000);
  let servers: Servers;

  before(async () => {
    servers = await Servers.start();
    // Clients of ours leave a port in TIME_WAIT for a minute with each connection that they end; none is a server's.
    await servers.client(['sysctl', '-qw', 'net.ipv4.ip_local_port_range=8000 65535']);
  });
  afterEach(() => servers.removeAll());
  after(() => servers.stop());

  const servePython = (): Promise<Serving> => servers.serve(['python3', '/server.py'], 'serving');
  const residentKiB = async ({ id }: Serving): Promise<number> =>
    Number(
      /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${await servers.docker.pid(id)}/status`, 'utf8'))?.[1],
    );
  /** The guest's sockets of TCP, but for those that wait for their time. */
  const openSockets = async ({ id }: Serving): Promise<number> => {
    const show =
      'print(sum(l.split()[3] != "06" for f in ("tcp", "tcp6") for l in list(open("/proc/net/" + f))[1:]))';
    return Number(await servers.docker.docker('exec', id, 'python3', '-c', show));
  };

  it('a thousand connections are held for a minute', async () => {
    const { addresses } = await servePython();
    const argv = Servers.conversation('hold', addresses[0], 1000);
    const client = new Guest(
      spawn('prlimit', ['--nofile=4096', 'nsenter', `--net=/run/netns/${servers.namespace}`, ...argv]),
    );
    await client.says('held');
    await delay(HELD_MS);
    client.process.stdin?.end();
    expect(await client.end(), client.stderr).to.equal(0);
    expect(client.stdout).to.equal('held\nwell\n');
  });

  it(`${CONNECTIONS} short connections to the guest leave nothing`, async () => {
    const serving = await servePython();
    const row = async (index: 0 | 1, number: number): Promise<void> => {
      const argv = Servers.conversation('row', serving.addresses[index], number);
      expect(await servers.client(argv, PATIENCE)).to.equal('well');
    };
    for (const index of [0, 1] as const) await row(index, BATCH);
    const [memory, sockets] = [await residentKiB(serving), await openSockets(serving)];
    for (let done = 0; done < CONNECTIONS; done += 2 * BATCH)
      for (const index of [0, 1] as const) await row(index, BATCH);
    expect(await openSockets(serving)).to.equal(sockets);
    expect((await residentKiB(serving)) - memory).to.be.below(GROWTH_KIB);
  });

  it(`${CONNECTIONS} short connections from guests do not use their ports up`, async () => {
    await servers.serveOutsidePython();
    const range = '--sysctl=net.ipv4.ip_local_port_range=1024 65535';
    for (const address of [GATEWAY, GATEWAY6]) {
      const argv = ['python3', '/client.py', 'row', address, String(CONNECTIONS / 2)];
      const { stdout, stderr, status } = await servers.docker.try(
        ['run', '--rm', range, IMAGE, ...argv],
        PATIENCE,
      );
      expect([status, stdout], stderr).to.deep.equal([0, 'well\n']);
    }
  });

  it('redis-benchmark gets through at its full size', async () => {
    const { addresses } = await servers.serve(REDIS, 'Ready to accept');
    for (const address of addresses) {
      for (const options of [
        ['-c', '1'],
        ['-c', '50'],
        ['-c', '500'],
        ['-c', '50', '-P', '16', '-n', '1000000'],
      ]) {
        const argv = ['redis-benchmark', '-h', address, '-t', 'set,get,incr', '-e', '--csv', ...options];
        expect(await servers.client(argv, PATIENCE)).to.match(/^"SET",.*\n"GET",.*\n"INCR",/m);
      }
      const count = await servers.client(['redis-cli', '-h', address, 'GETDEL', 'counter:__rand_int__']);
      expect(count).to.equal('1300000');
    }
  });

  it('no byte is wrong on a link that loses, doubles and reorders frames', async () => {
    const host = servers.namespace;
    const [middle, far] = [`${host}-m`, `${host}-f`];
    for (const namespace of [middle, far]) await addNamespace(namespace);
    try {
      await succeed('ip', [
        '-n',
        host,
        'link',
        'add',
        'cable',
        'type',
        'veth',
        'peer',
        'near',
        'netns',
        middle,
      ]);
      await succeed('ip', ['-n', far, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'far', 'netns', middle]);
      for (const [namespace, name] of [
        [host, 'cable'],
        [far, 'eth0'],
      ] as const) {
        // A frame on the cable is one of the wire's: cut to the MTU, its checksum in it.
        const off = ['tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'];
        await servers.client(['ethtool', '-K', name, ...off], { namespace });
        await succeed('ip', ['-n', namespace, 'link', 'set', name, 'up']);
      }
      await succeed('ip', ['-n', host, 'link', 'set', 'cable', 'master', 'docker0']);
      await servers.client(['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1'], { namespace: middle });
      for (const name of ['near', 'far']) await succeed('ip', ['-n', middle, 'link', 'set', name, 'up']);
      for (const address of ['172.30.0.200/24', 'fd00:d0c::200/64'])
        await succeed('ip', ['-n', far, 'addr', 'add', address, 'dev', 'eth0']);

      const link = new Guest(
        spawn('nsenter', [
          ...[`--net=/run/netns/${middle}`, 'python3', BAD_LINK, String(SEED), 'near', 'far'],
        ]),
      );
      await link.says('ready');
      const { addresses } = await servePython();
      for (const address of addresses) {
        for (const [what, number] of [
          ['upload', 20_000_000],
          ['download', 20_000_000],
          ['row', 300],
          ['crowd', 200],
        ] as const) {
          const argv = Servers.conversation(what, address, number);
          expect(await servers.client(argv, { ...PATIENCE, namespace: far }), what).to.equal('well');
        }
      }
      const iperf = await servers.serve(IPERF, 'Server listening');
      const ways = [[], ['-R'], ['-P', '8']].map((way) => ['-t', '2', '-c', iperf.addresses[0], ...way]);
      await servers.iperf(iperf, ways, { namespace: far });
      link.process.stdin?.end();
      expect(await link.end(), link.stderr).to.equal(0);
      const counts = link.stdout
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.split(' ').map(Number));
      console.log(`      frames passed, lost, doubled, overtaken: ${counts.map(String).join(' back: ')}`);
      expect(counts.flat()).to.have.length(8);
      expect(Math.min(...counts.flat())).to.be.above(100);
    } finally {
      for (const namespace of [middle, far]) await succeed('ip', ['netns', 'delete', namespace]);
    }
  });
});
