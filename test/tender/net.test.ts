/** Interfaces and descriptors as network devices. What passes through them is tested with the unikernels. */
import { expect } from 'chai';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { scratchFolder, unikernel } from '../unikernels/guest.ts';
import { buildExtrasGuest, expectRefusal, tender, tenderPath } from './test-guest.ts';

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

  it('of the manifest with virtio headers are refused', () => {
    expectRefusal(onTap('vnet', '--net:net=@3'), '@3 was opened with IFF_VNET_HDR');
  });

  describe('of the extra vnet', () => {
    const extras = ['--allow-extras=vnet,stdio'];
    let guest: string;
    before(() => {
      guest = buildExtrasGuest(folder);
      for (const name of ['vneta', 'vnetb']) {
        execFileSync('ip', [...within, 'ip', 'tuntap', 'add', 'name', name, 'mode', 'tap', 'vnet_hdr']);
        execFileSync('ip', [...within, 'ip', 'link', 'set', name, 'up']);
      }
    });
    after(() => {
      for (const name of ['vneta', 'vnetb']) execFileSync('ip', [...within, 'ip', 'link', 'delete', name]);
    });

    it('carry frames behind a virtio header, each tap its own', async () => {
      const options = [...extras, '--vnet=vneta', '--vnet=vnetb', guest, 'vnet'];
      const child = spawn('ip', [...within, tenderPath, '--mem=64', ...options], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const printed = text(child.stdout);
      // The kernel asks for the neighbour as long as the guest has not seen it.
      const asking = ['vneta', 'vnetb'].map((name, i) => {
        const address = `10.9.${String(i)}.1/24`;
        execFileSync('ip', [...within, 'ip', 'address', 'add', address, 'dev', name]);
        return spawn('ip', [...within, 'busybox', 'ping', '-q', `10.9.${String(i)}.2`], { stdio: 'ignore' });
      });
      const frame = ['size=52', 'flags=0', 'written=52'];
      expect((await printed).trim().split('\n')).to.deep.equal(['vnet_count=2', ...frame, ...frame]);
      for (const ping of asking) ping.kill();
    });

    it('have only those two calls, pinned to each', () => {
      const filter = inside([tenderPath, '--seccomp-dump', ...extras, '--vnet=vneta', '--vnet=vnetb', guest]);
      const rules = filter.stdout.toString().match(/^allow.*# interface$/gm) ?? [];
      expect(rules.map((rule) => rule.replace(/fd = \d+/, 'fd = N'))).to.deep.equal(
        ['read', 'write', 'read', 'write'].map((call) => `allow  ${call}(fd = N)  # interface`),
      );
      expect(new Set(rules).size).to.equal(4);
    });

    it('are refused without virtio headers, and to a guest that may not have them', () => {
      const on = (flags: string, ...options: string[]): ReturnType<typeof tender> =>
        inside([withTap, 'vneta', flags, tenderPath, '--mem=64', ...options, '--vnet=@3', guest, 'info']);
      expect(on('vnet', ...extras).end).to.equal(0);
      expectRefusal(on('vnet'), '--vnet: ');
      expectRefusal(
        inside([withTap, 'tapup', 'plain', tenderPath, ...extras, '--vnet=@3', guest]),
        ['--vnet=@3: @3 was opened without IFF_VNET_HDR'].join(''),
      );
      expectRefusal(
        tender([...extras, ...Array<string>(17).fill('--vnet=@3'), guest]),
        '--vnet: more than 16 interfaces',
      );
    });
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
