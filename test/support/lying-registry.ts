/** A registry of the tests' own that does as it is told, honest or not, on any address of loopback. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mediaTypes } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  registry: LyingRegistry,
) => boolean;

export class LyingRegistry {
  /** "GET /v2/…", in order, with the range that was asked for. */
  readonly asked: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, { readonly type: string; readonly data: Buffer }>();
  /** Has the first word: true if it has answered. */
  handler: Handler = () => false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const { range } = request.headers;
      this.asked.push(
        `${request.method ?? ''} ${request.url ?? ''}${range === undefined ? '' : ` ${range}`}`,
      );
      this.headers.push(request.headers);
      if (!this.handler(request, response, this)) this.#answer(request, response);
    });
  }

  static async start(): Promise<LyingRegistry> {
    const registry = new LyingRegistry();
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** An image of one layer, under this tag. */
  put(
    tag: string,
    layer: Buffer,
    change: (manifest: Record<string, unknown>) => void = () => undefined,
  ): { layer: string } {
    const blob = (data: Buffer): { digest: string; size: number } => {
      const digest = digestOf(data);
      this.blobs.set(digest, data);
      return { digest, size: data.length };
    };
    const stored = blob(layer);
    const config = blob(
      Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: [stored.digest] },
        }),
      ),
    );
    const manifest: Record<string, unknown> = {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: { mediaType: mediaTypes.config, ...config },
      layers: [{ mediaType: mediaTypes.layer, ...stored }],
    };
    change(manifest);
    const data = Buffer.from(JSON.stringify(manifest));
    const entry = { type: mediaTypes.manifest, data };
    this.manifests.set(tag, entry).set(digestOf(data), entry);
    return { layer: stored.digest };
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '';
    if (url === '/v2/') {
      response.end('{}');
      return;
    }
    const manifest = this.manifests.get(/\/manifests\/(.*)$/.exec(url)?.[1] ?? '');
    if (manifest !== undefined) {
      response.setHeader('content-type', manifest.type);
      response.end(manifest.data);
      return;
    }
    const blob = this.blobs.get(/\/blobs\/(sha256:.*)$/.exec(url)?.[1] ?? '');
    if (blob === undefined) {
      response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN","message":"nothing\\nhere"}]}');
      return;
    }
    const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    if (start === undefined) response.end(blob);
    else {
      const range = `bytes ${start}-${String(blob.length - 1)}/${String(blob.length)}`;
      response.writeHead(206, { 'content-range': range }).end(blob.subarray(Number(start)));
    }
  }
}
