/**
 * A guest on a link: a tap in a network namespace of its own, whose kernel is the neighbour. The guest has 10.9.0.2 and
 * fd09::2, the namespace 10.9.0.1 and fd09::1.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { networkRecords } from '../../src/guest/boot-config-network.ts';
import { IPV4, IPV6, SCOPE_GLOBAL } from '../../src/network/guest-network.ts';
import type { Tree } from '../linux-abi/guest.ts';
import { run, type CommandOptions, type CommandResult } from '../support/command.ts';

export const GUEST = '10.9.0.2';
export const GUEST6 = 'fd09::2';
export const NEIGHBOUR = '10.9.0.1';
export const NEIGHBOUR6 = 'fd09::1';
const IFA_F_PERMANENT = 0x80;
const SCOPE_LINK = 253;
const RTPROT_KERNEL = 2;

let links = 0;

/** A program in the guest. */
export class Guest {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';

  constructor(process: ChildProcess) {
    this.process = process;
    process.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString('latin1')));
    process.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString('latin1')));
  }

  /** Waits until it has printed `text`; rejects if it ends before. */
  says(text: string): Promise<void> {
    const { process: child } = this;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (`${this.stdout}${this.stderr}`.includes(text)) resolve();
      };
      child.stdout?.on('data', look);
      child.stderr?.on('data', look);
      child.once('close', () => reject(new Error(`it ended: ${this.stdout}${this.stderr}`)));
      look();
    });
  }

  async end(): Promise<number> {
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'close');
    return this.process.exitCode ?? 128;
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.end();
  }
}

export class Link {
  readonly namespace = `runnc-net-${process.pid}-${links++}`;
  readonly mtu: number;

  constructor(mtu = 1500) {
    this.mtu = mtu;
    execFileSync('ip', ['netns', 'add', this.namespace]);
    this.ip('link', 'set', 'lo', 'up');
    this.ip('tuntap', 'add', 'tap0', 'mode', 'tap');
    this.ip('link', 'set', 'tap0', 'mtu', String(mtu), 'txqueuelen', '10000', 'up');
    this.ip('addr', 'add', `${NEIGHBOUR}/24`, 'dev', 'tap0');
    // IPv6 wants 1280 bytes.
    if (mtu >= 1280) this.ip('addr', 'add', `${NEIGHBOUR6}/64`, 'dev', 'tap0', 'nodad');
  }

  ip(...args: readonly string[]): void {
    execFileSync('ip', ['-n', this.namespace, ...args]);
  }

  remove(): void {
    execFileSync('ip', ['netns', 'del', this.namespace]);
  }

  /** A program of this machine, in the namespace. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run('ip', ['netns', 'exec', this.namespace, ...args], options);
  }

  spawn(args: readonly string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.namespace, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  boot(tree: Tree, argv: readonly string[]): Guest {
    const hex = (text: string): Buffer => Buffer.from(text, 'hex');
    const route = { onlink: false, metric: 0, mtu: 0, protocol: RTPROT_KERNEL };
    const address = { flags: IFA_F_PERMANENT, scope: SCOPE_GLOBAL };
    const network = networkRecords([
      {
        index: 2,
        mtu: this.mtu,
        mac: hex('020900000002'),
        name: 'eth0',
        addresses: [
          {
            ...address,
            family: IPV4,
            prefixLength: 24,
            address: hex('0a090002'),
            broadcast: hex('0a0900ff'),
          },
          {
            ...address,
            family: IPV6,
            prefixLength: 64,
            address: hex('fd090000000000000000000000000002'),
          },
        ],
        routes: [
          { ...route, family: IPV4, prefixLength: 24, scope: SCOPE_LINK, destination: hex('0a090000') },
          {
            ...route,
            family: IPV4,
            prefixLength: 0,
            scope: SCOPE_GLOBAL,
            destination: hex('00000000'),
            gateway: { family: IPV4, address: hex('0a090001') },
          },
          {
            ...route,
            family: IPV6,
            prefixLength: 64,
            scope: SCOPE_GLOBAL,
            destination: hex('fd090000000000000000000000000000'),
          },
        ],
        neighbours: [],
      },
    ]);
    const command = tree.guestCommand(argv, { tender: ['--vnet=tap0'], network });
    return new Guest(this.spawn(command));
  }
}
