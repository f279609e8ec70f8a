/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment, as curl and Go read them. */
import { RunncError } from '../../errors.ts';
import { isLoopbackHost } from './address.ts';

export interface Proxies {
  readonly http?: string;
  readonly https?: string;
  readonly no: readonly string[];
}

let taken: Proxies | undefined;

/**
 * Those of this process. Bun's fetch would obey the variables by itself, for this host's own registries too: there they are
 * taken out of the environment, and each request names its proxy.
 */
export function environmentProxies(): Proxies {
  if (taken !== undefined) return taken;
  taken = readProxies(process.env);
  if (process.versions['bun'] !== undefined) {
    for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy']) {
      Reflect.deleteProperty(process.env, name);
    }
  }
  return taken;
}

export function readProxies(env: NodeJS.ProcessEnv): Proxies {
  const read = (name: string): string | undefined => {
    const value = env[name] ?? env[name.toUpperCase()];
    return value === undefined || value === '' ? undefined : value;
  };
  // HTTP_PROXY may be a header "Proxy:" where CGI sets the environment; nobody runs this there.
  const [http, https] = [read('http_proxy'), read('https_proxy')];
  return {
    ...(http === undefined ? {} : { http }),
    ...(https === undefined ? {} : { https }),
    no: (read('no_proxy') ?? '').split(/[\s,]+/).filter((entry) => entry !== ''),
  };
}

/** The proxy for a URL; never for this host itself. */
export function proxyFor(url: URL, proxies: Proxies): string | undefined {
  const proxy = url.protocol === 'https:' ? proxies.https : proxies.http;
  if (proxy === undefined || isLoopbackHost(url.hostname)) return undefined;
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const isExcepted = proxies.no.some((entry) =>
    matches(entry.toLowerCase(), url.hostname.toLowerCase(), port),
  );
  if (isExcepted) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function matches(entry: string, hostname: string, port: string): boolean {
  if (entry === '*') return true;
  const [, host = entry, wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (wantedPort !== undefined && wantedPort !== port) return false;
  const domain = host.replace(/^\*?\./, '');
  return hostname === domain || hostname.endsWith(`.${domain}`);
}

/** What fetch must be told. Throws UNSUPPORTED where it takes no proxy. */
export function proxyOptions(url: URL, proxies = environmentProxies()): { proxy?: string } {
  const proxy = proxyFor(url, proxies);
  if (proxy === undefined) return {};
  if (process.versions['bun'] !== undefined) return { proxy };
  if (process.env['NODE_USE_ENV_PROXY'] === '1') return {};
  throw new RunncError(
    'UNSUPPORTED',
    `${url.host}: the proxy ${proxy} cannot be used by fetch of this Node.js: set NODE_USE_ENV_PROXY=1 with Node 24, or use the installed runnc`,
  );
}
