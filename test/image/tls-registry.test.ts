/** Registries with TLS: whom the installed program trusts, and whom not. */
import { once } from 'node:events';
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { hostCertificates } from '../../src/image/registry/tls.ts';
import { Playground, type Result } from '../support/bundle.ts';
import { Authority, type KeyPair } from '../support/certificates.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { TestRegistry } from '../support/registry.ts';

/** A name of no host: a proxy leads to the registry of the tests. */
const FAR = 'registry.example';
const USER = 1000;

describe('a registry with TLS', function () {
  this.timeout(120_000);
  const host = new Playground();
  let authority: Authority;
  let stranger: Authority;
  let client: KeyPair;
  let registry: TestRegistry;
  let strict: TestRegistry;
  let proxy: Server;

  before(async () => {
    authority = new Authority(host.folder, 'authority');
    stranger = new Authority(host.folder, 'stranger');
    const server = authority.issue('server', [`DNS:${FAR}`, 'DNS:localhost', 'IP:127.0.0.1']);
    client = authority.issue('client');
    registry = await TestRegistry.start({ tls: server, users: { ada: 's3cret' } });
    strict = await TestRegistry.start({ tls: { ...server, clientAuthority: authority.certificate } });
    proxy = createServer().on('connect', (_request, socket, head) => {
      const far = connect(registry.port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        far.write(head);
        socket.pipe(far).pipe(socket);
      });
      for (const end of [socket, far]) end.on('error', () => [socket, far].forEach((one) => one.destroy()));
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
  });
  after(async () => {
    proxy.close();
    proxy.closeAllConnections();
    await registry.stop();
    await strict.stop();
    await host.close();
  });

  /** A user with an image, logged in, who has put these files (name → content of) where docker's certificates are. */
  async function user(
    registryHost: string,
    certificates: Readonly<Record<string, string>> = {},
  ): Promise<(...args: readonly string[]) => Promise<Result>> {
    const home = mkdtempSync(join(host.folder, 'home-'));
    const folder = join(home, '.config/docker/certs.d', registryHost);
    const config = JSON.stringify({
      auths: { [registryHost]: { auth: Buffer.from('ada:s3cret').toString('base64') } },
    });
    mkdirSync(join(home, '.docker'));
    writeFileSync(join(home, '.docker/config.json'), config);
    if (Object.keys(certificates).length > 0) mkdirSync(folder, { recursive: true });
    for (const [name, file] of Object.entries(certificates)) {
      copyFileSync(file, join(folder, name));
      chownSync(join(folder, name), USER, USER);
    }
    chownSync(home, USER, USER);
    const archive = join(home, 'linux.tar');
    await writeLinuxArchive(archive, { name: `${registryHost}/team/linux:1` });
    const { port } = proxy.address() as AddressInfo;
    const call = (...args: readonly string[]): Promise<Result> =>
      host.runnc(['--root', join(home, 'state'), ...args], {
        uid: USER,
        gid: USER,
        env: {
          PATH: process.env['PATH'],
          HOME: home,
          XDG_RUNTIME_DIR: home,
          HTTPS_PROXY: `http://127.0.0.1:${String(port)}`,
        },
      });
    expect((await call('load', '-q', '-i', archive)).status).to.equal(0);
    rmSync(archive);
    return call;
  }

  /** Pushed, removed and pulled again: the same digest. */
  async function expectRoundTrip(
    call: (...args: readonly string[]) => Promise<Result>,
    registryHost: string,
    ...flags: readonly string[]
  ): Promise<void> {
    const name = `${registryHost}/team/linux:1`;
    const pushed = await call('push', ...flags, name);
    expect(pushed.status, pushed.stderr).to.equal(0);
    expect((await call('rmi', name)).status).to.equal(0);
    const pulled = await call('pull', ...flags, name);
    expect([pulled.stderr, pulled.stdout]).to.deep.equal(['', pushed.stdout.replace('Pushed', 'Pulled')]);
  }

  async function expectRefusal(result: Promise<Result>, message: RegExp): Promise<void> {
    const { status, stderr } = await result;
    expect(stderr).to.match(message);
    expect([status, stderr.trim().includes('\n')]).to.deep.equal([1, false]);
  }

  const NOT_TRUSTED =
    /^registry\.example: its certificate is not trusted: .*: put that of its authority into \/etc\/docker\/certs\.d\/registry\.example\/ca\.crt$/m;

  it('that nobody vouches for is refused, and so is a push to it', async () => {
    const call = await user(FAR);
    await expectRefusal(call('pull', `${FAR}/team/linux:1`), NOT_TRUSTED);
    await expectRefusal(call('push', `${FAR}/team/linux:1`), NOT_TRUSTED);
  });

  it('is spoken to if its authority is in certs.d', async () => {
    await expectRoundTrip(await user(FAR, { 'ca.crt': authority.certificate }), FAR);
  });

  it('is refused if another authority is there, --insecure or not', async () => {
    const call = await user(FAR, { 'ca.crt': stranger.certificate });
    await expectRefusal(call('pull', `${FAR}/team/linux:1`), NOT_TRUSTED);
    await expectRefusal(call('pull', '--insecure', `${FAR}/team/linux:1`), NOT_TRUSTED);
  });

  it('is spoken to with --insecure, whatever its certificate', async () => {
    await expectRoundTrip(await user(FAR), FAR, '--insecure');
  });

  it('on this host is spoken to whatever its certificate, unless certs.d says whom to trust', async () => {
    for (const name of [registry.host, `localhost:${String(registry.port)}`]) {
      await expectRoundTrip(await user(name), name);
    }
    await expectRoundTrip(await user(registry.host, { 'x.crt': authority.certificate }), registry.host);
    const call = await user(registry.host, { 'x.crt': stranger.certificate });
    await expectRefusal(call('pull', `${registry.host}/team/linux:1`), /: its certificate is not trusted: /);
  });

  it('is shown who we are if it wants to know', async () => {
    const own = {
      'ca.crt': authority.certificate,
      'client.cert': client.certificate,
      'client.key': client.key,
    };
    await expectRoundTrip(await user(strict.host, own), strict.host);
    const unknown = await user(strict.host, { 'ca.crt': authority.certificate });
    await expectRefusal(
      unknown('pull', `${strict.host}/team/linux:1`),
      /^127\.0\.0\.1:\d+: TLS fails: .*: a client's certificate, if it wants one, is looked for in /,
    );
  });

  it('is spoken to if the system trusts its authority', async () => {
    const env = {
      ...process.env,
      HTTPS_PROXY: `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}`,
      DOCKER_CONFIG: join(host.folder, 'docker'),
    };
    mkdirSync(join(host.folder, 'docker'));
    const login = (file: string): Promise<Result> =>
      host.runnc(['login', '-u', 'ada', '--password-stdin', FAR], {
        env: { ...env, SSL_CERT_FILE: file },
        input: 's3cret\n',
      });
    await expectRefusal(login(stranger.certificate), NOT_TRUSTED);
    expect((await login(authority.certificate)).stdout).to.equal('Login succeeded\n');
  });

  it('has a folder in certs.d whose mistakes are told in one line', () => {
    const folder = mkdtempSync(join(host.folder, 'certs-'));
    mkdirSync(join(folder, 'a.example:5000'));
    const read = (name: string): unknown => hostCertificates(name, [join(folder, 'none'), folder]);
    expect(read('b.example')).to.equal(undefined);
    expect(read('..')).to.equal(undefined);
    expect(read('a.example:5000')).to.deep.equal({ authorities: [] });
    writeFileSync(join(folder, 'a.example:5000/x.cert'), 'certificate');
    expect(() => read('a.example:5000')).to.throw(/a\.example:5000: there is x\.cert, but no x\.key$/);
    writeFileSync(join(folder, 'a.example:5000/x.key'), 'key');
    writeFileSync(join(folder, 'a.example:5000/ca.crt'), 'authority');
    expect(read('a.example:5000')).to.deep.equal({
      authorities: ['authority'],
      client: { cert: 'certificate', key: 'key' },
    });
    mkdirSync(join(folder, 'a.example:5000/folder.crt'));
    expect(() => read('a.example:5000')).to.throw(/certificates cannot be read: /);
  });
});
