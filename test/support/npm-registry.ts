/** A registry of npm packages that exist nowhere else, on loopback: to fill a cache and make a lock file. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { makeTar } from './tar.ts';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** Of package.json, beside the two above. */
  readonly manifest?: object;
  /** Path → content. */
  readonly files: Readonly<Record<string, string>>;
}

export class NpmRegistry {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(packages: readonly NpmPackage[]): Promise<NpmRegistry> {
    const answers = new Map<string, Buffer>();
    const server = createServer((request, response) => {
      const answer = answers.get(decodeURIComponent(request.url ?? ''));
      response.writeHead(answer === undefined ? 404 : 200).end(answer);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const registry = new NpmRegistry(server);
    for (const { name, version, manifest = {}, files } of packages) {
      const document = { name, version, ...manifest };
      const tarball = gzipSync(
        await makeTar(
          Object.entries({ 'package.json': JSON.stringify(document), ...files }).map(([path, content]) => ({
            name: `package/${path}`,
            content,
            mode: 0o644,
          })),
        ),
      );
      const path = `/tarballs/${name}-${version}.tgz`;
      const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
      const dist = { tarball: `${registry.url}${path}`, integrity };
      const versions = { [version]: { ...document, dist } };
      answers.set(path, tarball);
      answers.set(
        `/${name}`,
        Buffer.from(JSON.stringify({ name, 'dist-tags': { latest: version }, versions })),
      );
    }
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
