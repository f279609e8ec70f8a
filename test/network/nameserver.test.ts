/**
 * A name server on the loopback of the container's network namespace, as Docker has it: the guest reaches it, it reaches
 * other servers, and the namespace is as before in the end. The server is test/engine-network/programs/dns.py.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { Playground, type Result } from '../support/bundle.ts';
import { TestNetwork, within } from '../support/network.ts';

const SERVER = '127.0.0.53';
const OUTSIDE = '10.77.0.1';
/** Sends datagrams of 5000 bytes to an address, and expects each back. */
const LONG_DATAGRAMS = `
import os, socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.settimeout(20)
for address in sys.argv[1:]:
    for _ in range(20):
        data = os.urandom(5000)
        sock.sendto(data, (address, 7003))
        assert sock.recv(65536) == data
`;
const ECHO = resolve(import.meta.dirname, '../linux-net/programs/server.py');
const PROGRAM = resolve(import.meta.dirname, '../engine-network/programs/dns.py');

describe("a name server on the loopback of a guest's network namespace", function () {
  this.timeout(120_000);
  let host: Playground;
  let network: TestNetwork;
  let rootfs: Rootfs;
  const servers: ChildProcess[] = [];

  const serve = async (namespace: string, address: string): Promise<void> => {
    const server = spawn('nsenter', [`--net=/run/netns/${namespace}`, 'python3', PROGRAM, address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    await once(server.stdout, 'data');
  };

  before(async () => {
    host = new Playground();
    network = await TestNetwork.start();
    await network.plug('eth0');
    await network.out('address', 'add', `${OUTSIDE}/24`, 'dev', 'eth0.out');
    await network.out('address', 'add', 'fd77::1/64', 'dev', 'eth0.out');
    for (const address of ['10.77.0.2/24', 'fd77::2/64']) {
      await network.in('address', 'add', address, 'dev', 'eth0');
    }
    await network.in('route', 'add', 'default', 'via', OUTSIDE);
    await serve(network.inside, SERVER);
    await serve(network.outside, OUTSIDE);
    rootfs = new Rootfs();
    rootfs.addPython();
    copyFileSync(ECHO, rootfs.path('server.py'));
    writeFileSync(join(host.folder, 'resolv.conf'), `nameserver ${SERVER}\n`);
  });
  after(async () => {
    for (const server of servers) server.kill();
    rootfs.remove();
    await network.stop();
    await host.close();
  });

  const bundle = (script: string): string =>
    rootfs.bundle(host, ['busybox', 'sh', '-c', script], (spec) => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
        type === 'network' ? { type, path: network.path } : { type },
      );
      spec.mounts = [
        ...(spec.mounts ?? []),
        {
          destination: '/etc/resolv.conf',
          type: 'bind',
          source: join(host.folder, 'resolv.conf'),
          options: ['bind', 'ro'],
        },
      ];
    });

  /** Asks a server as the namespace's own stack; "" if there is no answer. */
  const asked = (address: string): Promise<string> =>
    within(network.inside, 'sh', '-c', `busybox nslookup -type=a some.test ${address} | grep 192 || true`);

  it('answers the guest, which still has the network', async () => {
    const before = await network.state();
    const script = `busybox nslookup -type=a some.test; busybox wget -q -O- http://${OUTSIDE}:1/ || echo refused; busybox nslookup -type=a some.test ${OUTSIDE}`;
    const { stdout } = await host.runnc(['run', '--bundle', bundle(script), 'guest']);
    expect(stdout.match(/^Address: 192\.0\.2\.99$/gm), stdout).to.have.length(2);
    expect(stdout).to.contain('refused');
    expect(await network.state()).to.equal(before);
  });

  it('reaches other servers while the guest runs, from ports that the guest does not use', async () => {
    await host.create('guest', bundle('echo ready; exec busybox sleep 1000'));
    await host.runnc(['start', 'guest']);
    for (const address of [OUTSIDE, SERVER]) expect(await asked(address)).to.equal('Address: 192.0.2.99');
    await network.ping('10.77.0.2');
    await network.ping('fd77::2');
    // Nothing else of the namespace's stack answers: only the guest does, and it has no such service.
    const ports = await within(network.inside, 'sysctl', '-n', 'net.ipv4.ip_local_port_range');
    expect(ports).to.equal('61440\t62463');
    await host.runnc(['delete', '--force', 'guest']);
  });

  it('leaves the guest the fragments of its own datagrams', async () => {
    const call = await host.create('guest', bundle('exec python3 server.py'));
    await host.runnc(['start', 'guest']);
    await call.prints('serving\n');
    await within(network.outside, 'python3', '-c', LONG_DATAGRAMS, '::ffff:10.77.0.2', 'fd77::2');
    await host.runnc(['delete', '--force', 'guest']);
  });

  for (const step of [
    'network-recorded',
    'tap-made',
    'interface-redirected',
    'network-attached',
    'addresses-restored',
    'redirect-removed',
  ])
    it(`leaves the namespace as it was, with the runtime killed (${step})`, async () => {
      const before = await network.state();
      const env = { ...process.env, RUNNC_FAULT: `runtime:${step}` };
      const calls = [
        ['create', '--bundle', bundle('exec busybox sleep 1000'), 'victim'],
        ['start', 'victim'],
        ['delete', '--force', 'victim'],
      ];
      const ends: Result[] = [];
      for (const call of calls) {
        if (ends.every(({ status }) => status === 0)) ends.push(await host.runnc(call, { env }));
      }
      expect(ends.at(-1)?.status, ends.at(-1)?.stderr).to.equal(128 + 9);
      expect((await host.runnc(['delete', '--force', 'victim'])).stderr).to.equal('');
      expect(await network.state()).to.equal(before);
    });
});
