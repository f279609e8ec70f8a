/**
 * Whose certificates are trusted: those of the system, as Go and OpenSSL find them, and docker's for one registry.
 *
 *     /etc/docker/certs.d/HOST[:PORT]/*.crt            authorities, beside the system's
 *     /etc/docker/certs.d/HOST[:PORT]/NAME.cert, .key  who we are to that host
 *
 * For users other than root $XDG_CONFIG_HOME/docker/certs.d goes first, as for a rootless dockerd.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { errnoOf, errorMessage, RunncError } from '../../errors.ts';

export interface TlsSettings {
  /** HOST[:PORT] of the registry that is spoken to: its authorities count where it sends us to. */
  readonly registry?: string;
  /** Whatever certificate that host shows will do. */
  readonly isUnverified?: boolean;
}

/** PEM texts. */
export interface HostCertificates {
  readonly authorities: readonly string[];
  readonly client?: { readonly cert: string; readonly key: string };
}

interface TlsOptions {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: false;
}

/** Where systems keep them: Debian, Fedora, openSUSE, Alpine. */
const SYSTEM_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** undefined if there is no folder for it. Throws HOST for one that cannot be used. */
export function hostCertificates(
  host: string,
  folders: readonly string[] = defaultFolders(),
): HostCertificates | undefined {
  // A name that would lead elsewhere is none of a folder.
  if (!/^[A-Za-z0-9.:[\]-]+$/.test(host) || host.startsWith('.')) return undefined;
  const folder = folders.map((parent) => `${parent}/${host}`).find((path) => existsSync(path));
  if (folder === undefined) return undefined;
  const names = inFolder(folder, () => readdirSync(folder)).sort();
  const read = (name: string): string => inFolder(folder, () => readFileSync(`${folder}/${name}`, 'utf8'));
  const authorities = names.filter((name) => name.endsWith('.crt')).map(read);
  const wanted = (name: string, suffix: string): string => name.replace(/\.(cert|key)$/, suffix);
  for (const name of names.filter((name) => /\.(cert|key)$/.test(name))) {
    for (const other of [wanted(name, '.cert'), wanted(name, '.key')]) {
      if (!names.includes(other))
        throw new RunncError('HOST', `${folder}: there is ${name}, but no ${other}`);
    }
  }
  const cert = names.find((name) => name.endsWith('.cert'));
  return {
    authorities,
    ...(cert === undefined ? {} : { client: { cert: read(cert), key: read(wanted(cert, '.key')) } }),
  };
}

/** What fetch must be told. Throws HOST; UNSUPPORTED where it takes nothing of that. */
export function tlsOptions(
  url: URL,
  { registry, isUnverified = false }: TlsSettings,
): { readonly tls?: TlsOptions } {
  if (url.protocol !== 'https:') return {};
  const own = hostCertificates(url.host);
  const ofRegistry = registry === undefined ? undefined : hostCertificates(registry);
  const authorities = [...new Set([...(own?.authorities ?? []), ...(ofRegistry?.authorities ?? [])])];
  if (process.versions['bun'] === undefined) {
    if (authorities.length === 0 && own?.client === undefined) return {};
    throw new RunncError(
      'UNSUPPORTED',
      `${url.host}: the certificates of its certs.d cannot be used by fetch of Node.js: set NODE_EXTRA_CA_CERTS=FILE, or use the installed runnc`,
    );
  }
  const roots = systemAuthorities();
  return {
    tls: {
      ...(roots === undefined && authorities.length === 0
        ? {}
        : { ca: [...(roots ?? rootCertificates), ...authorities] }),
      ...own?.client,
      ...(isUnverified && url.host === registry ? { rejectUnauthorized: false } : {}),
    },
  };
}

let system: readonly string[] | undefined;

/** Empty SSL_CERT_FILE is none. undefined: the program's own. */
function systemAuthorities(): readonly string[] | undefined {
  if (system !== undefined) return system;
  const { SSL_CERT_FILE: chosen = '', NODE_EXTRA_CA_CERTS: extra = '' } = process.env;
  const file = chosen === '' ? SYSTEM_FILES.find((path) => existsSync(path)) : chosen;
  if (file === undefined) return undefined;
  const files = extra === '' ? [file] : [file, extra];
  return (system = files.map((path) => inFolder(path, () => readFileSync(path, 'utf8'))));
}

function defaultFolders(): readonly string[] {
  const host = '/etc/docker/certs.d';
  if (process.geteuid?.() === 0) return [host];
  const { XDG_CONFIG_HOME: config = '', HOME: home = '' } = process.env;
  const own = config.startsWith('/') ? config : `${home}/.config`;
  return [`${own}/docker/certs.d`, host];
}

function inFolder<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new RunncError('HOST', `${path}: certificates cannot be read: ${errorMessage(error)}`);
  }
}
