/** A Solo5 guest's network: a plain tap for each device of its manifest, and its addresses as arguments. */
import { RunncError } from '../errors.ts';
import {
  formatAddress,
  type Gateway,
  type GuestInterface,
  type InterfaceAddress,
  IPV4,
  IPV6,
  SCOPE_GLOBAL,
} from '../network/guest-network.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import type { LateInput } from '../sandbox/tender-command.ts';
import type { Guest } from './guest.ts';
import { type RumprunConfig, rumprunCommandLine, type RumprunNet } from './rumprun.ts';
import { checkArguments, matchNetDevices, type NetAttachment } from './solo5.ts';

/** What is known of it before there is a network: plain data, which can wait until the start. */
export interface Solo5NetworkPlan {
  /** In the order of the manifest. */
  readonly attachments: readonly NetAttachment[];
  /** The guest's, if it is told nothing. */
  readonly args: readonly string[];
  /** How it is told the addresses of its one device; a rumprun guest with all else that it is told. */
  readonly told: 'nothing' | 'mirage' | RumprunConfig;
}

/** What differs for the tender. */
export interface Solo5Joined {
  readonly args: readonly string[];
  readonly late: LateInput;
}

/** `rumprun`: for such a guest. Throws INVALID for annotations that do not fit the guest's devices. */
export function planSolo5Network(
  { manifest, args }: Pick<Guest, 'manifest' | 'args'>,
  annotations: Readonly<Record<string, string>>,
  rumprun?: RumprunConfig,
): Solo5NetworkPlan {
  const told = annotations['io.runnc.guest'] === 'solo5' ? 'nothing' : 'mirage';
  return { attachments: matchNetDevices(manifest, annotations), args, told: rumprun ?? told };
}

export function solo5Networking(
  { attachments, args, told }: Solo5NetworkPlan,
  onWarning?: (message: string) => void,
): GuestNetworking<Solo5Joined> {
  return {
    vnet: false,
    choose: (available) => chooseInterfaces(attachments, available, onWarning),
    joined: ({ interfaces }) => {
      const [only] = interfaces;
      // Of several it cannot be known which is which to the program: its own arguments have to tell it.
      const all = only === undefined || interfaces.length > 1 ? args : argumentsWith(only);
      checkArguments(all);
      const nets = interfaces.map(({ fd, mac, mtu }, i) => ({
        name: attachments[i]?.device ?? '',
        fd,
        mac,
        mtu,
      }));
      return { args: all, late: { vnetFds: [], nets } };
    },
  };

  function argumentsWith(only: GuestInterface): readonly string[] {
    if (told === 'nothing') return args;
    if (told === 'mirage') return mirageArguments(args, only);
    const net = rumprunNet(only);
    if (net !== undefined) return [rumprunCommandLine({ ...told, net }).text];
    onWarning?.(`network: ${only.name} has no IPv4 address: the rumprun guest gets none`);
    return args;
  }
}

function chooseInterfaces(
  attachments: readonly NetAttachment[],
  available: readonly GuestInterface[],
  onWarning: ((message: string) => void) | undefined,
): GuestInterface[] {
  const chosen = attachments.map(({ device, interface: name }) => {
    const found = name === undefined ? available[0] : available.find((entry) => entry.name === name);
    if (found !== undefined) return found;
    const what =
      name === undefined
        ? 'the container has no interface with an address (was it created with --network none?)'
        : `the container has no interface ${name} with an address`;
    throw new RunncError('INVALID', `network: the guest needs the network device ${device}: ${what}`);
  });
  const rest = available.filter((entry) => !chosen.includes(entry)).map(({ name }) => name);
  if (rest.length > 0) {
    onWarning?.(`network: the guest has no device for ${rest.join(', ')}: left to the namespace`);
  }
  return chosen;
}

/**
 * MirageOS's own options (mirage-runtime, "Network stack parameters"), before the guest's arguments. What the user gave
 * already stays as it is: given twice, an option is an error there.
 */
function mirageArguments(args: readonly string[], net: GuestInterface): readonly string[] {
  const options = [
    ...option('--ipv4', cidr(net, IPV4)),
    ...option('--ipv4-gateway', gateway(net, IPV4)),
    ...option('--ipv6', cidr(net, IPV6)),
    ...option('--ipv6-gateway', gateway(net, IPV6)),
  ];
  const isGiven = (name = ''): boolean => args.some((arg) => arg === name || arg.startsWith(`${name}=`));
  return [...options.filter((text) => !isGiven(text.split('=')[0])), ...args];
}

function rumprunNet(net: GuestInterface): RumprunNet | undefined {
  const address = firstAddress(net, IPV4);
  if (address === undefined) return undefined;
  const way = gateway(net, IPV4);
  return {
    address: formatAddress(address.address),
    prefixLength: address.prefixLength,
    ...(way === undefined ? {} : { gateway: way }),
  };
}

function option(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`];
}

function cidr(net: GuestInterface, family: number): string | undefined {
  const first = firstAddress(net, family);
  return first === undefined ? undefined : `${formatAddress(first.address)}/${String(first.prefixLength)}`;
}

/** That others can reach it by; of IPv6 not the one of the link. */
function firstAddress({ addresses }: GuestInterface, family: number): InterfaceAddress | undefined {
  const candidates = addresses.filter((address) => address.family === family);
  return (
    candidates.find(({ scope }) => scope === SCOPE_GLOBAL) ?? (family === IPV4 ? candidates[0] : undefined)
  );
}

/** Of the best default route, if that has one of the same family. */
function gateway({ routes }: GuestInterface, family: number): string | undefined {
  const [best] = routes
    .filter((route) => route.family === family && route.prefixLength === 0)
    .filter(
      (route): route is typeof route & { readonly gateway: Gateway } => route.gateway?.family === family,
    )
    .sort((a, b) => a.metric - b.metric);
  return best === undefined ? undefined : formatAddress(best.gateway.address);
}
