/**
 * `ctr run --cni`: the bridge plug-in fills the container's namespace between create and start. ctr runs the plug-ins
 * itself, in a network namespace of the tests', which is "the host" here.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Rootfs } from '../linux-programs/rootfs.ts';
import { type CommandResult, run, succeed } from '../support/command.ts';
import { until } from '../support/bundle.ts';
import { Containerd } from '../support/containerd.ts';
import { addNamespace, pingFrom, within } from '../support/network.ts';
import { networkRootfs } from './image.ts';

const PLUGINS = '/usr/lib/cni';
const GATEWAY = '10.66.0.1';

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
  const ctr = (id: string, options: readonly string[], script: string): Promise<CommandResult> => {
    const prepare =
      'mount -t tmpfs none /opt && mkdir -p /opt/cni/bin && mount --bind "$1" /opt/cni/bin && mount --bind "$2" /etc/cni/net.d && shift 2 && exec "$@"';
    const command = containerd.command(id, ['--cni', '--rootfs', ...options], rootfs.folder, [
      'sh',
      '-c',
      script,
    ]);
    return run('nsenter', [
      ...enter,
      ...['unshare', '--mount', 'sh', '-c', prepare, 'sh', PLUGINS, configs],
      ...command,
    ]);
  };

  it('has what the plug-in gives it: addresses, and the way to the host', async () => {
    const script = `ip -o address show dev eth0; ping -A -c 2 ${GATEWAY}; ping -A -c 2 fd66::1`;
    const { status, stdout, stderr } = await ctr('client', ['--rm'], script);
    expect(stdout, stderr)
      .to.match(/inet 10\.66\.0\.\d+\/24/)
      .and.match(/inet6 fd66::/);
    expect(stdout.match(/ 0% packet loss/g)).to.have.length(2);
    expect(status).to.equal(0);
  });

  it('serves on its address, and its namespace ends with it', async () => {
    const { stderr } = await ctr('server', ['-d'], 'httpd -p 80 -h /www && exec sleep 1000');
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
    const lease =
      (await succeed('ls', [join(containerd.folder, 'ipam', host)]))
        .split('\n')
        .find((name) => name.startsWith('10.66.')) ?? '';
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
});
