/** Network namespaces of the tests' own; the host's network is never touched. */
import { succeed } from './command.ts';

/** Two namespaces and a cable: "inside" is a container's, "outside" what it talks to. */
export class TestNetwork {
  readonly inside: string;
  readonly outside: string;

  private constructor(name: string) {
    this.inside = `${name}-in`;
    this.outside = `${name}-out`;
  }

  static async start(): Promise<TestNetwork> {
    const network = new TestNetwork(`runnc-${String(process.pid)}`);
    for (const namespace of [network.inside, network.outside]) await addNamespace(namespace);
    return network;
  }

  get path(): string {
    return `/run/netns/${this.inside}`;
  }

  /** A pair of interfaces, the outer one with the inner one's name and ".out"; both up. */
  async plug(name: string, mtu = 1500): Promise<void> {
    const outer = `${name}.out`;
    await this.out(
      'link',
      'add',
      outer,
      'mtu',
      String(mtu),
      'type',
      'veth',
      'peer',
      name,
      'netns',
      this.inside,
    );
    await this.in('link', 'set', name, 'mtu', String(mtu), 'up');
    await this.out('link', 'set', outer, 'up');
  }

  async unplug(name: string): Promise<void> {
    await this.out('link', 'delete', `${name}.out`);
  }

  /** `ip` in one of the two. */
  in(...args: readonly string[]): Promise<string> {
    return succeed('ip', ['-n', this.inside, ...args]);
  }

  out(...args: readonly string[]): Promise<string> {
    return succeed('ip', ['-n', this.outside, ...args]);
  }

  /** Links, addresses, routes, qdiscs and filters inside, as text to compare. */
  async state(): Promise<string> {
    const { inside } = this;
    const listings = [
      await this.in('-details', 'link'),
      await this.in('address'),
      await this.in('-4', 'route', 'show', 'table', 'all'),
      // Equal ones come in the order in which they were added.
      (await this.in('-6', 'route', 'show', 'table', 'all')).split('\n').sort().join('\n'),
      await this.in('neighbour', 'show', 'nud', 'permanent'),
      await succeed('tc', ['-n', inside, 'qdisc']),
      await within(inside, 'sysctl', 'net.ipv4.ip_local_port_range'),
    ];
    for (const line of (await this.in('-oneline', 'link')).split('\n')) {
      const name = /^\d+: ([^:@]+)/.exec(line)?.[1] ?? '';
      listings.push(await succeed('tc', ['-n', inside, 'filter', 'show', 'dev', name, 'ingress']));
    }
    return listings.join('\n');
  }

  /** Each echo request is sent as soon as the last is answered; an error if one is not. */
  async ping(address: string, { count = 3, bytes = 56 } = {}): Promise<void> {
    await pingFrom(this.outside, address, { count, bytes });
  }

  udpEcho(address: string): Promise<string> {
    return udpEchoFrom(this.outside, address);
  }

  async stop(): Promise<void> {
    for (const namespace of [this.inside, this.outside]) await succeed('ip', ['netns', 'delete', namespace]);
  }
}

/** Without IPv6's detection of duplicates, which is not done when a test wants to go on. */
export async function addNamespace(name: string): Promise<void> {
  await succeed('ip', ['netns', 'add', name]);
  await within(name, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');
  await succeed('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
}

/** A command there; its mounts are the host's. */
export function within(namespace: string, ...command: readonly string[]): Promise<string> {
  return succeed('nsenter', [`--net=/run/netns/${namespace}`, ...command]);
}

export async function pingFrom(
  namespace: string,
  address: string,
  { count = 3, bytes = 56 } = {},
): Promise<void> {
  const options = ['-q', '-A', '-c', String(count), '-W', '10', '-s', String(bytes)];
  await within(namespace, 'busybox', 'ping', ...options, address);
}

/** Sends "hello" to port 7 until there is an answer, for a minute at most; the answer. */
export function udpEchoFrom(namespace: string, address: string, port = 7): Promise<string> {
  const script = `
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(1)
for _ in range(60):
    try:
        s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
        print(s.recvfrom(100)[0].decode())
        break
    except (socket.timeout, ConnectionRefusedError):
        pass
`;
  return within(namespace, 'python3', '-c', script, address, String(port));
}
