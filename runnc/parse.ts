/**
 * Reads a command line by the declarations of commands.ts. Flags are taken the way runc takes them: a text flag has
 * the next argument for its value whatever that looks like (--memory-swap -1), --flag=false is a boolean, and one dash
 * is as good as two (-bundle DIR).
 *
 * By hand, because every call of the command goes through here and node:util alone costs Bun 0.8 ms of a start of 5.
 */
import { RunncError } from '../src/errors.ts';

export interface OptionDeclaration {
  readonly type: 'boolean' | 'string';
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in the help: "DIR". */
  readonly value?: string;
  readonly help: string;
  readonly choices?: readonly string[];
  /** What the shell may offer for the value. */
  readonly complete?: 'file' | 'folder';
}

export type OptionDeclarations = Readonly<Record<string, OptionDeclaration>>;

/** The flags that were given. Asking for one that was not declared is a mistake in the program. */
export class Options {
  readonly #declared: OptionDeclarations;
  readonly #values: ReadonlyMap<string, readonly (string | boolean)[]>;

  constructor(declared: OptionDeclarations, values: ReadonlyMap<string, readonly (string | boolean)[]>) {
    this.#declared = declared;
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#get(name, 'boolean') === true;
  }

  text(name: string): string | undefined {
    const value = this.#get(name, 'string');
    return typeof value === 'string' ? value : undefined;
  }

  /** Of a flag that may be repeated: all that was given, in order. */
  texts(name: string): readonly string[] {
    return this.#all(name, 'string') as readonly string[];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** With those of another line, which has the last word. */
  and(other: Options): Options {
    return new Options(this.#declared, new Map([...this.#values, ...other.#values]));
  }

  /** Throws INVALID unless it is a decimal integer within the bounds. */
  integer(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const number = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (number >= min && number <= max) return number;
    throw new RunncError(
      'INVALID',
      `--${name}: expected an integer of at least ${String(min)}, got "${text}"`,
    );
  }

  #get(name: string, type: OptionDeclaration['type']): string | boolean | undefined {
    return this.#all(name, type).at(-1);
  }

  #all(name: string, type: OptionDeclaration['type']): readonly (string | boolean)[] {
    if (this.#declared[name]?.type !== type) throw new RunncError('INTERNAL', `no ${type} flag --${name}`);
    return this.#values.get(name) ?? [];
  }
}

export interface ParsedLine {
  readonly options: Options;
  readonly operands: readonly string[];
}

/**
 * Reads flags and operands, mixed as they please; with `foreignFlags` only up to the first operand, because what
 * follows it is another program's. Throws INVALID naming the flag.
 */
export function parseLine(
  args: readonly string[],
  declared: OptionDeclarations,
  { foreignFlags = false }: { readonly foreignFlags?: boolean } = {},
): ParsedLine {
  const { options, operands, rest } = read(args, declared, foreignFlags);
  return { options, operands: [...operands, ...rest] };
}

export interface SplitLine {
  readonly globals: Options;
  /** Undefined: there is no verb. */
  readonly verb?: string;
  readonly rest: readonly string[];
}

/** Reads the flags before the verb and leaves what follows it, which has other declarations, unread. */
export function splitLine(args: readonly string[], declared: OptionDeclarations): SplitLine {
  const { options, operands, rest } = read(args, declared, true);
  const [verb] = operands;
  return { globals: options, ...(verb === undefined ? {} : { verb }), rest };
}

interface Read extends ParsedLine {
  /** What was left unread. */
  readonly rest: readonly string[];
}

/** One plain loop: a first generator or regular expression alone costs Bun 0.15 ms. */
function read(line: readonly string[], declared: OptionDeclarations, oneOperand: boolean): Read {
  let args = line;
  const values = new Map<string, (string | boolean)[]>();
  const operands: string[] = [];
  let noMoreFlags = false;
  let i = 0;
  while (i < args.length && !(oneOperand && operands.length === 1)) {
    const arg = args[i++] ?? '';
    if (noMoreFlags || arg === '-' || !arg.startsWith('-')) {
      operands.push(arg);
    } else if (arg === '--') {
      noMoreFlags = true;
    } else {
      const equals = arg.indexOf('=');
      const rawName = equals < 0 ? arg : arg.slice(0, equals);
      const name = longName(rawName, declared);
      const several = Object.hasOwn(declared, name) ? undefined : shortFlags(arg, declared);
      if (several !== undefined) {
        args = [...several, ...args.slice(i)];
        i = 0;
        continue;
      }
      const takesNext = equals < 0 && Object.hasOwn(declared, name) && declared[name]?.type === 'string';
      const value = takesNext ? args[i++] : equals < 0 ? undefined : arg.slice(equals + 1);
      const checked = optionValue({ name, rawName, value }, declared);
      const earlier = values.get(name);
      if (earlier === undefined) values.set(name, [checked]);
      else earlier.push(checked);
    }
  }
  return { options: new Options(declared, values), operands, rest: args.slice(i) };
}

interface GivenOption {
  readonly name: string;
  /** As it was written: "-b", "--bundle". */
  readonly rawName: string;
  readonly value: string | undefined;
}

function longName(rawName: string, declared: OptionDeclarations): string {
  if (rawName.startsWith('--')) return rawName.slice(2);
  const name = rawName.slice(1);
  if (name.length !== 1) return name;
  const entry = Object.entries(declared).find(([, { short }]) => short === name);
  return entry?.[0] ?? name;
}

/**
 * "-it" is "-i -t", "-p80:80" is "-p 80:80", as Docker's users write them. undefined: some letter is no flag, or it is
 * one letter alone.
 */
function shortFlags(arg: string, declared: OptionDeclarations): string[] | undefined {
  if (arg.startsWith('--') || arg.length < 3) return undefined;
  const found: string[] = [];
  for (let i = 1; i < arg.length; i++) {
    const letter = `-${arg.charAt(i)}`;
    const type = declared[longName(letter, declared)]?.type;
    if (type === undefined) return undefined;
    if (type === 'string') {
      const value = arg.slice(i + 1);
      return [...found, value === '' ? letter : `${letter}=${value}`];
    }
    found.push(letter);
  }
  return found;
}

function optionValue({ name, rawName, value }: GivenOption, declared: OptionDeclarations): string | boolean {
  const declaration = Object.hasOwn(declared, name) ? declared[name] : undefined;
  if (declaration === undefined) throw new RunncError('INVALID', `unknown flag ${rawName}`);
  if (declaration.type === 'boolean') {
    if (value === undefined || value === 'true') return true;
    if (value === 'false') return false;
    throw new RunncError('INVALID', `${rawName}: expected no value, got "${value}"`);
  }
  if (value === undefined) throw new RunncError('INVALID', `${rawName}: a value is missing`);
  if (declaration.choices !== undefined && !declaration.choices.includes(value)) {
    const choices = declaration.choices.map((choice) => `"${choice}"`).join(' or ');
    throw new RunncError('INVALID', `${rawName}: expected ${choices}, got "${value}"`);
  }
  return value;
}
