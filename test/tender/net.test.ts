/** Interfaces and descriptors as network devices. What passes through them is tested with the unikernels. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { abiNote, extrasNote, manifest, manifestNote, net, RESERVED, writeKernel } from './kernel-file.ts';
import { expectRefusal, tender, tenderPath } from './test-guest.ts';

describe('network devices of the tender', () => {
  const folder = scratchFolder();
  const kernel = unikernel('net');
  const namespace = `runnc-tender-${process.pid}`;
  const within = ['netns', 'exec', namespace];
  const withTap = join(folder, 'with-tap');

  before(() => {
    const source = fileURLToPath(new URL('guest/with-tap.c', import.meta.url));
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', withTap, source]);
    execFileSync('ip', ['netns', 'add', namespace]);
    const ip = (...args: string[]): Buffer => execFileSync('ip', [...within, 'ip', ...args]);
    for (const name of ['tapup', 'tapdown']) ip('tuntap', 'add', 'name', name, 'mode', 'tap');
    ip('link', 'set', 'tapup', 'mtu', '9000', 'up');
  });
  after(() => {
    execFileSync('ip', ['netns', 'delete', namespace]);
  });

  const inside = (command: readonly string[]): ReturnType<typeof tender> => {
    const { signal, status, stdout, stderr } = spawnSync('ip', [...within, ...command]);
    return { end: signal ?? status, stdout, stderr: stderr.toString() };
  };
  const run = (...options: string[]): ReturnType<typeof tender> =>
    inside([tenderPath, '--mem=16', ...options, kernel]);
  /** The tender with a tap of these flags as descriptor 3. */
  const onTap = (flags: string, ...options: string[]): ReturnType<typeof tender> =>
    inside([withTap, 'tapup', flags, tenderPath, '--mem=16', ...options, kernel]);

  const LOCAL = /^net: mac [0-9a-f][26ae](:[0-9a-f]{2}){5}, mtu 9000\n$/;

  it('take a tap by its name, with its MTU and an address of their own', () => {
    expect(run('--net:net=tapup').stdout.toString()).to.match(LOCAL);
  });

  it('take a tap by a descriptor, with its MTU and an address of their own', () => {
    const first = onTap('plain', '--net:net=@3');
    expect(first.stdout.toString(), first.stderr).to.match(LOCAL);
    const second = onTap('plain', '--net:net=@3');
    expect(second.stdout.toString()).to.match(LOCAL).and.not.equal(first.stdout.toString());
  });

  it('have the address and the MTU that the options give', () => {
    const options = ['--net-mac:net=02:00:5e:00:53:01', '--net-mtu:net=1400'];
    expect(onTap('plain', '--net:net=@3', ...options).stdout.toString()).to.equal(
      'net: mac 02:00:5e:00:53:01, mtu 1400\n',
    );
  });

  it('with virtio headers are refused to a guest that does not know them', () => {
    expectRefusal(
      onTap('vnet', '--net:net=@3'),
      'was opened with IFF_VNET_HDR, but the guest has not the extra vnet',
    );
  });

  it('with virtio headers are what a guest with the extra vnet gets', () => {
    const vnet = 1 << 4;
    const asks = writeKernel(join(folder, 'vnet.spt'), {
      notes: [abiNote(), manifestNote(manifest([RESERVED, net('net')])), extrasNote({ needed: vnet })],
    });
    const load = (flags: string, source: string): ReturnType<typeof tender> =>
      inside([withTap, 'tapup', flags, tenderPath, '--allow-extras=vnet', `--net:net=${source}`, asks]);
    expect(load('vnet', '@3').end).to.equal(0);
    expectRefusal(load('plain', '@3'), 'was opened without IFF_VNET_HDR, but the guest has the extra vnet');
    expect(inside([tenderPath, '--allow-extras=vnet', '--net:net=tapup', asks]).end).to.equal(0);
  });

  it('that are tun, not tap, are refused', () => {
    expectRefusal(
      inside([withTap, 'tun', 'tun', tenderPath, '--net:net=@3', kernel]),
      '@3 is a tun, not a tap',
    );
  });

  it('that do not exist or are down are refused, and none is made', () => {
    expectRefusal(run('--net:net=absent'), "net device 'net': interface absent: No such device");
    expectRefusal(run('--net:net=tapdown'), 'interface tapdown is down; set it up first');
    expectRefusal(run('--net:net=lo%d'), 'interface lo%d: No such device');
    expectRefusal(run('--net:net=tapup%d'), 'interface tapup%d: No such device');
    const names = execFileSync('ip', [...within, 'ip', '-brief', 'link'], { encoding: 'utf8' });
    expect(
      names
        .trim()
        .split('\n')
        .map((line) => line.split(/\s/)[0])
        .sort(),
    ).to.deep.equal(['lo', 'tapdown', 'tapup']);
  });

  it('that are no names or no taps are refused', () => {
    expectRefusal(run(`--net:net=${'x'.repeat(16)}`), 'is not the name of an interface (1 to 15 bytes)');
    expectRefusal(run('--net:net='), 'is not the name of an interface');
    expectRefusal(tender(['--net:net=lo', kernel]), /lo(: interface lo)? is down|cannot attach to lo/);
    expectRefusal(tender(['--net:net=@3', kernel]), 'descriptor 3 is not open');
    const fd = openSync('/dev/null', 'r+');
    expectRefusal(
      tender(['--net:net=@3', kernel], { stdio: ['ignore', 'pipe', 'pipe', fd] }),
      'is neither a tap nor a socket',
    );
    closeSync(fd);
  });

  for (const mac of [
    '02:00:00:00:00',
    '02:00:00:00:00:01:02',
    '02-00-00-00-00-01',
    '2:0:0:0:0:1',
    '02:00:00:00:00:0g',
    '02:00:00:00:00:+1',
    '',
    '02:00:00:00:00:01 ',
  ])
    it(`with the address "${mac}" are refused`, () => {
      expectRefusal(
        tender(['--net:net=tapup', `--net-mac:net=${mac}`, kernel]),
        'is not a MAC address such as',
      );
    });

  it('with a multicast address are refused', () => {
    expectRefusal(
      tender(['--net:net=tapup', '--net-mac:net=01:00:5e:00:00:01', kernel]),
      'is a multicast address',
    );
  });

  for (const mtu of ['0', '67', '65536', '1500x', '-1500', ''])
    it(`with an MTU of "${mtu}" are refused`, () => {
      expectRefusal(
        tender(['--net:net=tapup', `--net-mtu:net=${mtu}`, kernel]),
        'is not a number from 68 to 65535',
      );
    });
});
