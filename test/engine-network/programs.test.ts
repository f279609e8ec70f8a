/** Servers and clients that people run, over Docker's bridge: data both ways, ends of all kinds, crowds. */
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { succeed } from '../support/command.ts';
import { GATEWAY, IPERF, REDIS, Servers } from './servers.ts';

/** Of test/linux-net/programs/client.py: what, and how many or how much. */
const CONVERSATIONS = [
  ['upload', 20_000_000],
  ['download', 20_000_000],
  ['slow', 2_000_000],
  ['datagrams', 0],
  ['row', 300],
] as const;

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum?: { readonly packets: number; readonly lost_packets: number };
    readonly sum_received?: { readonly bytes: number };
  };
}

describe("programs in docker's networks", function () {
  this.timeout(180_000);
  let servers: Servers;

  before(async () => {
    servers = await Servers.start();
  });
  afterEach(() => servers.removeAll());
  after(() => servers.stop());

  it('python serves files', async () => {
    const argv = ['python3', '-m', 'http.server', '--bind', '::', '--directory', '/www', '8000'];
    const { addresses } = await servers.serve(argv, 'Serving HTTP');
    for (const address of addresses) {
      const url = `http://${address.includes(':') ? `[${address}]` : address}:8000/`;
      expect(await servers.client(['busybox', 'wget', '-q', '-O-', url])).to.equal('from the guest');
    }
  });

  it('megabytes arrive as they were sent, connections end in all ways, and a crowd is held', async () => {
    const { addresses } = await servers.serve(['python3', '/server.py'], 'serving');
    const talk = (what: string, address: string, number: number): Promise<string> =>
      servers.client(Servers.conversation(what, address, number));
    for (const address of addresses) {
      for (const [what, number] of CONVERSATIONS) expect(await talk(what, address, number)).to.equal('well');
    }
    expect(await talk('crowd', addresses[0], 500)).to.equal('well');
  });

  for (const [name, argv] of [
    ["node's http", ['node', '/http.mjs']],
    ["Go's net/http", ['http']],
    ['tornado', ['python3', '/http_tornado.py']],
  ] as const) {
    it(`${name} answers rightly, to many at once too`, async () => {
      const { addresses } = await servers.serve(argv, 'serving');
      for (const address of addresses)
        expect(await servers.client(Servers.httpClient(address))).to.equal('well');
    });
  }

  it('redis keeps what it is given, and redis-benchmark gets through', async () => {
    const { addresses } = await servers.serve(REDIS, 'Ready to accept');
    for (const address of addresses) {
      const redis = (...command: readonly string[]): Promise<string> =>
        servers.client(['redis-cli', '-h', address, ...command]);
      const value = randomBytes(1_000_000).toString('base64');
      expect(
        await servers.client(['redis-cli', '-h', address, '-x', 'SET', 'large'], { input: value }),
      ).to.equal('OK');
      expect((await redis('GET', 'large')) === value, 'the value comes back').to.equal(true);
      for (const options of [
        ['-c', '1', '-n', '500'],
        ['-c', '50', '-n', '5000'],
        ['-c', '200', '-n', '5000'],
        ['-c', '50', '-P', '16', '-n', '20000'],
      ]) {
        const argv = ['redis-benchmark', '-h', address, '-t', 'set,get,incr', '-e', '--csv', ...options];
        expect(await servers.client(argv)).to.match(/^"SET",.*\n"GET",.*\n"INCR",/m);
      }
      // Each increment arrived once.
      expect(await redis('GETDEL', 'counter:__rand_int__')).to.equal('30500');
    }
  });

  it('iperf3 gets through both ways, by TCP and UDP, with several streams', async () => {
    const serving = await servers.serve(IPERF, 'Server listening');
    const ways = [[], ['-R'], ['-P', '8'], ['-u', '-b', '50M'], ['-u', '-R', '-b', '50M']];
    const all = ways.flatMap((options) =>
      serving.addresses.map((address) => ['-J', '-t', '1', '-c', address, ...options]),
    );
    for (const output of await servers.iperf(serving, all)) {
      const report = JSON.parse(output) as IperfReport;
      expect(report.error).to.equal(undefined);
      const { sum, sum_received: received } = report.end;
      // What the other end counted: bytes of TCP, datagrams of UDP.
      expect(received?.bytes ?? (sum?.packets ?? 0) - (sum?.lost_packets ?? 0)).to.be.above(0);
    }
  });

  it('wget and openssl s_client in the guest talk to servers outside', async () => {
    const key = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=outside'];
    await succeed('openssl', ['req', ...key, '-keyout', 'key.pem', '-out', 'cert.pem'], {
      cwd: servers.docker.folder,
    });
    await servers.serveOutside(['python3', '-m', 'http.server', '8000'], 'Serving HTTP');
    const page = await servers.inGuest(['wget', '-q', '-O-', `http://${GATEWAY}:8000/cert.pem`]);
    expect(page.stdout).to.match(/^-----BEGIN CERTIFICATE-----/);
    await servers.serveOutside(
      ['openssl', 's_server', '-accept', '4433', '-cert', 'cert.pem', '-key', 'key.pem', '-www'],
      'ACCEPT',
    );
    const { stderr, stdout } = await servers.inGuest([
      ...['openssl', 's_client', '-connect', `${GATEWAY}:4433`, '-brief'],
    ]);
    expect(stdout + stderr).to.match(/Protocol version: TLSv1\.3/);
  });
});
