/**
 * Docker's own networks: bridges, published ports, names. The daemon lives in a network namespace of the tests', with
 * bridges and iptables rules of its own; that namespace is "the host" here.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type CommandResult, run, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { follow } from '../support/follow.ts';
import { addNamespace, pingFrom, within } from '../support/network.ts';
import { writeNetworkRootfs } from './image.ts';

const IMAGE = 'net:latest';
/** Of the host, on none of the bridges. */
const OUTSIDE = '192.0.2.53';

const IDLE_SECONDS = 5;
/** Opens connections to an address, says so, and keeps them. */
const HOLD = `
import socket, sys, time
held = [socket.create_connection((sys.argv[1], 80)) for _ in range(int(sys.argv[2]))]
print("held", flush=True)
time.sleep(1000)
`;

describe("docker's networks", function () {
  this.timeout(120_000);
  const host = `runnc-docker-net-${String(process.pid)}`;
  let docker: Dockerd;
  let nameServer: ChildProcess;

  before(async () => {
    await addNamespace(host);
    await succeed('ip', ['-n', host, 'address', 'add', `${OUTSIDE}/32`, 'dev', 'lo']);
    nameServer = spawn(
      'nsenter',
      [`--net=/run/netns/${host}`, 'python3', join(import.meta.dirname, 'programs/dns.py'), OUTSIDE],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    if (nameServer.stdout !== null) await once(nameServer.stdout, 'data');
    docker = await Dockerd.start({
      network: {
        namespace: host,
        options: [
          ...['--ipv6', '--fixed-cidr-v6=fd00:d0c::/64', '--ip6tables', '--experimental'],
          ...['--bip=172.30.0.1/24', '--default-address-pool=base=172.31.0.0/16,size=24', `--dns=${OUTSIDE}`],
        ],
      },
    });
    const tar = join(docker.folder, 'net.tar');
    await writeNetworkRootfs(tar);
    await docker.docker('import', '--change=ENV PATH=/usr/bin', tar, IMAGE);
    rmSync(tar);
  });

  afterEach(async () => {
    await docker.removeAll();
    await docker.docker('network', 'prune', '--force');
  });

  after(async () => {
    const leftovers = docker.leftovers();
    const links = await succeed('ip', ['-n', host, '-brief', 'link']);
    await docker.stop();
    nameServer.kill();
    await succeed('ip', ['netns', 'delete', host]);
    expect(leftovers).to.deep.equal([]);
    expect(links.split('\n').map((line) => line.split(/\s/, 1)[0])).to.deep.equal(['lo', 'docker0']);
  });

  /** To its end. */
  const shell = (options: readonly string[], script: string): Promise<CommandResult> =>
    docker.try(['run', '--rm', ...options, IMAGE, 'sh', '-c', script]);

  const says = async (options: readonly string[], script: string): Promise<string> => {
    const { status, stdout, stderr } = await shell(options, script);
    expect({ status, stderr }, stdout).to.deep.equal({ status: 0, stderr: '' });
    return stdout;
  };

  /** A web server; it is ready. */
  const serve = async (...options: readonly string[]): Promise<string> => {
    const script = 'httpd -p 80 -h /www && echo ready && exec sleep 1000';
    const id = await docker.docker('run', '-d', ...options, IMAGE, 'sh', '-c', script);
    await follow('docker', [...docker.client, 'logs', '--follow', id], 'ready');
    return id;
  };

  const network = (...options: readonly string[]): Promise<string> =>
    docker.docker('network', 'create', ...options);

  const addressOf = (id: string, name = 'bridge', field = 'IPAddress'): Promise<string> =>
    docker.inspect(id, `(index .NetworkSettings.Networks "${name}").${field}`);

  const fetched = (url: string): Promise<string> => within(host, 'busybox', 'wget', '-q', '-O-', url);

  it('ping goes both ways, IPv4 and IPv6', async () => {
    const id = await serve();
    await pingFrom(host, await addressOf(id));
    await pingFrom(host, await addressOf(id, 'bridge', 'GlobalIPv6Address'));
    const out = await says([], 'ping -c 2 -A 172.30.0.1 && ping -c 2 -A fd00:d0c::1');
    expect(out.match(/ 0% packet loss/g)).to.have.length(2);
  });

  it('-p publishes ports, to the loopback of the host and to its addresses', async () => {
    await serve('-p=8080:80');
    for (const address of ['127.0.0.1', OUTSIDE, '[::1]']) {
      expect(await fetched(`http://${address}:8080/`)).to.equal('from the guest');
    }
  });

  it('containers reach each other, and through the host what is outside', async () => {
    const id = await serve();
    const runc = await serve('--runtime=runc');
    const script = (to: string): string => `wget -q -O- http://${to}/ && getent hosts some.test`;
    for (const to of [id, runc]) {
      expect(await says([], script(await addressOf(to)))).to.equal(
        'from the guest\n192.0.2.99      some.test\n',
      );
    }
    expect(await says(['--runtime=runc'], `wget -q -O- http://${await addressOf(id)}/`)).to.equal(
      'from the guest\n',
    );
  });

  it('a guest with a hundred open connections makes at most two host calls a second', async () => {
    const id = await serve();
    const held = spawn(
      'nsenter',
      [`--net=/run/netns/${host}`, 'python3', '-c', HOLD, await addressOf(id), '100'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(held.stdout, 'data');
    const trace = join(docker.folder, 'idle.trace');
    const strace = ['strace', '-f', '-qq', '-o', trace, '-p', String(await docker.pid(id))];
    // At first there are acknowledgements that were delayed, and questions about neighbours.
    let calls: readonly string[];
    let looks = 0;
    do {
      await run('timeout', ['--signal=INT', `${String(IDLE_SECONDS)}s`, ...strace]);
      calls = readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => / \w+\(.* = /.test(line));
    } while (calls.length > 2 * IDLE_SECONDS && ++looks < 5);
    held.kill();
    expect(calls.length, calls.join('\n')).to.be.at.most(2 * IDLE_SECONDS);
  });

  it('a container in two networks reaches both, also one that it is connected to before its start', async () => {
    await network('--subnet=172.31.1.0/24', '--ipv6', '--subnet=fd00:1::/64', 'one');
    await network('--subnet=172.31.2.0/24', 'two');
    const script =
      'ip -o -4 address show dev eth0; ip -o -4 address show dev eth1; ping -A -c 1 172.31.1.1; ping -A -c 1 172.31.2.1; ping -A -c 1 fd00:1::1';
    const id = await docker.docker('create', '--network=one', IMAGE, 'sh', '-c', script);
    await docker.docker('network', 'connect', 'two', id);
    const out = await docker.docker('start', '--attach', id);
    expect(out).to.match(/inet 172\.31\.[12]\.2\/24[^]*inet 172\.31\.[12]\.2\/24/);
    expect(out.match(/ 0% packet loss/g), out).to.have.length(3);
  });

  describe('in a network that a user defines', () => {
    beforeEach(() => network('--subnet=172.31.1.0/24', '--ipv6', '--subnet=fd00:1::/64', 'named'));

    const named = ['--network=named'];

    it('containers find each other by name and alias, whatever runs them', async () => {
      await serve(...named, '--name=web', '--network-alias=alias');
      await serve(...named, '--name=other', '--runtime=runc');
      const script = 'for name in web alias other; do wget -q -O- http://$name/ || exit; done; nslookup web';
      for (const runtime of ['runnc', 'runc']) {
        const out = await says([...named, `--runtime=${runtime}`], script);
        expect(out.match(/^from the guest$/gm)).to.have.length(3);
        expect(out)
          .to.match(/^Address: 172\.31\.1\.2$/m)
          .and.match(/^Address: fd00:1::2$/m);
      }
    });

    it('names of the world outside are known too, and those that nobody knows', async () => {
      const script =
        'getent hosts some.test; getent hosts no.such; echo $?; nslookup some.test | grep 192.0.2; wget -q -O /dev/null http://nobody/';
      const { status, stdout, stderr } = await shell(named, script);
      expect(stdout).to.equal('192.0.2.99      some.test\n2\nAddress: 192.0.2.99\n');
      expect(stderr).to.contain('bad address');
      expect(status).to.not.equal(0);
    });

    it('a container that was killed serves again, and one that loses its network goes on without', async () => {
      const id = await serve(...named, '--name=web', '--ip=172.31.1.77');
      await docker.docker('kill', id);
      await docker.docker('start', id);
      await follow('docker', [...docker.client, 'logs', '--follow', id], 'ready\nready');
      expect(await says(named, 'wget -q -O- http://web/')).to.equal('from the guest\n');
      await docker.docker('network', 'disconnect', 'named', id);
      await docker.docker('stop', '--time=0', id);
      expect(await docker.inspect(id, '.State.ExitCode')).to.equal('137');
    });

    it('answers too long for a datagram come over TCP', async () => {
      const out = await says(named, 'getent ahostsv4 many.test | grep -c STREAM');
      expect(out).to.equal('60\n');
    });

    it('answers that come to it in several fragments arrive, beside fragments of other datagrams', async () => {
      const id = await serve(...named);
      expect(await says(named, 'getent ahostsv4 huge.test | grep -c STREAM')).to.equal('200\n');
      for (const field of ['IPAddress', 'GlobalIPv6Address'])
        await pingFrom(host, await addressOf(id, 'named', field), { bytes: 5000 });
    });

    it('many ask at once and each gets its own answer', async () => {
      const script =
        'for i in 1 2 3 4 5 6 7 8 9; do getent hosts n$i.test >/tmp/$i & done; wait; cat /tmp/*; getent hosts web';
      await serve(...named, '--name=web');
      expect(await says(named, script)).to.equal(
        [...'123456789'].map((i) => `192.0.2.99      n${i}.test\n`).join('') + 'fd00:1::2       web\n',
      );
    });

    it("nothing but the name server of the namespace's loopback is within reach", async () => {
      const id = await serve(...named);
      const sandbox = await docker.inspect(id, '.NetworkSettings.SandboxKey');
      const enter = (...command: readonly string[]): Promise<string> =>
        succeed('nsenter', [`--net=${sandbox}`, ...command]);
      const listening = await enter('ss', '-Hlntu');
      // Docker's two sockets are all that listens there, behind rules that give them port 53.
      expect(listening.split('\n').filter((line) => !line.includes('127.0.0.11:'))).to.deep.equal([]);
      expect(await enter('sysctl', '-n', 'net.ipv4.conf.all.route_localnet')).to.equal('0');
      const ports = [...listening.matchAll(/127\.0\.0\.11:(\d+)/g)].map(([, port = '']) => port);
      const script = ports.map((port) => `nc -w 1 127.0.0.11 ${port} </dev/null; echo $?`).join('; ');
      const { stdout } = await shell(named, script);
      expect(stdout).to.equal('1\n1\n');
    });
  });

  for (const mtu of [1400, 9000])
    it(`carries the longest frames of a network with an MTU of ${String(mtu)}`, async () => {
      await network('--subnet=172.31.1.0/24', `--opt=com.docker.network.driver.mtu=${String(mtu)}`, 'sized');
      const id = await serve('--network=sized');
      await pingFrom(host, await addressOf(id, 'sized'), { bytes: mtu - 28 });
      expect(await says(['--network=sized'], 'ip link show dev eth0')).to.contain(` mtu ${String(mtu)} `);
    });

  it('a macvlan network: on the link that the host is on, beside other machines and other containers', async () => {
    const lan = `${host}-lan`;
    await addNamespace(lan);
    try {
      const peer = ['peer', 'eth0', 'netns', lan];
      await succeed('ip', ['-n', host, 'link', 'add', 'uplink', 'type', 'veth', ...peer]);
      await succeed('ip', ['-n', host, 'link', 'set', 'uplink', 'up']);
      await succeed('ip', ['-n', lan, 'link', 'set', 'eth0', 'up']);
      for (const address of ['10.77.0.1/24', 'fd00:77::1/64'])
        await succeed('ip', ['-n', lan, 'address', 'add', address, 'dev', 'eth0']);
      const subnets = ['--subnet=10.77.0.0/24', '--gateway=10.77.0.1', '--ipv6', '--subnet=fd00:77::/64'];
      await network('--driver=macvlan', '--opt=parent=uplink', ...subnets, 'lan');
      const id = await serve('--network=lan', '--name=web');
      for (const field of ['IPAddress', 'GlobalIPv6Address'])
        await pingFrom(lan, await addressOf(id, 'lan', field));
      const url = `http://${await addressOf(id, 'lan')}/`;
      expect(await within(lan, 'busybox', 'wget', '-q', '-O-', url)).to.equal('from the guest');
      // By name from another guest, and one of runc's; out to another machine.
      for (const runtime of ['runnc', 'runc'])
        expect(await says([`--runtime=${runtime}`, '--network=lan'], 'wget -q -O- http://web/')).to.equal(
          'from the guest\n',
        );
      const out = await says(['--network=lan'], 'ping -c 2 -A 10.77.0.1 && ping -c 2 -A fd00:77::1');
      expect(out.match(/ 0% packet loss/g)).to.have.length(2);
    } finally {
      await docker.removeAll();
      await succeed('ip', ['netns', 'delete', lan]);
    }
  });

  it('root pings, and with its sysctls everybody may have ports below 1024', async () => {
    expect(await says(['--user=1000'], 'httpd -p 80 -h /www && wget -q -O- http://127.0.0.1/')).to.equal(
      'from the guest\n',
    );
    expect(await says([], 'ping -c 1 172.30.0.1')).to.contain(' 0% packet loss');
  });

  it("refuses to share another guest's network, and says what can be done", async () => {
    const id = await serve();
    const { status, stderr } = await shell([`--network=container:${id}`], 'echo no');
    expect(status).to.equal(125);
    expect(stderr).to.match(
      /another guest in this network namespace has taken eth0.*io\.runnc\.network=none/,
    );
    await pingFrom(host, await addressOf(id));
  });
});
