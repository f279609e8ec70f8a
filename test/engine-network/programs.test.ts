/** Servers and clients that people run, over Docker's bridge: data both ways, ends of all kinds, crowds. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type CommandResult, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { follow } from '../support/follow.ts';
import { addNamespace, within } from '../support/network.ts';

const IMAGE = 'programs:latest';
const GATEWAY = '172.30.0.1';
const PROGRAMS = resolve(import.meta.dirname, '../linux-net/programs');
const PYTHON = '/usr/bin/python3.11';
/** Of test/linux-net/programs/client.py: what, and how many or how much. */
const CONVERSATIONS = [
  ['upload', 20_000_000],
  ['download', 20_000_000],
  ['datagrams', 0],
  ['row', 300],
] as const;

describe("programs in docker's networks", function () {
  this.timeout(180_000);
  const host = `runnc-docker-programs-${String(process.pid)}`;
  let docker: Dockerd;
  const servers: ChildProcess[] = [];

  before(async () => {
    await addNamespace(host);
    docker = await Dockerd.start({
      network: {
        namespace: host,
        options: ['--bip=172.30.0.1/24', '--ipv6', '--fixed-cidr-v6=fd00:d0c::/64'],
      },
    });
    const rootfs = new Rootfs();
    try {
      rootfs.addPython();
      rootfs.add('/usr/bin/openssl', '/usr/bin/wget');
      copyFileSync(join(PROGRAMS, 'server.py'), rootfs.path('/server.py'));
      rootfs.write('/www/index.html', 'from the guest\n');
      const tar = join(docker.folder, 'programs.tar');
      await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
      await docker.docker('import', '--change=ENV PATH=/usr/bin', tar, IMAGE);
      rmSync(tar);
    } finally {
      rootfs.remove();
    }
  });

  afterEach(async () => {
    for (const server of servers.splice(0)) server.kill();
    await docker.removeAll();
  });

  after(async () => {
    await docker.stop();
    await succeed('ip', ['netns', 'delete', host]);
  });

  /** A server in a guest, by its addresses. */
  const serve = async (argv: readonly string[], ready: string): Promise<readonly [string, string]> => {
    const id = await docker.docker('run', '-d', '--env=PYTHONUNBUFFERED=1', IMAGE, ...argv);
    await follow('docker', [...docker.client, 'logs', '--follow', id], ready);
    return [
      await docker.inspect(id, '.NetworkSettings.IPAddress'),
      await docker.inspect(id, '.NetworkSettings.GlobalIPv6Address'),
    ];
  };
  /** A server of the host's, in its namespace. */
  const serveOutside = async (argv: readonly string[], ready: string): Promise<void> => {
    const server = spawn('nsenter', [`--net=/run/netns/${host}`, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: docker.folder,
      env: { ...process.env, PYTHONUNBUFFERED: '1' },
    });
    servers.push(server);
    let all = '';
    for (const stream of [server.stdout, server.stderr])
      stream.on('data', (data: Buffer) => (all += String(data)));
    while (!all.includes(ready)) await once(server.stdout, 'data');
  };
  const guest = (...argv: readonly string[]): Promise<CommandResult> =>
    docker.try(['run', '--rm', IMAGE, ...argv]);

  it('python serves files', async () => {
    const argv = ['python3', '-m', 'http.server', '--bind', '::', '--directory', '/www', '8000'];
    const addresses = await serve(argv, 'Serving HTTP');
    for (const address of addresses) {
      const url = `http://${address.includes(':') ? `[${address}]` : address}:8000/`;
      expect(await within(host, 'busybox', 'wget', '-q', '-O-', url)).to.equal('from the guest');
    }
  });

  it('megabytes arrive as they were sent, connections end in all ways, and a crowd is held', async () => {
    const addresses = await serve(['python3', '/server.py'], 'serving');
    const client = (what: string, address: string, number: number): Promise<string> =>
      within(host, PYTHON, join(PROGRAMS, 'client.py'), what, address, String(number));
    for (const address of addresses) {
      for (const [what, number] of CONVERSATIONS)
        expect(await client(what, address, number)).to.equal('well');
    }
    const [address] = addresses;
    expect(await client('crowd', address, 500)).to.equal('well');
  });

  it('wget and openssl s_client in the guest talk to servers outside', async () => {
    const key = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=outside'];
    await succeed('openssl', ['req', ...key, '-keyout', 'key.pem', '-out', 'cert.pem'], {
      cwd: docker.folder,
    });
    await serveOutside(['python3', '-m', 'http.server', '8000'], 'Serving HTTP');
    const page = await guest('wget', '-q', '-O-', `http://${GATEWAY}:8000/cert.pem`);
    expect(page.stdout).to.match(/^-----BEGIN CERTIFICATE-----/);
    await serveOutside(
      ['openssl', 's_server', '-accept', '4433', '-cert', 'cert.pem', '-key', 'key.pem', '-www'],
      'ACCEPT',
    );
    const connect = ['s_client', '-connect', `${GATEWAY}:4433`, '-brief'];
    const { stderr, stdout } = await guest('openssl', ...connect);
    expect(stdout + stderr).to.match(/Protocol version: TLSv1\.3/);
  });
});
