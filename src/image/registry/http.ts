/**
 * HTTP for registries, over fetch: redirects that cannot lead inside or carry credentials away, limits on time without
 * progress and on size, and errors in one line.
 */
import { errnoOf, errorMessage, RunncError, shorten } from '../../errors.ts';
import { isLoopbackHost, isPublicHost } from './address.ts';
import { proxyOptions } from './proxy.ts';
import { tlsOptions, type TlsSettings } from './tls.ts';

export interface HttpRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  /** Goes only to the host of the request itself, never to where it is redirected. */
  readonly authorization?: string;
  readonly body?: Uint8Array | string;
}

export interface HttpSettings extends TlsSettings {
  /** How long nothing may come, in milliseconds; default 60 s. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const NOBODY = new Set(['ENOTFOUND', 'ECONNREFUSED', 'ConnectionRefused']);

/** The request failed on the way: worth another try. */
export class TransferError extends RunncError {
  /** Before which it is of no use, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Nobody is there: a second try is worth something only to who was there before. */
  readonly isNobody: boolean;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super('HOST', message, options);
    this.name = 'TransferError';
    this.retryAfterMs = options.retryAfterMs;
    this.isNobody = NOBODY.has(errnoOf(causeOf(options.cause)) ?? '');
  }
}

/** There is no agreement on TLS, or on whom to trust. Another try is of no use. */
export class TlsError extends RunncError {
  constructor(message: string, options: { cause?: unknown }) {
    super('HOST', message, options);
    this.name = 'TlsError';
  }
}

export const DEFAULT_STALL_MS = 60_000;
const MAX_REDIRECTS = 5;
/** A slower line than this, in bytes a second, is taken for a dead one. */
const MIN_UPLOAD_RATE = 32 * 1024;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Where the answer came from. */
  readonly url: URL;
  /** Must be read to its end, or dropped. Throws TransferError. */
  body(): AsyncIterable<Uint8Array>;
  drop(): Promise<void>;
}

/** Throws TransferError, INVALID for a redirect that is not followed. */
export async function send(
  url: URL,
  request: HttpRequest,
  settings: HttpSettings = {},
): Promise<HttpResponse> {
  let target = url;
  let { method = 'GET', body } = request;
  for (let redirects = 0; ; redirects++) {
    const isSameOrigin = target.origin === url.origin;
    const response = await sendOnce(
      target,
      { ...request, method, ...(body === undefined ? {} : { body }) },
      isSameOrigin,
      settings,
    );
    if (!REDIRECTS.has(response.status)) return response;
    const location = response.headers.get('location');
    if (location === null) return response;
    await response.drop();
    if (redirects === MAX_REDIRECTS) {
      throw new RunncError('INVALID', `${url.host}: redirects more than ${String(MAX_REDIRECTS)} times`);
    }
    const next = parseUrl(location, target);
    await checkStep(target, next);
    if (response.status === 303 || (response.status < 307 && method !== 'GET' && method !== 'HEAD')) {
      method = 'GET';
      body = undefined;
    }
    target = next;
  }
}

/**
 * Whether a server may send us on from one URL to another one: not from TLS to without, not from the public Internet to
 * this host or its network. Throws INVALID.
 */
export async function checkStep(from: URL, to: URL): Promise<void> {
  const refuse = (why: string): RunncError =>
    new RunncError('INVALID', `${from.host}: sends on to ${shorten(to.origin)}, ${why}: not followed`);
  if (to.username !== '' || to.password !== '') throw refuse('with a password in it');
  if (to.protocol !== 'https:' && to.protocol !== 'http:') throw refuse('which is no web address');
  if (to.origin === from.origin) return;
  if (to.protocol === 'http:' && from.protocol === 'https:') throw refuse('which is not encrypted');
  if (isLoopbackHost(from.hostname)) {
    // Without TLS only where that was allowed: on this host.
    if (to.protocol === 'http:' && !isLoopbackHost(to.hostname)) throw refuse('which is not encrypted');
    return;
  }
  if (to.protocol === 'http:' && to.hostname !== from.hostname) throw refuse('which is not encrypted');
  if ((await isPublicHost(from.hostname)) && !(await isPublicHost(to.hostname))) {
    throw refuse('an address of this host or its network');
  }
  if (isLoopbackHost(to.hostname)) throw refuse('an address of this host');
}

/** Throws INVALID for what is no URL. */
export function parseUrl(text: string, base?: URL): URL {
  try {
    return new URL(text, base);
  } catch {
    throw new RunncError('INVALID', `${base?.host ?? 'URL'}: ${shorten(text)} is no web address`);
  }
}

async function sendOnce(
  url: URL,
  { method, headers, authorization, body }: HttpRequest,
  withAuthorization: boolean,
  { stallMs = DEFAULT_STALL_MS, signal, ...trust }: HttpSettings,
): Promise<HttpResponse> {
  const tls = tlsOptions(url, trust);
  const patienceMs = stallMs + ((body?.length ?? 0) / MIN_UPLOAD_RATE) * 1000;
  const watch = new Watch(url.host, signal);
  watch.expect(patienceMs);
  try {
    const response = await fetch(url, {
      ...(method === undefined ? {} : { method }),
      headers: {
        'user-agent': 'runnc',
        // Blobs are compressed already, and digests are of what is sent.
        'accept-encoding': 'identity',
        ...headers,
        ...(withAuthorization && authorization !== undefined ? { authorization } : {}),
      },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      signal: watch.signal,
      ...proxyOptions(url),
      ...tls,
    });
    watch.rest();
    return {
      status: response.status,
      headers: response.headers,
      url,
      body: () => readBody(response, watch, stallMs),
      async drop() {
        watch.end();
        await response.body?.cancel().catch(() => undefined);
      },
    };
  } catch (error) {
    watch.end();
    throw watch.explain(error);
  }
}

async function* readBody(response: Response, watch: Watch, stallMs: number): AsyncGenerator<Uint8Array> {
  const stream = response.body as unknown as AsyncIterable<Uint8Array> | null;
  const iterator = stream?.[Symbol.asyncIterator]();
  let isWhole = false;
  try {
    while (iterator !== undefined) {
      watch.expect(stallMs);
      const next = await iterator.next();
      // How long the chunk is being written counts for us, not for the registry.
      watch.rest();
      if (next.done === true) break;
      yield next.value;
    }
    isWhole = true;
  } catch (error) {
    throw watch.explain(error);
  } finally {
    watch.end();
    if (!isWhole) await iterator?.return?.().catch(() => undefined);
  }
}

/** Ends a request that makes no progress. */
class Watch {
  readonly #controller = new AbortController();
  readonly #host: string;
  readonly #outer: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stalledMs: number | undefined;

  constructor(host: string, outer: AbortSignal | undefined) {
    this.#host = host;
    this.#outer = outer;
    outer?.addEventListener('abort', this.#onAbort);
    if (outer?.aborted === true) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly #onAbort = (): void => {
    this.#controller.abort(this.#outer?.reason);
  };

  /** Something must happen within that time. */
  expect(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#stalledMs = ms;
      this.#controller.abort();
    }, ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#onAbort);
  }

  explain(error: unknown): unknown {
    if (this.#outer?.aborted === true) return this.#outer.reason as unknown;
    if (error instanceof RunncError) return error;
    if (this.#stalledMs !== undefined) {
      const seconds = Math.round(this.#stalledMs / 100) / 10;
      return new TransferError(`${this.#host}: nothing came for ${String(seconds)} s`, { cause: error });
    }
    const problem = tlsProblem(this.#host, error);
    if (problem !== undefined) return new TlsError(`${this.#host}: ${problem}`, { cause: error });
    return new TransferError(`${this.#host}: ${reasonOf(error)}`, { cause: error });
  }
}

/** By OpenSSL's names. */
const CERTIFICATE_PROBLEM =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA)/;

function tlsProblem(host: string, error: unknown): string | undefined {
  const cause = causeOf(error);
  const code = errnoOf(cause) ?? '';
  const folder = `/etc/docker/certs.d/${host}`;
  if (CERTIFICATE_PROBLEM.test(code)) {
    return `its certificate is not trusted: ${errorMessage(cause)}: put that of its authority into ${folder}/ca.crt`;
  }
  if (code !== 'EPROTO' && !code.startsWith('ERR_SSL_')) return undefined;
  return `TLS fails: ${errorMessage(cause)}: a client's certificate, if it wants one, is looked for in ${folder}`;
}

/** Node hides the reason behind "fetch failed". */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? error.cause : error;
}
function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  const code = errnoOf(cause);
  const words: Readonly<Record<string, string>> = {
    ENOTFOUND: 'there is no host of that name',
    EAI_AGAIN: 'the name server does not answer',
    ECONNREFUSED: 'nobody listens there',
    ConnectionRefused: 'nobody listens there',
    FailedToOpenSocket: 'the host cannot be reached',
    ECONNRESET: 'the connection broke off',
    UND_ERR_SOCKET: 'the connection broke off',
  };
  return (
    (code === undefined ? undefined : words[code]) ??
    errorMessage(cause).replace(/\. For more information.*/, '')
  );
}

/** A small body as a whole. Throws INVALID beyond the limit. */
export async function readLimited(response: HttpResponse, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body()) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new RunncError(
        'INVALID',
        `${response.url.host}: ${what} is longer than ${String(maxBytes)} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
