/**
 * The Linux guest's TCP/IP at length: a million malformed frames and a peer that lies about what it has, with a bound on memory, a
 * hundred thousand short connections, and the programs that people run as servers. SEED chooses the frames.
 */
import { expect } from 'chai';
import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tree } from '../linux-abi/guest.ts';
import { GUEST, GUEST6, Link, NEIGHBOUR, type Guest } from '../linux-net/link.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';

const programs = join(import.meta.dirname, '../linux-net/programs');
const FRAMES = Number(process.env['FRAMES'] ?? 1_000_000);
const CONNECTIONS = Number(process.env['CONNECTIONS'] ?? 100_000);
const AT_ONCE = 50_000;
const GROWTH_KIB = 64 * 1024;

describe('the Linux guest on a link, at length', function () {
  this.timeout(3_600_000);
  let tree: Tree;
  let link: Link;
  let guest: Guest;

  const goesWell = async (what: string, address: string, number: number, seed = 1): Promise<void> => {
    const result = await link.run(
      ['/usr/bin/python3.11', join(programs, 'client.py'), what, address, String(number)],
      { timeoutMs: 1_800_000, env: { ...process.env, SEED: String(seed) } },
    );
    expect(result.stdout, `${result.stderr}${guest.stderr}`).to.equal('well\n');
  };
  const residentKiB = (): number =>
    Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${guest.process.pid ?? 0}/status`, 'utf8'))?.[1]);
  const serve = async (argv: readonly string[], ready: string): Promise<void> => {
    guest = link.boot(tree, argv);
    await guest.says(ready);
  };

  before(() => {
    const rootfs = new Rootfs();
    rootfs.addPython();
    rootfs.add('/usr/bin/redis-server', '/usr/bin/iperf3', '/usr/bin/openssl', '/usr/bin/wget');
    tree = new Tree('overlay');
    cpSync(rootfs.folder, tree.folder, { recursive: true, verbatimSymlinks: true });
    rootfs.remove();
    for (const folder of ['proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder), { recursive: true });
    copyFileSync(join(programs, 'server.py'), join(tree.folder, 'server.py'));
  });
  after(() => tree.remove());
  beforeEach(() => {
    link = new Link();
  });
  afterEach(async () => {
    await guest.kill();
    link.remove();
  });

  it(`survives ${FRAMES} malformed frames in bounded memory`, async () => {
    await serve(['/usr/bin/python3', '/server.py'], 'serving');
    await goesWell('crowd', GUEST, 500);
    const before = residentKiB();
    for (let done = 0, seed = Number(process.env['SEED'] ?? 1); done < FRAMES; done += AT_ONCE, seed++) {
      await goesWell('fuzz', GUEST, Math.min(AT_ONCE, FRAMES - done), seed);
      await goesWell('row', GUEST, 5);
    }
    await goesWell('crowd', GUEST6, 500);
    expect(residentKiB() - before).to.be.below(GROWTH_KIB);
  });

  it(`survives ${FRAMES / 5} acknowledgements of a peer that lies`, async () => {
    await serve(['/usr/bin/python3', '/server.py'], 'serving');
    await goesWell('crowd', GUEST, 500);
    const before = residentKiB();
    for (
      let done = 0, seed = Number(process.env['SEED'] ?? 1);
      done < FRAMES / 5;
      done += AT_ONCE / 5, seed++
    ) {
      await goesWell('lies', GUEST, AT_ONCE / 5, seed);
      await goesWell('row', GUEST, 5);
    }
    await goesWell('crowd', GUEST6, 500);
    expect(residentKiB() - before).to.be.below(GROWTH_KIB);
  });

  it(`serves ${CONNECTIONS} short connections without a leak`, async () => {
    await serve(['/usr/bin/python3', '/server.py'], 'serving');
    await goesWell('row', GUEST, 5000);
    const before = residentKiB();
    for (let done = 0; done < CONNECTIONS; done += 10_000) await goesWell('row', GUEST, 10_000);
    expect(residentKiB() - before).to.be.below(GROWTH_KIB);
  });

  it('runs redis', async () => {
    await serve(
      ['/usr/bin/redis-server', '--save', '', '--protected-mode', 'no', '--bind', '0.0.0.0', '::'],
      'Ready to accept',
    );
    for (const options of [
      ['-c', '1', '-n', '10000'],
      ['-c', '50'],
      ['-c', '500'],
      ['-c', '50', '-P', '16', '-n', '500000'],
    ]) {
      const result = await link.run(['redis-benchmark', '-h', GUEST, '-t', 'set,get', '--csv', ...options]);
      expect(result.stdout, result.stderr).to.match(/^"SET",.*\n"GET",/m);
    }
  });

  it('runs iperf3 both ways, over TCP and UDP, several streams, IPv6', async () => {
    await serve(['/usr/bin/iperf3', '--forceflush', '-s'], 'Server listening');
    for (const options of [[], ['-R'], ['-P', '8'], ['-u', '-b', '200M'], ['-u', '-R', '-b', '200M']]) {
      for (const address of [GUEST, GUEST6]) {
        const result = await link.run(['iperf3', '-t', '2', '-c', address, ...options]);
        expect(result.status, result.stdout + result.stderr).to.equal(0);
      }
    }
  });

  it('fetches over TLS', async () => {
    const key = '/tmp/runnc-linux-net-key.pem';
    await link.run([
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=x',
      '-keyout',
      key,
      '-out',
      key,
    ]);
    const server = link.spawn(['openssl', 's_server', '-accept', '4433', '-cert', key, '-key', key, '-www']);
    await new Promise((resolve) => server.stdout?.once('data', resolve));
    guest = link.boot(tree, [
      '/usr/bin/wget',
      '--no-check-certificate',
      '-q',
      '-O',
      '-',
      `https://${NEIGHBOUR}:4433/`,
    ]);
    const status = await guest.end();
    server.kill();
    expect(status, guest.stderr).to.equal(0);
    expect(guest.stdout).to.contain('Ciphers supported');
  });
});
