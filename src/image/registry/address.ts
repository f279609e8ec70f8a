/**
 * Which addresses are this host's and its network's own. A public registry must not be able to send us there: what it
 * redirects to is somebody else's choice.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

const own = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  own.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 127], // unspecified and loopback
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const) {
  own.addSubnet(network, prefix, 'ipv6');
}

/** Not one of the public Internet: loopback, private, link-local, multicast. */
export function isOwnAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return own.check(address, 'ipv4');
  if (family !== 6) return true;
  const mapped = mappedIpv4(address);
  return mapped === undefined ? own.check(address, 'ipv6') : own.check(mapped, 'ipv4');
}

/** Of a name as it stands in a URL: certainly this host itself. */
export function isLoopbackHost(hostname: string): boolean {
  const name = withoutBrackets(hostname).toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  if (isIP(name) === 4) return name.startsWith('127.');
  return isIP(name) === 6 && (name === '::1' || (mappedIpv4(name)?.startsWith('127.') ?? false));
}

/**
 * Whether a host lies on the public Internet with all its addresses. A name that cannot be resolved is not known to
 * be anything else: the connection will fail, or a proxy knows it.
 *
 * Between this and the connection the name may be given another address. A host of our own would then have to show a
 * certificate for that name, for what is redirected to must have TLS.
 */
export async function isPublicHost(hostname: string): Promise<boolean> {
  const name = withoutBrackets(hostname);
  if (isIP(name) !== 0) return !isOwnAddress(name);
  if (isLoopbackHost(name)) return false;
  try {
    const addresses = await lookup(name, { all: true });
    return addresses.every(({ address }) => !isOwnAddress(address));
  } catch {
    return true;
  }
}

function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** "::ffff:10.0.0.1", which URLs write as "::ffff:a00:1". */
function mappedIpv4(address: string): string | undefined {
  const text = /^(?:0*:)*:?ffff:([0-9a-f.:]+)$/i.exec(address)?.[1];
  if (text === undefined) return undefined;
  if (isIP(text) === 4) return text;
  const words = text.split(':').map((word) => parseInt(word, 16));
  const [high = 0, low = 0] = words.length === 1 ? [0, ...words] : words;
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
