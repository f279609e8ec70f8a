/**
 * podman's networks, by either of what makes them: its default one, and one with names. Bridges are in a network namespace of
 * the tests', which is "the host" here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { succeed } from '../support/command.ts';
import { follow } from '../support/follow.ts';
import { addNamespace, pingFrom, within } from '../support/network.ts';
import { Podman } from '../support/podman.ts';
import { writeNetworkRootfs } from './image.ts';

const IMAGE = 'localhost/net:latest';
/** netavark has one folder for leases and its name server on a machine, whatever podman's other folders are. */
const LOCK = '/run/lock/runnc-test-netavark';

for (const backend of ['cni', 'netavark'] as const)
  describe(`podman's networks, by ${backend}`, function () {
    this.timeout(120_000);
    const host = `runnc-podman-${backend}-${String(process.pid)}`;
    let podman: Podman;
    let lock: ChildProcess | undefined;

    before(async () => {
      if (backend === 'netavark') {
        lock = spawn('flock', [LOCK, 'sh', '-c', 'echo locked; exec cat'], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        if (lock.stdout !== null) await once(lock.stdout, 'data');
      }
      await addNamespace(host);
      podman = await Podman.start({ namespace: host, backend });
      expect(await podman.podman('info', '--format={{.Host.NetworkBackend}}')).to.equal(backend);
      const tar = join(podman.folder, 'net.tar');
      await writeNetworkRootfs(tar);
      await podman.podman('import', '--quiet', '--change=ENV PATH=/usr/bin', tar, IMAGE);
      rmSync(tar);
    });

    afterEach(() => podman.removeAll());

    after(async () => {
      const leftovers = podman.leftovers();
      const links = await succeed('ip', ['-n', host, '-brief', 'link']);
      await podman.stop();
      await succeed('ip', ['netns', 'delete', host]);
      lock?.stdin?.end();
      expect(leftovers).to.deep.equal([]);
      expect(links).to.not.match(/veth|runnc/);
    });

    /** A web server; it is ready. */
    const serve = async (...options: readonly string[]): Promise<string> => {
      const script = 'httpd -p 80 -h /www && echo ready && exec sleep 1000';
      const id = await podman.podman('run', '-d', ...podman.place, ...options, IMAGE, 'sh', '-c', script);
      await follow(...podman.command(['logs', '--follow', id]), 'ready');
      return id;
    };
    const addressOf = (id: string): Promise<string> => podman.inspect(id, '.NetworkSettings.IPAddress');
    const fetched = (url: string): Promise<string> => within(host, 'busybox', 'wget', '-q', '-O-', url);

    it('a container serves on its address and on published ports, and pings the host', async () => {
      const id = await serve('-p=8080:80');
      const address = await addressOf(id);
      expect(await fetched(`http://${address}/`)).to.equal('from the guest');
      await pingFrom(host, address);
      const gateway = address.replace(/\.\d+$/, '.1');
      expect(await fetched(`http://${gateway}:8080/`)).to.equal('from the guest');
      const options = ['run', '--rm', ...podman.place, '--cap-add=NET_RAW', IMAGE];
      const out = await podman.podman(...options, 'ping', '-A', '-c', '2', gateway);
      expect(out).to.contain(' 0% packet loss');
    });

    if (backend === 'netavark')
      it('in a network of their own containers find each other by name, whatever runs them', async () => {
        await podman.podman('network', 'create', 'named');
        try {
          const id = await serve('--network=named', '--name=web');
          const address = await podman.inspect(id, '.NetworkSettings.Networks.named.IPAddress');
          for (const runtime of [[], ['--runtime=/usr/sbin/runc']]) {
            const [program, client] = podman.command(runtime);
            const options = ['run', '--rm', ...podman.place, '--network=named'];
            const script =
              'wget -q -O- http://web/ && nslookup -type=a web.dns.podman | grep Address: | tail -n 1';
            const out = await succeed(program, [...client, ...options, IMAGE, 'sh', '-c', script]);
            expect(out).to.equal(`from the guest\nAddress: ${address}`);
          }
        } finally {
          await podman.removeAll();
          await podman.podman('network', 'rm', 'named');
        }
      });

    it('a container that was killed serves again at its next start', async () => {
      const id = await serve();
      await podman.podman('kill', '--signal=KILL', id);
      await podman.podman('wait', id);
      await podman.podman('start', id);
      await follow(...podman.command(['logs', '--follow', id]), 'ready\nready');
      expect(await fetched(`http://${await addressOf(id)}/`)).to.equal('from the guest');
    });

    it('the second guest of a pod is refused, and says what can be done; without a network it may come', async () => {
      const id = await serve();
      const options = ['run', '--rm', ...podman.place, `--network=container:${id}`];
      const refused = await podman.try([...options, IMAGE, 'echo', 'no']);
      expect(refused.stderr).to.match(/another guest in this network namespace has taken eth0/);
      expect(refused.status).to.be.oneOf([125, 126]);
      const alone = await podman.podman(
        ...options,
        '--annotation=io.runnc.network=none',
        IMAGE,
        'ip',
        '-o',
        'link',
      );
      expect(alone).to.match(/^1: lo:[^\n]*$/);
      await pingFrom(host, await addressOf(id));
    });
  });
