/**
 * rumprun unikernels (nabla's images, urunc's): the JSON they expect as their command line.
 *
 * rumprun reads it with jsmn, which finds the strings but undoes no escapes, and a key may come several times:
 * - `cmdline` is then split by rumprun_parseargs(): blanks separate, quotes group, a backslash takes the next
 *   character as it is. jsmn allows a backslash only before the characters JSON knows, so `\"` and `\\` say what
 *   they mean and blanks are quoted; but nothing can say an apostrophe.
 * - `rc_TESTING` takes a list of arguments as they are: apostrophes and blanks, but neither `"` nor `\`.
 * - `env` is taken as it is, so a `"` or `\` keeps the backslash that JSON wants before it. No form avoids that.
 */
import { RunncError } from '../errors.ts';

export interface RumprunConfig {
  /** With the program's name. */
  readonly args: readonly string[];
  /** NAME=value */
  readonly env: readonly string[];
  /** Absolute. "/" is not told: upstream's rumprun, unlike nabla's, does not know the key. */
  readonly cwd?: string;
  readonly net?: RumprunNet;
  /** A block device is attached: mounted on "/" or, for urunc's com.urunc.unikernel.blkMntPoint, elsewhere. */
  readonly blockMountPoint?: string;
}

export interface RumprunNet {
  /** IPv4, dotted. */
  readonly address: string;
  /** 0 to 32. */
  readonly prefixLength: number;
  readonly gateway?: string;
}

export interface RumprunCommandLine {
  /** One argument for the tender. */
  readonly text: string;
  /** What the guest will not see as it was asked for, a line each. */
  readonly warnings: readonly string[];
}

/** SPT_CMDLINE_SIZE without the NUL. */
const MAX_COMMAND_LINE_BYTES = 8191;

/** Is this Solo5 unikernel to be given rumprun's JSON? By its name, or by what the annotations say it is. */
export function isRumprun(path: string, annotations: Readonly<Record<string, string>>): boolean {
  const type = annotations['io.runnc.guest'] ?? annotations['com.urunc.unikernel.unikernelType'];
  if (type === undefined) return path.endsWith('.nabla');
  return type === 'rumprun' || type === Buffer.from('rumprun').toString('base64');
}

/**
 * Throws INVALID for what cannot be said to rumprun exactly, naming the argument, and for a line that is longer than
 * the ABI can pass, with its length.
 */
export function rumprunCommandLine(config: RumprunConfig): RumprunCommandLine {
  checkNuls(config);
  const members = [
    ...config.env.map((variable) => member('env', jsonString(variable))),
    argumentsMember(config.args),
    ...(config.net === undefined ? [] : [member('net', netObject(config.net))]),
    ...(config.blockMountPoint === undefined ? [] : [member('blk', blockObject(config.blockMountPoint))]),
    // Last: a folder of the mounted image.
    ...(config.cwd === undefined || config.cwd === '/' ? [] : [member('cwd', jsonString(config.cwd))]),
  ];
  const text = `{${members.join(',')}}`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_COMMAND_LINE_BYTES) {
    throw new RunncError(
      'INVALID',
      `process.args and process.env: ${String(bytes)} bytes of command line for rumprun, ` +
        `which takes at most ${String(MAX_COMMAND_LINE_BYTES)}: pass less environment`,
    );
  }
  return { text, warnings: config.env.filter((variable) => /["\\]/.test(variable)).map(envWarning) };
}

function envWarning(variable: string): string {
  const [name = ''] = variable.split('=', 1);
  return `process.env ${name}: rumprun will see a backslash before each " and \\ of the value`;
}

function checkNuls({ args, env, cwd }: RumprunConfig): void {
  const index = args.findIndex((arg) => arg.includes('\0'));
  if (index >= 0) throw new RunncError('INVALID', `process.args[${String(index)}]: contains a NUL byte`);
  if (env.some((variable) => variable.includes('\0')))
    throw new RunncError('INVALID', 'process.env: contains a NUL byte');
  if (cwd !== undefined && /[\0"\\]/.test(cwd)) {
    throw new RunncError('INVALID', 'process.cwd: rumprun can take neither " nor \\ in it');
  }
}

function argumentsMember(args: readonly string[]): string {
  const apostrophe = args.findIndex((arg) => arg.includes("'"));
  if (apostrophe < 0) return member('cmdline', `"${args.map(quoteArgument).join(' ')}"`);
  const escaped = args.findIndex((arg) => /["\\]/.test(arg));
  if (escaped >= 0) {
    throw new RunncError(
      'INVALID',
      `process.args[${String(escaped)}]: rumprun cannot take " or \\ together with the apostrophe in args[${String(apostrophe)}]`,
    );
  }
  const [program = '', ...rest] = args;
  const argv = rest.map(jsonString).join(',');
  return member('rc_TESTING', `[{"bin":${jsonString(program)},"argv":[${argv}]}]`);
}

/** As rumprun_parseargs() takes it apart. Blanks of any kind stand raw between apostrophes. */
function quoteArgument(arg: string): string {
  const escaped = arg.replace(/["\\]/g, '\\$&');
  return arg === '' || /[ \t\n]/.test(arg) ? `'${escaped}'` : escaped;
}

/** A JSON string, but that control characters stay as they are: nobody would turn an escape back. */
function jsonString(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function member(key: string, value: string): string {
  return `"${key}":${value}`;
}

function netObject({ address, prefixLength, gateway }: RumprunNet): string {
  return JSON.stringify({
    if: 'ukvmif0',
    cloner: 'True',
    type: 'inet',
    method: 'static',
    addr: address,
    mask: String(prefixLength),
    ...(gateway === undefined ? {} : { gw: gateway }),
  });
}

function blockObject(mountPoint: string): string {
  return JSON.stringify({ source: 'etfs', path: '/dev/ld0a', fstype: 'blk', mountpoint: mountPoint });
}
