/** One repository of a registry, by the distribution specification. */
import { delay } from '../../delay.ts';
import { RunncError, shorten } from '../../errors.ts';
import type { BlobSource } from '../copy.ts';
import { type Descriptor, isIndex, isManifest, MAX_MANIFEST_BYTES, mediaTypes } from '../descriptor.ts';
import { digestOf, isDigest } from '../digest.ts';
import { DEFAULT_REGISTRY, formatReference, type Reference } from '../reference.ts';
import { isLoopbackHost } from './address.ts';
import { Authorizer, type FindCredentials } from './auth.ts';
import { findCredentials } from './credentials.ts';
import {
  TlsError,
  checkStep,
  type HttpRequest,
  type HttpResponse,
  type HttpSettings,
  parseUrl,
  readLimited,
  send,
  TransferError,
} from './http.ts';
import { hostCertificates } from './tls.ts';

export interface RegistryOptions extends HttpSettings {
  /** Any certificate will do, and plain HTTP where there is no TLS; so for this host's own registries always. */
  readonly insecure?: boolean;
  /** Default: docker's config.json. */
  readonly findCredentials?: FindCredentials;
  /** Default 500 ms; doubled with each try. */
  readonly retryDelayMs?: number;
}

const TRIES = 5;
const RETRY_DELAY_MS = 500;
const MAX_RETRY_DELAY_MS = 30_000;
const MAX_ERROR_BYTES = 64 * 1024;
const CHUNK_BYTES = 4 * 2 ** 20;
/** What a registry may want a piece of an upload to have at least. */
const MAX_MIN_CHUNK_BYTES = 64 * 2 ** 20;
/** Worth another try; 429 and 503 say when. */
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

const ACCEPT = [
  mediaTypes.index,
  mediaTypes.manifest,
  mediaTypes.dockerIndex,
  mediaTypes.dockerManifest,
].join(', ');

export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly data: Buffer;
}

export class Repository implements BlobSource {
  /** As users know it. */
  readonly name: string;
  readonly #base: URL;
  readonly #path: string;
  readonly #scope: string;
  readonly #authorizer: Authorizer;
  readonly #options: RegistryOptions;

  private constructor(
    base: URL,
    { registry, repository }: Reference,
    access: 'pull' | 'pull,push',
    authorizer: Authorizer,
    options: RegistryOptions,
  ) {
    this.name = `${registry}/${repository}`;
    this.#base = base;
    this.#path = repository;
    this.#scope = `repository:${repository}:${access}`;
    this.#authorizer = authorizer;
    this.#options = options;
  }

  /** Finds out how the registry is spoken to. Throws HOST if it cannot be reached. */
  static async connect(
    reference: Reference,
    access: 'pull' | 'pull,push',
    options: RegistryOptions = {},
  ): Promise<Repository> {
    const { registry } = reference;
    const find = options.findCredentials ?? (() => findCredentials(registry));
    const { base, settings } = await findBase(registry, options);
    return new Repository(base, reference, access, new Authorizer(find, settings), settings);
  }

  /** Whether the registry takes these credentials; throws HOST if not. For `login`. */
  async check(): Promise<void> {
    const response = await this.#request(new URL('/v2/', this.#base), {}, '');
    if (response.status !== 200) throw await this.#failure(response, 'login');
    await response.drop();
  }

  /** A manifest or index by tag or digest. Throws NOT_FOUND, INVALID, HOST. */
  async getManifest(tagOrDigest: string): Promise<FetchedManifest> {
    return this.#retried(async () => {
      const response = await this.#request(this.#url(`manifests/${tagOrDigest}`), {
        headers: { accept: ACCEPT },
      });
      if (response.status !== 200) throw await this.#failure(response, `manifest ${tagOrDigest}`);
      const data = await readLimited(response, MAX_MANIFEST_BYTES, `manifest ${tagOrDigest}`);
      const digest = digestOf(data);
      const said = isDigest(tagOrDigest) ? tagOrDigest : response.headers.get('docker-content-digest');
      if (said !== null && said !== digest) {
        throw new RunncError(
          'INVALID',
          `${this.name}: manifest ${shorten(said)} has another digest, ${digest}`,
        );
      }
      const mediaType = manifestType(data, response.headers.get('content-type'), this.name);
      return { descriptor: { mediaType, digest, size: data.length }, data };
    });
  }

  async *manifest({ digest, mediaType }: Descriptor): AsyncGenerator<Uint8Array> {
    const { descriptor, data } = await this.getManifest(digest);
    if (descriptor.mediaType !== mediaType) {
      throw new RunncError(
        'INVALID',
        `${this.name}: manifest ${digest} is ${descriptor.mediaType}, not ${mediaType}`,
      );
    }
    yield data;
  }

  /** Goes on by itself where a connection broke off, as long as that leads further. */
  async *blob(descriptor: Descriptor, offset: number): AsyncGenerator<Uint8Array> {
    let position = offset;
    let tries = 0;
    while (position < descriptor.size || descriptor.size === 0) {
      try {
        for await (const chunk of this.#readBlob(descriptor, position)) {
          position += chunk.length;
          tries = 0;
          yield chunk;
        }
        // What is too short now is so for good, or a proxy cut it off without a word.
        if (position >= descriptor.size) return;
        throw new TransferError(
          `${this.name}: ${descriptor.digest} ends after ${String(position)} of ${String(descriptor.size)} bytes`,
        );
      } catch (error) {
        await this.#pause(error, ++tries);
      }
    }
  }

  /** Whether the blob is there, with that size. */
  async hasBlob({ digest, size }: Descriptor): Promise<boolean> {
    return this.#retried(async () => {
      const response = await this.#request(this.#url(`blobs/${digest}`), { method: 'HEAD' });
      await response.drop();
      if (response.status === 404) return false;
      if (response.status !== 200) throw await this.#failure(response, `blob ${digest}`);
      const length = response.headers.get('content-length');
      return length === null || Number(length) === size;
    });
  }

  /**
   * Puts a blob there: taken over from another repository of the registry if it has it, or uploaded. `read` gives the bytes
   * from an offset on.
   */
  async putBlob(
    descriptor: Descriptor,
    read: (offset: number) => AsyncIterable<Uint8Array>,
    { from, onProgress }: { from?: string | undefined; onProgress?: (doneBytes: number) => void } = {},
  ): Promise<'mounted' | 'uploaded'> {
    let tries = 0;
    for (;;) {
      try {
        const upload = await this.#startUpload(descriptor, tries === 0 ? from : undefined);
        if (upload === undefined) return 'mounted';
        await this.#upload(upload, descriptor, read, onProgress);
        return 'uploaded';
      } catch (error) {
        await this.#pause(error, ++tries);
      }
    }
  }

  async putManifest({ mediaType, digest }: Descriptor, data: Buffer, tagOrDigest: string): Promise<void> {
    await this.#retried(async () => {
      const response = await this.#request(this.#url(`manifests/${tagOrDigest}`), {
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body: data,
      });
      if (response.status !== 201) throw await this.#failure(response, `manifest ${tagOrDigest}`);
      const said = response.headers.get('docker-content-digest');
      await response.drop();
      if (said !== null && said !== digest) {
        throw new RunncError('INVALID', `${this.name}: stored manifest ${digest} as ${shorten(said)}`);
      }
    });
  }

  async *#readBlob({ digest, size }: Descriptor, offset: number): AsyncGenerator<Uint8Array> {
    const headers = offset === 0 ? {} : { range: `bytes=${String(offset)}-` };
    const response = await this.#request(this.#url(`blobs/${digest}`), { headers });
    if (response.status !== 200 && response.status !== 206) {
      throw await this.#failure(response, `blob ${digest}`);
    }
    const start = response.status === 200 ? 0 : rangeStart(response.headers.get('content-range'));
    if (start !== offset && start !== 0) {
      await response.drop();
      throw new RunncError(
        'INVALID',
        `${this.name}: blob ${digest}: answers with another range than asked for`,
      );
    }
    // It does not know ranges: what is here already goes by.
    let skip = offset - start;
    let left = size - offset;
    for await (const chunk of response.body()) {
      const fresh = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - fresh.length;
      if (fresh.length > left) {
        throw new RunncError(
          'INVALID',
          `${this.name}: blob ${digest} is longer than its ${String(size)} bytes`,
        );
      }
      left -= fresh.length;
      if (fresh.length > 0) yield fresh;
    }
  }

  /** undefined: there was nothing to upload. */
  async #startUpload({ digest }: Descriptor, from: string | undefined): Promise<HttpResponse | undefined> {
    const url = this.#url('blobs/uploads/');
    if (from !== undefined) {
      url.searchParams.set('mount', digest);
      url.searchParams.set('from', from);
    }
    const scope = from === undefined ? this.#scope : `${this.#scope} repository:${from}:pull`;
    const response = await this.#request(url, { method: 'POST', headers: { 'content-length': '0' } }, scope);
    await response.drop();
    if (response.status === 201 && from !== undefined) return undefined;
    if (response.status === 202) return response;
    // No right to the other repository must not keep us from uploading.
    if (from !== undefined) return this.#startUpload({ digest, size: 0, mediaType: '' }, undefined);
    throw await this.#failure(response, `upload of ${digest}`);
  }

  async #upload(
    started: HttpResponse,
    { digest, size }: Descriptor,
    read: (offset: number) => AsyncIterable<Uint8Array>,
    onProgress?: (doneBytes: number) => void,
  ): Promise<void> {
    let location = await this.#location(started);
    const chunkBytes = Math.max(CHUNK_BYTES, minChunk(started, this.name));
    let position = 0;
    let tries = 0;
    while (position < size) {
      try {
        for await (const chunk of pieces(read(position), chunkBytes)) {
          location = await this.#patch(location, chunk, position, digest);
          position += chunk.length;
          tries = 0;
          onProgress?.(position);
        }
      } catch (error) {
        await this.#pause(error, ++tries);
        // How far it came only the registry knows.
        const found = await this.#uploadStatus(location);
        if (found === undefined || found.position > size) throw error;
        ({ location, position } = found);
      }
    }
    const url = new URL(location);
    url.searchParams.set('digest', digest);
    const response = await this.#request(url, { method: 'PUT', headers: { 'content-length': '0' } });
    if (response.status !== 201) throw await this.#failure(response, `upload of ${digest}`);
    await response.drop();
  }

  async #patch(location: URL, chunk: Buffer, position: number, digest: string): Promise<URL> {
    const response = await this.#request(location, {
      method: 'PATCH',
      headers: {
        'content-type': 'application/octet-stream',
        'content-range': `${String(position)}-${String(position + chunk.length - 1)}`,
      },
      body: chunk,
    });
    if (response.status !== 202 && response.status !== 201 && response.status !== 204) {
      throw await this.#failure(response, `upload of ${digest}`);
    }
    await response.drop();
    return this.#location(response);
  }

  /** undefined: the registry has forgotten it. */
  async #uploadStatus(location: URL): Promise<{ location: URL; position: number } | undefined> {
    const response = await this.#request(location, {});
    await response.drop();
    if (response.status !== 204) return undefined;
    const end = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get('range') ?? '')?.[1];
    // "0-0" is what an upload without a byte says, and one with a byte: nobody sends single bytes.
    const position = end === undefined || end === '0' ? 0 : Number(end) + 1;
    return { location: await this.#location(response), position };
  }

  async #location(response: HttpResponse): Promise<URL> {
    const text = response.headers.get('location');
    if (text === null) throw new RunncError('INVALID', `${this.name}: says not where to upload to`);
    const location = parseUrl(text, response.url);
    // Behind a proxy that ends TLS, registries take themselves for plain ones.
    if (location.host === this.#base.host) location.protocol = this.#base.protocol;
    await checkStep(this.#base, location);
    return location;
  }

  #url(rest: string): URL {
    return new URL(`/v2/${this.#path}/${rest}`, this.#base);
  }

  /** Says who we are when the registry asks. */
  async #request(url: URL, request: HttpRequest, scope = this.#scope): Promise<HttpResponse> {
    const sendAs = (authorization: string | undefined): Promise<HttpResponse> => {
      // Uploads may go elsewhere; what we are called here is nobody else's business.
      const known = url.origin === this.#base.origin ? authorization : undefined;
      return send(url, known === undefined ? request : { ...request, authorization: known }, this.#options);
    };
    const first = this.#authorizer.header(scope);
    const response = await sendAs(first);
    const challenge = response.headers.get('www-authenticate');
    if (response.status !== 401 || challenge === null || response.url.origin !== this.#base.origin)
      return response;
    const answer = await this.#authorizer.answer(this.#base, challenge, scope, first);
    if (answer === undefined) return response;
    await response.drop();
    return sendAs(answer);
  }

  async #retried<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        await this.#pause(error, tries);
      }
    }
  }

  /** Throws the error if it is of no use to try again. */
  async #pause(error: unknown, tries: number): Promise<void> {
    if (!(error instanceof TransferError) || tries >= TRIES) throw error;
    if (error.isNobody && tries === 1) throw error;
    this.#options.signal?.throwIfAborted();
    const { retryDelayMs = RETRY_DELAY_MS } = this.#options;
    const backOff = retryDelayMs * 2 ** (tries - 1);
    await delay(Math.min(error.retryAfterMs ?? backOff, MAX_RETRY_DELAY_MS));
  }

  /** The error of an answer, which is read for what it says. */
  async #failure(response: HttpResponse, what: string): Promise<RunncError> {
    const { status } = response;
    const said = await readLimited(response, MAX_ERROR_BYTES, 'the error').then(messageOf, () => undefined);
    const why = said === undefined ? `status ${String(status)}` : `${said} (status ${String(status)})`;
    if (status === 401 || status === 403) {
      return new RunncError(
        'HOST',
        `${this.name}: ${what}: not allowed: ${why}: see "runnc login ${this.name.split('/')[0] ?? ''}"`,
      );
    }
    if (status === 404) return new RunncError('NOT_FOUND', `${this.name}: ${what} does not exist: ${why}`);
    if (!RETRIED.has(status)) return new RunncError('HOST', `${this.name}: ${what}: ${why}`);
    const seconds = Number(response.headers.get('retry-after') ?? NaN);
    return new TransferError(`${this.name}: ${what}: ${why}`, {
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
    });
  }
}

interface Door {
  readonly base: URL;
  readonly settings: RegistryOptions;
}

/**
 * With TLS. Where it is allowed (docker's rule: this host, and what is said to be insecure), whatever the certificate, or
 * without TLS if nobody speaks it; but not if certs.d says what to trust.
 */
async function findBase(registry: string, options: RegistryOptions): Promise<Door> {
  const host = registry === DEFAULT_REGISTRY ? 'registry-1.docker.io' : registry;
  const secure = parseUrl(`https://${host}/`);
  const settings = { ...options, registry: secure.host };
  const isInsecure = options.insecure === true || isLoopbackHost(secure.hostname);
  if (!isInsecure || hostCertificates(secure.host) !== undefined) return { base: secure, settings };
  const lax = { ...settings, isUnverified: true };
  try {
    await (await send(new URL('/v2/', secure), {}, lax)).drop();
    return { base: secure, settings: lax };
  } catch (error) {
    if (!(error instanceof TransferError || error instanceof TlsError)) throw error;
    return { base: parseUrl(`http://${host}/`), settings };
  }
}

/** Both fields at once would be read as one thing by some and as the other by others. */
function manifestType(data: Buffer, header: string | null, name: string): string {
  let document: unknown;
  try {
    document = JSON.parse(data.toString('utf8'));
  } catch {
    throw new RunncError('INVALID', `${name}: the manifest is not JSON`);
  }
  const { mediaType, manifests, layers, config } = (document ?? {}) as Readonly<Record<string, unknown>>;
  const sent = header?.split(';')[0]?.trim();
  const type = typeof mediaType === 'string' && mediaType !== '' ? mediaType : sent;
  if (type === undefined || (!isIndex(type) && !isManifest(type))) {
    throw new RunncError(
      'INVALID',
      `${name}: ${shorten(type ?? 'something')} is no image that can be used here`,
    );
  }
  const isBoth = manifests !== undefined && (layers !== undefined || config !== undefined);
  const known = sent !== undefined && (isIndex(sent) || isManifest(sent));
  if (isBoth || (known && isIndex(sent) !== isIndex(type))) {
    throw new RunncError('INVALID', `${name}: the manifest is an image and an index at once`);
  }
  return type;
}

function rangeStart(header: string | null): number {
  const start = /^bytes (\d+)-/.exec(header ?? '')?.[1];
  return start === undefined ? -1 : Number(start);
}

function minChunk(response: HttpResponse, name: string): number {
  const bytes = Number(response.headers.get('oci-chunk-min-length') ?? 0);
  if (Number.isInteger(bytes) && bytes >= 0 && bytes <= MAX_MIN_CHUNK_BYTES) return bytes;
  throw new RunncError('INVALID', `${name}: wants uploads in pieces of ${String(bytes)} bytes`);
}

/** Chunks of that many bytes, the last one shorter. */
async function* pieces(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Buffer> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < bytes) continue;
    const all = Buffer.concat(waiting);
    yield all.subarray(0, bytes);
    waiting = [all.subarray(bytes)];
    size -= bytes;
  }
  if (size > 0) yield Buffer.concat(waiting);
}

/** {"errors": [{"code", "message"}]} */
function messageOf(data: Buffer): string | undefined {
  try {
    const { errors } = JSON.parse(data.toString('utf8')) as { readonly errors?: unknown };
    const [first] = Array.isArray(errors) ? (errors as readonly unknown[]) : [];
    const { code, message } = (first ?? {}) as Readonly<Record<string, unknown>>;
    const text = [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ');
    return text === '' ? undefined : shorten(text).slice(1, -1);
  } catch {
    return undefined;
  }
}

/** What is asked for: the digest if there is one. */
export function manifestName(reference: Reference): string {
  const name = reference.digest ?? reference.tag;
  if (name === undefined) throw new RunncError('INTERNAL', `${formatReference(reference)} has no tag`);
  return name;
}
