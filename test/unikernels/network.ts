/** The network probes, on taps in a network namespace of their own. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { type Tender, unikernel } from './guest.ts';

/** Host address of each tap; the guest is .2 of the same network. */
const TAPS = [
  { name: 'left', address: '10.0.0.1/24' },
  { name: 'right', address: '10.1.0.1/24' },
] as const;

export function describeNetwork(tender: Tender): void {
  describe('network devices', () => {
    const namespace = `runnc-test-${process.pid}`;
    const within = ['ip', 'netns', 'exec', namespace];
    const host = (...command: string[]): string => {
      const [program = '', ...args] = command;
      return execFileSync(program, args, { encoding: 'utf8' });
    };
    const inside = (...command: string[]): string => host(...within, ...command);

    before(() => {
      host('ip', 'netns', 'add', namespace);
      // Whatever the host's kernel says by itself would be frames that no test asked for.
      inside('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
      for (const { name, address } of TAPS) {
        inside('ip', 'tuntap', 'add', 'name', name, 'mode', 'tap');
        inside('ip', 'address', 'add', address, 'dev', name);
        inside('ip', 'link', 'set', name, 'up');
      }
    });
    after(() => {
      host('ip', 'netns', 'delete', namespace);
    });

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

    // -A: the next one as soon as the answer is there.
    const ping = (address: string, count: number, bytes: number): string =>
      inside('busybox', 'ping', '-A', '-c', String(count), '-W', '10', '-s', String(bytes), address);

    it('carry frames of every size that fits, both ways', async () => {
      const guest = tender.start({ within, options, kernel: unikernel('net'), args: ['ping', '6'] });
      await guest.printed('ready');
      for (const bytes of [0, 1, 56, 777, 1471, 1472]) ping('10.0.0.2', 1, bytes);
      const { end, stdout } = await guest.ended();
      expect(end).to.equal(0);
      expect(stdout.toString()).to.match(/PASS\n$/);
    });

    it('have the MTU of a tap with large frames, and carry those', async () => {
      inside('ip', 'link', 'set', 'left', 'mtu', '9000');
      try {
        const guest = tender.start({ within, options, kernel: unikernel('net'), args: ['ping', '1'] });
        await guest.printed('ready');
        ping('10.0.0.2', 1, 8972);
        const { end, stdout } = await guest.ended();
        expect(end).to.equal(0);
        expect(stdout.toString()).to.include('mtu 9000');
      } finally {
        inside('ip', 'link', 'set', 'left', 'mtu', '1500');
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
      ping('10.0.0.2', 3, 56);
      ping('10.1.0.2', 3, 56);
      const { end, stdout } = await guest.ended();
      expect(end).to.equal(0);
      expect(stdout.toString()).to.match(/PASS\n$/);
    });
  });
}
