/**
 * The Linux guest's TCP/IP on a tap, against this machine's kernel: data both ways, crowds, loss, and a neighbour that
 * means no good. The client and the server are programs/*.py.
 */
import { expect } from 'chai';
import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Tree } from '../linux-abi/guest.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import type { CommandResult } from '../support/command.ts';
import { GUEST, GUEST6, Link, NEIGHBOUR, NEIGHBOUR6, type Guest } from './link.ts';

const programs = join(import.meta.dirname, 'programs');
const PYTHON = '/usr/bin/python3.11';
const MEGABYTE = 1_000_000;

describe('the Linux guest on a link', function () {
  this.timeout(180_000);
  let tree: Tree;
  let link: Link;
  let guest: Guest;

  const client = (what: string, address: string, number = 0): Promise<CommandResult> =>
    link.run([PYTHON, join(programs, 'client.py'), what, address, String(number)], { timeoutMs: 120_000 });

  const goesWell = async (what: string, address: string, number = 0): Promise<void> => {
    const result = await client(what, address, number);
    expect(result.stdout, `${result.stderr}${guest.stderr}`).to.equal('well\n');
  };

  /** What a program in a guest of its own on this link says, and its status. */
  const inGuest = async (argv: readonly string[]): Promise<readonly [string, number]> => {
    const own = link.boot(tree, argv);
    const status = await own.end();
    return [own.stdout + own.stderr, status];
  };

  before(() => {
    const rootfs = new Rootfs();
    rootfs.addPython();
    tree = new Tree('overlay');
    cpSync(rootfs.folder, tree.folder, { recursive: true, verbatimSymlinks: true });
    rootfs.remove();
    for (const folder of ['proc', 'dev', 'sys']) mkdirSync(join(tree.folder, folder), { recursive: true });
    copyFileSync(join(programs, 'server.py'), join(tree.folder, 'server.py'));
  });
  after(() => tree.remove());

  describe('as a server', () => {
    before(async () => {
      link = new Link();
      guest = link.boot(tree, ['/usr/bin/python3', '/server.py']);
      await guest.says('serving');
    });
    after(async () => {
      await guest.kill();
      link.remove();
    });

    it('sleeps while a hundred connections are open and idle', async () => {
      const held = link.spawn([PYTHON, join(programs, 'client.py'), 'hold', GUEST, '100']);
      await new Promise((resolve) => held.stdout?.once('data', resolve));
      const switches = (): number =>
        Number(
          /^voluntary_ctxt_switches:\s*(\d+)/m.exec(
            readFileSync(`/proc/${guest.process.pid ?? 0}/status`, 'utf8'),
          )?.[1],
        );
      // At first there are acknowledgements that were delayed, and questions about neighbours.
      const woken: number[] = [];
      do {
        const before = switches();
        await delay(3000);
        woken.push(switches() - before);
      } while ((woken.at(-1) ?? 0) > 6 && woken.length < 5);
      held.kill();
      expect(woken.at(-1), woken.join(' ')).to.be.at.most(6);
    });

    for (const [version, address] of [
      ['IPv4', GUEST],
      ['IPv6', GUEST6],
    ] as const) {
      it(`answers ping over ${version}`, async () => {
        const result = await link.run(['busybox', 'ping', '-c', '3', '-s', '3000', address]);
        expect(result.stdout).to.contain('3 packets received');
      });
      it(`receives megabytes over ${version}`, () => goesWell('upload', address, 20 * MEGABYTE));
      it(`sends megabytes over ${version}`, () => goesWell('download', address, 20 * MEGABYTE));
      it(`exchanges datagrams of all sizes over ${version}`, () => goesWell('datagrams', address));
    }
    it('holds a thousand connections at once', () => goesWell('crowd', GUEST, 1000));
    it('serves connections one after the other, ended and reset', () => goesWell('row', GUEST, 1000));

    it('loses no byte on a link that loses frames', async () => {
      const drop = ['-m', 'statistic', '--mode', 'random', '--probability', '0.02', '-j', 'DROP'];
      for (const chain of ['INPUT', 'OUTPUT']) {
        const result = await link.run(['iptables', '-A', chain, ...drop]);
        expect(result.status, result.stderr).to.equal(0);
      }
      await goesWell('upload', GUEST, 5 * MEGABYTE);
      await goesWell('download', GUEST, 5 * MEGABYTE);
      await link.run(['iptables', '-F']);
    });

    it('asks after the end of what it sent, if nobody says anything', () => goesWell('tail', GUEST));

    it('goes on serving after a peer that acknowledges what it likes', async () => {
      await goesWell('lies', GUEST, 3000);
      await goesWell('download', GUEST, MEGABYTE);
    });

    it('goes on serving after a flood of connections that nobody completes', async () => {
      await goesWell('flood', GUEST, 5000);
      await goesWell('row', GUEST, 20);
    });

    it('goes on serving after ten thousand malformed frames', async () => {
      await goesWell('fuzz', GUEST, 10_000);
      await goesWell('row', GUEST, 20);
      await goesWell('datagrams', GUEST6);
    });
  });

  describe('as a client', () => {
    beforeEach(() => {
      link = new Link();
    });
    afterEach(() => link.remove());

    it('reaches its neighbour, and sees its interfaces', async () => {
      const busybox = async (...args: readonly string[]): Promise<string> => {
        const [said, status] = await inGuest(['/usr/bin/busybox', ...args]);
        expect(status, said).to.equal(0);
        return said;
      };
      expect(await busybox('ping', '-c', '1', NEIGHBOUR)).to.contain('1 packets received');
      expect(await busybox('ping6', '-c', '1', NEIGHBOUR6)).to.contain('1 packets received');
      expect(await busybox('ip', 'addr'))
        .to.contain(`inet ${GUEST}/24`)
        .and.to.contain(`inet6 ${GUEST6}/64`);
      expect(await busybox('ip', 'route')).to.contain(`default via ${NEIGHBOUR} dev eth0`);
      expect(await busybox('ifconfig', 'eth0')).to.contain('HWaddr 02:09:00:00:00:02');
    });

    it('fetches a file from a server', async () => {
      const folder = join(tree.folder, 'server.py');
      const server = link.spawn([PYTHON, '-u', '-m', 'http.server', '-d', programs, '8000']);
      await new Promise((resolve) => server.stdout?.once('data', resolve));
      const [said, status] = await inGuest([
        '/usr/bin/busybox',
        'wget',
        '-q',
        '-O',
        '-',
        `http://${NEIGHBOUR}:8000/server.py`,
      ]);
      server.kill();
      expect(status, said).to.equal(0);
      expect(said).to.equal(readFileSync(folder, 'utf8'));
    });

    it('learns that nobody listens, and that nobody is there', async () => {
      const script = [
        'import socket',
        'def tried(kind, to):',
        '  s = socket.socket(socket.AF_INET, kind); s.settimeout(30)',
        '  try: s.connect(to); s.send(b"x"); s.recv(1); return "connected"',
        '  except OSError as e: return type(e).__name__ + str(e.errno)',
        `print(tried(socket.SOCK_STREAM, ('${NEIGHBOUR}', 9)), tried(socket.SOCK_DGRAM, ('${NEIGHBOUR}', 9)))`,
      ].join('\n');
      const [said] = await inGuest(['/usr/bin/python3', '-c', script]);
      expect(said).to.equal('ConnectionRefusedError111 ConnectionRefusedError111\n');
    });
  });

  for (const mtu of [576, 1400, 9000]) {
    it(`keeps to an MTU of ${mtu}`, async () => {
      link = new Link(mtu);
      guest = link.boot(tree, ['/usr/bin/python3', '/server.py']);
      try {
        await guest.says('serving');
        await goesWell('upload', GUEST, 3 * MEGABYTE);
        await goesWell('download', GUEST, 3 * MEGABYTE);
        await goesWell('datagrams', GUEST);
      } finally {
        await guest.kill();
        link.remove();
      }
    });
  }
});
