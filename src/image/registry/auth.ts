/** How a registry wants to know who asks: Basic, or a token from the server it names (distribution's auth/token). */
import { RunncError, shorten } from '../../errors.ts';
import type { Credentials } from './credentials.ts';
import { checkStep, type HttpSettings, parseUrl, readLimited, send } from './http.ts';

/** Asked for once for each registry, and only if it wants to know. */
export type FindCredentials = () => Promise<Credentials | undefined>;

const MAX_TOKEN_BYTES = 1024 * 1024;

export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly realm?: string;
  readonly service?: string;
  readonly scope?: string;
}

/** WWW-Authenticate; undefined if there is none that is known. */
export function parseChallenge(header: string): Challenge | undefined {
  const [, scheme = '', rest = ''] = /^\s*(basic|bearer)\s*(.*)$/is.exec(header) ?? [];
  if (scheme === '') return undefined;
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of rest.matchAll(
    /([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi,
  )) {
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  const pick = (name: 'realm' | 'service' | 'scope'): object => {
    const value = parameters.get(name);
    return value === undefined ? {} : { [name]: value };
  };
  return {
    scheme: scheme.toLowerCase() === 'basic' ? 'basic' : 'bearer',
    ...pick('realm'),
    ...pick('service'),
    ...pick('scope'),
  };
}

export class Authorizer {
  readonly #find: FindCredentials;
  readonly #settings: HttpSettings;
  /** By scope; "" for Basic, which has none. */
  readonly #headers = new Map<string, string>();
  #credentials: Promise<Credentials | undefined> | undefined;

  constructor(find: FindCredentials, settings: HttpSettings) {
    this.#find = find;
    this.#settings = settings;
  }

  /** What is known already for this scope. */
  header(scope: string): string | undefined {
    return this.#headers.get(scope) ?? this.#headers.get('');
  }

  /**
   * A header for another try; undefined if there is nothing more to say than what was said. Throws INVALID for a challenge
   * that makes no sense or leads inside.
   */
  async answer(
    registry: URL,
    header: string,
    scope: string,
    refused: string | undefined,
  ): Promise<string | undefined> {
    const challenge = parseChallenge(header);
    if (challenge === undefined) return undefined;
    this.#credentials ??= this.#find();
    const credentials = await this.#credentials;
    if (challenge.scheme === 'basic') {
      if (credentials?.type !== 'password') return undefined;
      const answer = basic(credentials);
      if (answer === refused) return undefined;
      this.#headers.set('', answer);
      return answer;
    }
    const token = await this.#fetchToken(registry, challenge, scope, credentials);
    const answer = `Bearer ${token}`;
    if (answer === refused) return undefined;
    this.#headers.set(scope, answer);
    return answer;
  }

  async #fetchToken(
    registry: URL,
    { realm, service, scope: asked }: Challenge,
    scope: string,
    credentials: Credentials | undefined,
  ): Promise<string> {
    if (realm === undefined)
      throw new RunncError('INVALID', `${registry.host}: asks for a token and says not where from`);
    const url = parseUrl(realm);
    // The server that gives tokens gets the password, as it must: so it is one that the registry may send us to.
    await checkStep(registry, url);
    const scopes = (scope === '' ? (asked ?? '') : scope).split(' ').filter((text) => text !== '');
    const response =
      credentials?.type === 'identity-token'
        ? await this.#postToken(url, service, scopes, credentials.token)
        : await this.#getToken(url, service, scopes, credentials);
    if (response.status !== 200) {
      await response.drop();
      const who =
        credentials === undefined ? 'without credentials' : 'with the credentials of docker config.json';
      throw new RunncError(
        'HOST',
        `${registry.host}: ${url.host} gives no token ${who} (status ${String(response.status)}): see "runnc login ${registry.host}"`,
      );
    }
    return tokenOf(await readLimited(response, MAX_TOKEN_BYTES, 'the token'), url.host);
  }

  #getToken(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    credentials: Extract<Credentials, { readonly type: 'password' }> | undefined,
  ): ReturnType<typeof send> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (credentials !== undefined) url.searchParams.set('account', credentials.username);
    return send(url, credentials === undefined ? {} : { authorization: basic(credentials) }, this.#settings);
  }

  #postToken(
    url: URL,
    service: string | undefined,
    scopes: readonly string[],
    refreshToken: string,
  ): ReturnType<typeof send> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'runnc',
      refresh_token: refreshToken,
      scope: scopes.join(' '),
      ...(service === undefined ? {} : { service }),
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return send(url, { method: 'POST', headers, body: form.toString() }, this.#settings);
  }
}

function basic({ username, password }: Extract<Credentials, { readonly type: 'password' }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function tokenOf(data: Buffer, host: string): string {
  let answer: unknown;
  try {
    answer = JSON.parse(data.toString('utf8'));
  } catch {
    answer = undefined;
  }
  const { token, access_token: accessToken } = (answer ?? {}) as Readonly<Record<string, unknown>>;
  const found = token ?? accessToken;
  if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return found;
  throw new RunncError('INVALID', `${host}: gave no token: ${shorten(data.toString('utf8').slice(0, 40))}`);
}
