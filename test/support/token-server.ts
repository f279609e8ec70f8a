/** A server that gives tokens for a registry, as distribution's auth/token and auth/oauth describe. */
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class TokenServer {
  readonly service = 'test-registry';
  readonly issuer = 'test-issuer';
  readonly certificate: string;
  /** "user scope scope", in the order of asking. */
  readonly asked: string[] = [];
  readonly #users: Readonly<Record<string, string>>;
  readonly #key: KeyObject;
  readonly #server: Server;

  private constructor(users: Readonly<Record<string, string>>) {
    this.#users = users;
    const folder = mkdtempSync(join(tmpdir(), 'runnc-token-'));
    const files = [join(folder, 'key.pem'), join(folder, 'cert.pem')] as const;
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test', '-days', '2'];
    execFileSync('openssl', [...request, '-keyout', files[0], '-out', files[1]], { stdio: 'ignore' });
    this.#key = createPrivateKey(readFileSync(files[0]));
    this.certificate = readFileSync(files[1], 'utf8');
    rmSync(folder, { recursive: true });
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  }

  static async start(users: Readonly<Record<string, string>>): Promise<TokenServer> {
    const server = new TokenServer(users);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get realm(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `http://127.0.0.1:${String(address.port)}/token`;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: object }> {
    let query = new URL(request.url ?? '', this.realm).searchParams;
    let user: string | undefined;
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      query = new URLSearchParams(text);
      user = /^refresh-(\w+)$/.exec(query.get('refresh_token') ?? '')?.[1];
    } else {
      const [, encoded = ''] = /^Basic (.*)$/.exec(request.headers.authorization ?? '') ?? [];
      const [name = '', password] = Buffer.from(encoded, 'base64').toString().split(':');
      if (this.#users[name] === password) user = name;
    }
    if (user === undefined || this.#users[user] === undefined) return { status: 401, body: {} };
    const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '));
    this.asked.push([user, ...scopes].join(' '));
    return {
      status: 200,
      body: { [request.method === 'POST' ? 'access_token' : 'token']: this.#token(user, scopes) },
    };
  }

  #token(user: string, scopes: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => {
      const [type, name, actions = ''] = scope.split(':');
      return { type, name, actions: actions.split(',') };
    });
    const claims = {
      iss: this.issuer,
      sub: user,
      aud: this.service,
      exp: now + 300,
      nbf: now - 10,
      iat: now,
      jti: 'x',
      access,
    };
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const content = `${encode({ typ: 'JWT', alg: 'RS256', kid: keyId(this.#key) })}.${encode(claims)}`;
    return `${content}.${sign('RSA-SHA256', Buffer.from(content), this.#key).toString('base64url')}`;
  }
}

/** As libtrust makes it: groups of base32 of a hash of the public key. */
function keyId(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const hash = createHash('sha256').update(der).digest().subarray(0, 30);
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const byte of hash) bits += byte.toString(2).padStart(8, '0');
  const text = (bits.match(/.{5}/g) ?? []).map((five) => ALPHABET[parseInt(five, 2)] ?? '').join('');
  return (text.match(/.{4}/g) ?? []).join(':');
}
