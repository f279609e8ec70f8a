/**
 * `ctr run --cni`: the bridge plug-in fills the container's namespace between create and start. ctr runs the plug-ins
 * itself, in a network namespace of the tests', which is "the host" here. And containers that share a namespace as those of
 * a Kubernetes pod do.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Rootfs } from '../linux-programs/rootfs.ts';
import { type CommandResult, run, succeed } from '../support/command.ts';
import { until } from '../support/bundle.ts';
import { Containerd } from '../support/containerd.ts';
import { addNamespace, pingFrom, TestNetwork, within } from '../support/network.ts';
import { unikernel } from '../support/paths.ts';
import { networkRootfs } from './image.ts';

const PLUGINS = '/usr/lib/cni';
const GATEWAY = '10.66.0.1';
const SERVE = 'httpd -p 80 -h /www && exec sleep 1000';

describe('ctr with a CNI bridge', function () {
  this.timeout(120_000);
  const host = `runnc-ctr-net-${String(process.pid)}`;
  const enter = [`--net=/run/netns/${host}`];
  let containerd: Containerd;
  let configs: string;
  let rootfs: Rootfs;

  before(async () => {
    await addNamespace(host);
    containerd = await Containerd.start();
    configs = join(containerd.folder, 'net.d');
    mkdirSync(configs);
    const bridge = {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipam: {
        type: 'host-local',
        dataDir: join(containerd.folder, 'ipam'),
        ranges: [[{ subnet: '10.66.0.0/24' }], [{ subnet: 'fd66::/64' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    };
    const list = { cniVersion: '0.4.0', name: host, plugins: [bridge] };
    writeFileSync(join(configs, '10-bridge.conflist'), JSON.stringify(list));
    rootfs = networkRootfs();
    copyFileSync(unikernel('echo'), rootfs.path('/usr/bin/unikernel'));
  });

  afterEach(() => containerd.removeAll());

  after(async () => {
    const leftovers = containerd.leftovers();
    await containerd.stop();
    rootfs.remove();
    await succeed('ip', ['netns', 'delete', host]);
    expect(leftovers).to.deep.equal([]);
  });

  /** ctr where it finds the plug-ins and our configuration, whose places it has built in. */
  const ctr = (id: string, options: readonly string[], argv: readonly string[]): Promise<CommandResult> => {
    const prepare =
      'mount -t tmpfs none /opt && mkdir -p /opt/cni/bin && mount --bind "$1" /opt/cni/bin && mount --bind "$2" /etc/cni/net.d && shift 2 && exec "$@"';
    const command = containerd.command(id, ['--cni', '--rootfs', ...options], rootfs.folder, argv);
    return run('nsenter', [
      ...enter,
      ...['unshare', '--mount', 'sh', '-c', prepare, 'sh', PLUGINS, configs],
      ...command,
    ]);
  };

  /** The address that was given last; ctr gives none back. */
  const leased = async (): Promise<string> =>
    (await succeed('ls', ['-t', join(containerd.folder, 'ipam', host)]))
      .split('\n')
      .find((name) => name.startsWith('10.66.')) ?? '';

  it('has what the plug-in gives it: addresses, and the way to the host', async () => {
    const script = `ip -o address show dev eth0; ping -A -c 2 ${GATEWAY}; ping -A -c 2 fd66::1`;
    const { status, stdout, stderr } = await ctr('client', ['--rm'], ['sh', '-c', script]);
    expect(stdout, stderr)
      .to.match(/inet 10\.66\.0\.\d+\/24/)
      .and.match(/inet6 fd66::/);
    expect(stdout.match(/ 0% packet loss/g)).to.have.length(2);
    expect(status).to.equal(0);
  });

  it('serves on its address, and its namespace ends with it', async () => {
    const { stderr } = await ctr('server', ['-d'], ['sh', '-c', SERVE]);
    expect(stderr).to.equal('');
    const links = await succeed('ip', ['-n', host, '-brief', 'link']);
    expect(links).to.contain('veth');
    const pid = await containerd.pid('server');
    const shown = await succeed('nsenter', [
      '-t',
      String(pid),
      '-n',
      'ip',
      '-brief',
      'address',
      'show',
      'dev',
      'eth0',
    ]);
    expect(shown).to.not.contain('10.66');
    const lease = await leased();
    await pingFrom(host, lease);
    await until(
      async () =>
        (await run('nsenter', [...enter, 'busybox', 'wget', '-q', '-O-', `http://${lease}/`])).stdout ===
        'from the guest\n',
      'the server answers',
    );
    await containerd.removeAll();
    expect(await within(host, 'ip', '-brief', 'link')).to.not.contain('veth');
  });

  it('a Solo5 unikernel is told its addresses, reaches the host and is reached', async () => {
    const { stdout, stderr } = await ctr('client', ['--rm'], ['unikernel', `--ping=${GATEWAY}`]);
    expect(stdout, stderr).to.match(/^--ipv4=10\.66\.0\.\d+\/24 .*--ipv6=fd66:.*--ping=10\.66\.0\.1$/m);
    expect((await ctr('unikernel', ['-d'], ['unikernel'])).stderr).to.equal('');
    await pingFrom(host, await leased());
  });

  it('a Solo5 unikernel that wants a network and gets none is refused at its start', async () => {
    const [program = '', ...args] = containerd.command('bare', ['--rm', '--rootfs'], rootfs.folder, [
      'unikernel',
    ]);
    const { status, stderr } = await run(program, args);
    expect(status).to.equal(1);
    expect(stderr).to.contain(
      'the guest needs the network device service: the container has no interface with an address',
    );
  });
});

describe('containers of a pod under containerd', function () {
  this.timeout(120_000);
  const CRI = 'io.kubernetes.cri.container-type';
  let containerd: Containerd;
  let network: TestNetwork;
  let rootfs: Rootfs;

  before(async () => {
    containerd = await Containerd.start();
    network = await TestNetwork.start();
    rootfs = networkRootfs();
    await network.plug('eth0');
    await network.out('address', 'add', '10.77.0.1/24', 'dev', 'eth0.out');
    await network.in('address', 'add', '10.77.0.2/24', 'dev', 'eth0');
    await network.in('route', 'add', 'default', 'via', '10.77.0.1');
  });

  after(async () => {
    const leftovers = containerd.leftovers();
    await containerd.stop();
    rootfs.remove();
    await network.stop();
    expect(leftovers).to.deep.equal([]);
  });

  /** As containerd's CRI plug-in starts it: in the pod's namespace, with an annotation that says what it is. */
  const start = (
    id: string,
    type: string,
    script: string,
    ...more: readonly string[]
  ): Promise<CommandResult> => {
    const options = [
      '-d',
      '--rootfs',
      '--with-ns',
      `network:${network.path}`,
      '--annotation',
      `${CRI}=${type}`,
    ];
    const [program = '', ...args] = containerd.command(id, [...options, ...more], rootfs.folder, [
      'sh',
      '-c',
      script,
    ]);
    return run(program, args);
  };
  const end = (id: string): Promise<string> => containerd.ctr('task', 'delete', '--force', id);
  const answers = (): Promise<void> =>
    until(
      async () =>
        (
          await run('ip', [
            'netns',
            'exec',
            network.outside,
            'busybox',
            'wget',
            '-q',
            '-O-',
            'http://10.77.0.2/',
          ])
        ).stdout === 'from the guest\n',
      'the server answers',
    );

  it('the sandbox leaves the address to the container, whose next one has it again; a second one goes without', async () => {
    const before = await network.state();
    expect((await start('pause', 'sandbox', 'exec sleep 1000')).stderr).to.equal('');
    expect(await network.state()).to.equal(before);
    for (const id of ['first', 'again']) {
      expect((await start(id, 'container', SERVE)).stderr).to.equal('');
      await answers();
      const refused = await start('second', 'container', SERVE);
      expect(refused.stderr).to.match(
        /another guest in this network namespace has taken eth0.*io\.runnc\.network=none/,
      );
      await containerd.ctr('container', 'delete', 'second');
      const alone = await start(
        'second',
        'container',
        'exec sleep 1000',
        '--annotation',
        'io.runnc.network=none',
      );
      expect(alone.stderr).to.equal('');
      await answers();
      for (const one of ['second', id]) {
        await end(one);
        await containerd.ctr('container', 'delete', one);
      }
      expect(await network.state()).to.equal(before);
    }
    await containerd.removeAll();
    expect(await network.state()).to.equal(before);
  });
});
