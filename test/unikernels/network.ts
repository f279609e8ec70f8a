/** The network probes, on taps in a network namespace of their own. */
import { expect } from 'chai';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { type Tender, unikernel } from './guest.ts';

/** Host address of each tap; the guest is .2 of the same network. */
const TAPS = [
  { name: 'left', address: '10.0.0.1/24' },
  { name: 'right', address: '10.1.0.1/24' },
] as const;

export interface TestNetwork {
  readonly namespace: {
    /** The command that is put before another to run it there. */
    readonly enter: readonly string[];
    /** Runs a command there; throws if it fails. */
    readonly run: (...command: string[]) => string;
  };
  /**
   * Sends echo requests with so many bytes of payload, each as soon as the last is answered; rejects if one is not.
   * Does not block: somebody must read what the guest prints meanwhile.
   */
  readonly ping: (address: string, count: number, bytes: number) => Promise<void>;
}

/** A network namespace with two taps, there while the tests of the suite run. */
export function withTaps(): TestNetwork {
  const name = `runnc-taps-${process.pid}`;
  const enter = ['ip', 'netns', 'exec', name];
  const host = (...command: string[]): string => {
    const [program = '', ...args] = command;
    return execFileSync(program, args, { encoding: 'utf8' });
  };
  const run = (...command: string[]): string => host(...enter, ...command);

  before(() => {
    host('ip', 'netns', 'add', name);
    // Whatever the host's kernel says by itself would be frames that no test asked for.
    run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    for (const tap of TAPS) {
      run('ip', 'tuntap', 'add', 'name', tap.name, 'mode', 'tap');
      run('ip', 'address', 'add', tap.address, 'dev', tap.name);
      run('ip', 'link', 'set', tap.name, 'up');
    }
  });
  after(() => {
    host('ip', 'netns', 'delete', name);
  });

  return {
    namespace: { enter, run },
    ping: async (address, count, bytes) => {
      const [program = '', ...entering] = enter;
      const command = [
        'busybox',
        'ping',
        '-q',
        '-A',
        '-c',
        `${count}`,
        '-W',
        '10',
        '-s',
        `${bytes}`,
        address,
      ];
      await promisify(execFile)(program, [...entering, ...command]);
    },
  };
}

export function describeNetwork(tender: Tender): void {
  describe('network devices', () => {
    const { namespace, ping } = withTaps();
    const within = namespace.enter;
    const options = ['--mem=16', '--net:net=left'];

    it('tell the MTU of the tap and a unicast address of the guest’s own', () => {
      const run = tender.run({ within, options, kernel: unikernel('net') });
      expect(run.stdout.toString()).to.match(/^net: mac [0-9a-f][26ae](:[0-9a-f]{2}){5}, mtu 1500\n$/);
      expect(run.end).to.equal(0);
    });

    it('have the address that --net-mac gives', () => {
      const mac = '02:00:5e:00:53:01';
      const run = tender.run({
        within,
        options: [...options, `--net-mac:net=${mac}`],
        kernel: unikernel('net'),
      });
      expect(run.stdout.toString()).to.equal(`net: mac ${mac}, mtu 1500\n`);
    });

    it('send, receive without waiting, and refuse what they must', () => {
      const run = tender.run({ within, options, kernel: unikernel('net'), args: ['check'] });
      expect({ end: run.end, stdout: run.stdout.toString() }).to.deep.equal({ end: 0, stdout: 'PASS\n' });
    });

    it('carry frames of every size that fits, both ways', async () => {
      const guest = tender.start({ within, options, kernel: unikernel('net'), args: ['ping', '6'] });
      await guest.printed('ready');
      for (const bytes of [0, 1, 56, 777, 1471, 1472]) await ping('10.0.0.2', 1, bytes);
      const { end, stdout } = await guest.ended();
      expect(end).to.equal(0);
      expect(stdout.toString()).to.match(/PASS\n$/);
    });

    it('have the MTU of a tap with large frames, and carry those', async () => {
      namespace.run('ip', 'link', 'set', 'left', 'mtu', '9000');
      try {
        const guest = tender.start({ within, options, kernel: unikernel('net'), args: ['ping', '1'] });
        await guest.printed('ready');
        await ping('10.0.0.2', 1, 8972);
        const { end, stdout } = await guest.ended();
        expect(end).to.equal(0);
        expect(stdout.toString()).to.include('mtu 9000');
      } finally {
        namespace.run('ip', 'link', 'set', 'left', 'mtu', '1500');
      }
    });

    it('are two in a guest that declares two, each on its own wire', async () => {
      const guest = tender.start({
        within,
        options: ['--mem=16', '--net:right=right', '--net:left=left'],
        kernel: unikernel('net2'),
        args: ['3'],
      });
      await guest.printed('ready');
      await ping('10.0.0.2', 3, 56);
      await ping('10.1.0.2', 3, 56);
      const { end, stdout } = await guest.ended();
      expect(end).to.equal(0);
      expect(stdout.toString()).to.match(/PASS\n$/);
    });
  });
}
