/** An authority of the tests' own, and what it vouches for. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KeyPair {
  /** PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export class Authority {
  readonly certificate: string;
  readonly #folder: string;
  readonly #key: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.certificate = join(folder, `${name}.crt`);
    this.#key = join(folder, `${name}.key`);
    openssl('req', '-x509', ...newKey(name), '-days', '2', '-keyout', this.#key, '-out', this.certificate);
  }

  /** For servers of these names ("DNS:host", "IP:address"), or for a client. */
  issue(name: string, names: readonly string[] = []): KeyPair {
    const [key, request, certificate, extensions] = ['key', 'csr', 'pem', 'ext'].map((suffix) =>
      join(this.#folder, `${name}.${suffix}`),
    ) as [string, string, string, string];
    openssl('req', ...newKey(name), '-keyout', key, '-out', request);
    writeFileSync(extensions, names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`);
    const by = ['-CA', this.certificate, '-CAkey', this.#key, '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', request, ...by, '-out', certificate, '-extfile', extensions);
    return { certificate, key };
  }
}

function newKey(name: string): string[] {
  return ['-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`];
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
