/** A guest takes over the interfaces of its network namespace, and gives all of it back. */
import { expect } from 'chai';
import { run } from '../support/command.ts';
import { type Draft, Playground } from '../support/bundle.ts';
import { TestNetwork } from '../support/network.ts';
import { runtime } from '../support/paths.ts';

describe('a guest in a network namespace', () => {
  let host: Playground;
  let network: TestNetwork;

  before(async () => {
    host = new Playground();
    network = await TestNetwork.start();
  });
  after(async () => {
    await host.close();
    await network.stop();
  });

  const inNamespace =
    (annotations: Record<string, string> = {}) =>
    (spec: Draft): void => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
        type === 'network' ? { type, path: network.path } : { type },
      );
      spec.annotations = annotations;
    };
  const echo = (...args: readonly string[]): string => host.bundle('echo', args, inNamespace());

  /** Runs `check` while a guest of this bundle does; the namespace is the same before and after. */
  const whileRunning = async (
    bundle: string,
    check: (printed: string) => Promise<void>,
    readyText = 'ready\n',
  ): Promise<void> => {
    const before = await network.state();
    const call = await host.create('guest', bundle);
    try {
      expect((await host.runnc(['start', 'guest'])).stderr).to.equal('');
      await call.prints(readyText);
      await check(call.stdout);
    } finally {
      const { stderr } = await host.runnc(['delete', '--force', 'guest']);
      expect(stderr).to.equal('');
    }
    expect(await network.state()).to.equal(before);
  };
  const refused = async (bundle: string): Promise<string> => {
    const before = await network.state();
    const { status, stderr } = await host.runnc(['create', '--bundle', bundle, 'guest']);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^[^\n]+\n$/);
    expect(await network.state()).to.equal(before);
    expect(host.leftovers()).to.deep.equal([]);
    return stderr;
  };

  describe('with one interface', () => {
    beforeEach(async () => {
      await network.plug('eth0');
      await network.out('address', 'add', '10.77.0.1/24', 'dev', 'eth0.out');
      await network.out('address', 'add', 'fd77::1/64', 'dev', 'eth0.out');
      await network.in('address', 'add', '10.77.0.2/24', 'broadcast', '10.77.0.255', 'dev', 'eth0');
      await network.in('route', 'add', 'default', 'via', '10.77.0.1');
    });
    afterEach(async () => {
      await network.unplug('eth0');
    });

    it('has its MAC address, MTU and addresses, and answers from outside', async () => {
      await network.in('address', 'add', 'fd77::2/64', 'dev', 'eth0');
      await network.in('route', 'add', 'default', 'via', 'fd77::1');
      const link = await network.in('-brief', 'link', 'show', 'eth0');
      const [mac = ''] = /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(link) ?? [];
      await whileRunning(echo(), async (printed) => {
        expect(printed).to.equal(
          '--ipv4=10.77.0.2/24 --ipv4-gateway=10.77.0.1 --ipv6=fd77:0:0:0:0:0:0:2/64 ' +
            `--ipv6-gateway=fd77:0:0:0:0:0:0:1\nservice: mac ${mac}, mtu 1500\nready\n`,
        );
        await network.ping('10.77.0.2');
        await network.ping('fd77::2');
        expect(await network.udpEcho('10.77.0.2')).to.equal('hello');
        expect(await network.udpEcho('fd77::2')).to.equal('hello');
        // Nothing is left of it where it was, and nothing of the namespace's own answers.
        expect(await network.in('address', 'show', 'dev', 'eth0')).to.not.include('inet');
        expect(await network.in('route')).to.equal('');
      });
    });

    it('sits behind a tap of one queue, a long one, that goes with the process', async () => {
      await whileRunning(echo(), async () => {
        const tap = await network.in('-details', '-oneline', 'link', 'show', 'type', 'tun');
        expect(tap)
          .to.match(/ mtu 1500 .* qlen 10000.* tun type tap pi off .*persist off/)
          .and.not.contain('multi_queue on')
          .and.not.match(/ user /);
        expect(tap.split('\n')).to.have.length(1);
      });
    });

    it('reaches what is outside, and others by its gateway', async () => {
      await network.out('address', 'add', '192.0.2.9/32', 'dev', 'lo');
      const before = await network.state();
      for (const target of ['10.77.0.1', '192.0.2.9']) {
        const result = await host.runnc(['run', '--bundle', echo(`--ping=${target}`), 'guest']);
        expect(result.stdout, result.stderr).to.match(/PASS\n$/);
      }
      expect(await network.state()).to.equal(before);
    });

    it('has an address of its own alone on a link, and a gateway beside it', async () => {
      await network.in('address', 'flush', 'dev', 'eth0');
      await network.in('address', 'add', '10.77.5.5/32', 'dev', 'eth0');
      await network.in('route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link');
      await network.in('route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0', 'onlink');
      await network.out('address', 'add', '169.254.1.1/32', 'dev', 'eth0.out');
      await network.out('route', 'add', '10.77.5.5', 'dev', 'eth0.out');
      await whileRunning(echo(), async (printed) => {
        expect(printed).to.include('--ipv4=10.77.5.5/32 --ipv4-gateway=169.254.1.1\n');
        await network.ping('10.77.5.5');
      });
    });

    it('keeps what was set by hand: secondary addresses, peers, labels, metrics, lifetimes', async () => {
      await network.in('address', 'add', '10.77.0.3/24', 'dev', 'eth0');
      await network.in(
        'address',
        'add',
        '10.78.0.1',
        'peer',
        '10.78.0.2/32',
        'dev',
        'eth0',
        'label',
        'eth0:p2p',
      );
      await network.in('address', 'add', 'fd78::2/64', 'dev', 'eth0', 'nodad', 'noprefixroute');
      await network.in(
        'route',
        'add',
        '10.99.0.0/16',
        'via',
        '10.77.0.1',
        'metric',
        '50',
        'mtu',
        '1300',
        'src',
        '10.77.0.3',
      );
      await network.in('-6', 'route', 'add', 'fd99::/48', 'dev', 'eth0', 'metric', '77');
      await network.in(
        'neighbour',
        'add',
        '10.77.0.9',
        'lladdr',
        '02:00:00:00:00:09',
        'dev',
        'eth0',
        'nud',
        'permanent',
      );
      await network.in('route', 'add', 'unreachable', '10.98.0.0/16');
      await whileRunning(echo(), () => network.ping('10.77.0.2'));
    });

    it('on IPv6 alone has no options for IPv4', async () => {
      await network.in('-4', 'address', 'flush', 'dev', 'eth0');
      await network.in('address', 'add', 'fd77::2/64', 'dev', 'eth0');
      await whileRunning(echo(), async (printed) => {
        expect(printed).to.match(/^--ipv6=fd77:0:0:0:0:0:0:2\/64\n/);
        await network.ping('fd77::2');
      });
    });

    it('keeps options that the image gives, and gets none as a plain Solo5 guest', async () => {
      await whileRunning(echo('--ipv4=10.77.0.7/24'), async (printed) => {
        expect(printed).to.include('--ipv4-gateway=10.77.0.1 --ipv4=10.77.0.7/24\n');
        await network.ping('10.77.0.7');
      });
      const plain = host.bundle('echo', ['--ipv4=10.77.0.8/24'], inNamespace({ 'io.runnc.guest': 'solo5' }));
      await whileRunning(plain, async (printed) => {
        expect(printed).to.match(/^--ipv4=10.77.0.8\/24\n/);
        await network.ping('10.77.0.8');
      });
    });

    for (const mtu of [1400, 9000])
      it(`carries the longest frames of an MTU of ${String(mtu)}`, async () => {
        await network.in('link', 'set', 'eth0', 'mtu', String(mtu));
        await network.out('link', 'set', 'eth0.out', 'mtu', String(mtu));
        await whileRunning(echo(), async (printed) => {
          expect(printed).to.include(`mtu ${String(mtu)}\n`);
          await network.ping('10.77.0.2', { bytes: mtu - 28 });
        });
      });

    it('is refused where another guest has taken the interface, until that one is deleted', async () => {
      await host.create('first', echo());
      const second = await host.runnc(['create', '--bundle', echo(), 'guest']);
      expect(second.stderr).to.match(
        /another guest in this network namespace has taken eth0.*io\.runnc\.network=none/,
      );
      await host.runnc(['delete', '--force', 'first']);
      await whileRunning(echo(), () => network.ping('10.77.0.2'));
    });

    it('is refused where something else filters what comes in, which stays as it is', async () => {
      await run('tc', ['-n', network.inside, 'qdisc', 'add', 'dev', 'eth0', 'clsact']);
      expect(await refused(echo())).to.include('eth0 has an ingress qdisc already');
    });

    it('leaves all as it is if it has no network device, or may not have one', async () => {
      await whileRunning(
        host.bundle('time', ['forever'], inNamespace()),
        async () => {
          expect(await network.in('address', 'show', 'dev', 'eth0')).to.include('inet 10.77.0.2/24');
        },
        'waiting',
      );
      for (const annotations of [
        { 'io.runnc.network': 'none' },
        { 'io.kubernetes.cri.container-type': 'sandbox' },
        { 'io.kubernetes.cri-o.ContainerType': 'sandbox' },
      ])
        expect(await refused(host.bundle('echo', [], inNamespace(annotations)))).to.include(
          'the guest needs the network device service',
        );
    });

    for (const [what, annotations, message] of [
      ['no such value', { 'io.runnc.network': 'all' }, 'expected "default" or "none", got "all"'],
      ['a device that is not declared', { 'io.runnc.net.other': 'eth0' }, 'the guest declares service'],
      ['no name', { 'io.runnc.net.service': 'eth0/../x' }, 'not the name of a network interface'],
      ['no such interface', { 'io.runnc.net.service': 'eth7' }, 'the container has no interface eth7'],
      ['no address', { 'io.runnc.net.service': 'lo' }, 'the container has no interface lo'],
    ] as const)
      it(`is refused for an annotation with ${what}`, async () => {
        expect(await refused(host.bundle('echo', [], inNamespace(annotations)))).to.include(message);
      });

    it('says in one line what the caller lacks', async () => {
      const create = ['--root', host.root, 'create', '--bundle', echo(), 'guest'];
      const before = await network.state();
      const fails = async (program: string, ...args: readonly string[]): Promise<string> => {
        const { status, stderr } = await run(program, args);
        expect(status).to.equal(1);
        expect(stderr).to.match(/^[^\n]+\n$/);
        expect(await network.state()).to.equal(before);
        return stderr;
      };
      const without = ['--bounding-set=-net_admin', '--inh-caps=-net_admin'];
      expect(await fails('setpriv', ...without, runtime, ...create)).to.include('needs CAP_NET_ADMIN');
      const hidden = 'mount -t tmpfs none /dev/net && exec "$@"';
      expect(await fails('unshare', '--mount', 'sh', '-c', hidden, 'sh', runtime, ...create)).to.include(
        '/dev/net/tun is missing: load the kernel module (modprobe tun)',
      );
      expect(host.leftovers()).to.deep.equal([]);
    });
  });

  describe('with several interfaces', () => {
    beforeEach(async () => {
      for (const [i, name] of ['eth0', 'eth1'].entries()) {
        await network.plug(name);
        await network.out('address', 'add', `10.${String(i)}.0.1/24`, 'dev', `${name}.out`);
        await network.in('address', 'add', `10.${String(i)}.0.2/24`, 'dev', name);
      }
    });
    afterEach(async () => {
      for (const name of ['eth0', 'eth1']) await network.unplug(name);
    });

    it('has each device joined to the one that its annotation names', async () => {
      const crossed = { 'io.runnc.net.left': 'eth0', 'io.runnc.net.right': 'eth1' };
      await whileRunning(host.bundle('net2', [], inNamespace(crossed)), async (printed) => {
        expect(printed).to.match(/^left: mac .*\nright: mac .*\nready\n$/);
        await network.ping('10.0.0.2');
        await network.ping('10.1.0.2');
      });
    });

    it('has one device joined to the first, and leaves the other alone', async () => {
      const before = await network.in('address', 'show', 'dev', 'eth1');
      await whileRunning(echo(), async () => {
        await network.ping('10.0.0.2');
        expect(await network.in('address', 'show', 'dev', 'eth1')).to.equal(before);
      });
    });

    it('is refused if it is not said which is whose', async () => {
      expect(await refused(host.bundle('net2', [], inNamespace()))).to.include('io.runnc.net.left=eth0');
    });
  });

  it('is refused without an interface that has an address', async () => {
    expect(await refused(echo())).to.include(
      'no interface with an address (was it created with --network none?)',
    );
    await network.plug('eth0');
    try {
      await network.in('link', 'set', 'eth0', 'down');
      expect(await refused(echo())).to.include('no interface with an address');
    } finally {
      await network.unplug('eth0');
    }
  });

  it("is refused the host's devices, and says what can be done", async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.linux.netDevices = { eth7: { name: 'eth0' } };
    });
    expect(await refused(bundle)).to.match(/linux\.netDevices\["?eth7"?\].*ip link set eth7 netns NAME/);
  });

  it("is refused the host's network", async () => {
    const without = host.bundle('echo', [], (spec) => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).filter(({ type }) => type !== 'network');
    });
    const byPath = host.bundle('echo', [], (spec) => {
      spec.linux.namespaces = (spec.linux.namespaces ?? []).map(({ type }) =>
        type === 'network' ? { type, path: '/proc/self/ns/net' } : { type },
      );
    });
    for (const bundle of [without, byPath]) {
      expect(await refused(bundle)).to.include("a guest cannot have the host's network");
    }
  });
});
