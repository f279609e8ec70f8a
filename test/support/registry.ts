/** Debian's docker-registry on loopback, with data and users of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './bundle.ts';

export interface RegistrySettings {
  /** Asked for by Basic. */
  readonly users?: Readonly<Record<string, string>>;
  readonly tls?: RegistryTls;
  /** A server that gives tokens, and the certificate of the key that it signs them with. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
}

/** Files. */
export interface RegistryTls {
  readonly certificate: string;
  readonly key: string;
  /** Clients must show a certificate of this authority. */
  readonly clientAuthority?: string;
}

export class TestRegistry {
  readonly folder: string;
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.folder = folder;
    this.port = port;
    this.#child = child;
  }

  get host(): string {
    return `127.0.0.1:${String(this.port)}`;
  }

  static async start({ users, token, tls }: RegistrySettings = {}): Promise<TestRegistry> {
    const folder = mkdtempSync(join(tmpdir(), 'runnc-registry-'));
    const port = await freePort();
    const config = [
      'version: 0.1',
      'log: { level: warn }',
      `storage: { filesystem: { rootdirectory: ${folder}/data }, delete: { enabled: true } }`,
      `http: { addr: "127.0.0.1:${String(port)}", secret: test${tlsConfig(tls)} }`,
    ];
    if (users !== undefined) {
      const lines = Object.entries(users).map(([name, password]) =>
        execFileSync('htpasswd', ['-nbB', name, password], { encoding: 'utf8' }).trim(),
      );
      writeFileSync(join(folder, 'htpasswd'), `${lines.join('\n')}\n`);
      config.push(`auth: { htpasswd: { realm: test, path: ${folder}/htpasswd } }`);
    }
    if (token !== undefined) {
      writeFileSync(join(folder, 'token.crt'), token.certificate);
      const { realm, service, issuer } = token;
      config.push(
        `auth: { token: { realm: "${realm}", service: ${service}, issuer: ${issuer}, rootcertbundle: ${folder}/token.crt } }`,
      );
    }
    writeFileSync(join(folder, 'config.yml'), config.join('\n'));
    const log = openSync(join(folder, 'log'), 'a');
    // Should the tests be killed, it is to end too.
    const args = ['--pdeathsig', 'TERM', 'docker-registry', 'serve', join(folder, 'config.yml')];
    const child = spawn('setpriv', args, { stdio: ['ignore', log, log] });
    closeSync(log);
    const registry = new TestRegistry(folder, port, child);
    await until(() => {
      if (child.exitCode !== null) throw new Error(readFileSync(join(folder, 'log'), 'utf8'));
      return accepts(port);
    }, 'the registry listens');
    return registry;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function tlsConfig(tls: RegistryTls | undefined): string {
  if (tls === undefined) return '';
  const clients = tls.clientAuthority === undefined ? '' : `, clientcas: [ ${tls.clientAuthority} ]`;
  return `, tls: { certificate: ${tls.certificate}, key: ${tls.key}${clients} }`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
