/**
 * Reads a command line by the declarations of commands.ts. Flags are taken the way runc takes them: a text flag has
 * the next argument for its value whatever that looks like (--memory-swap -1), and --flag=false is a boolean.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';
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
  readonly #values: ReadonlyMap<string, string | boolean>;

  constructor(declared: OptionDeclarations, values: ReadonlyMap<string, string | boolean>) {
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
    if (this.#declared[name]?.type !== type) throw new RunncError('INTERNAL', `no ${type} flag --${name}`);
    return this.#values.get(name);
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
  if (foreignFlags) {
    const { globals, verb, rest } = splitLine(args, declared);
    return { options: globals, operands: verb === undefined ? [] : [verb, ...rest] };
  }
  const values = new Map<string, string | boolean>();
  const operands: string[] = [];
  for (const token of tokens(args, declared)) {
    if (token.kind === 'option') values.set(token.name, optionValue(token, declared));
    else if (token.kind === 'positional') operands.push(token.value);
  }
  return { options: new Options(declared, values), operands };
}

export interface SplitLine {
  readonly globals: Options;
  /** Undefined: there is no verb. */
  readonly verb?: string;
  readonly rest: readonly string[];
}

/** Reads the flags before the verb and leaves what follows it unread. */
export function splitLine(args: readonly string[], declared: OptionDeclarations): SplitLine {
  const values = new Map<string, string | boolean>();
  for (const token of tokens(args, declared)) {
    if (token.kind === 'positional') {
      const globals = new Options(declared, values);
      return { globals, verb: token.value, rest: args.slice(token.index + 1) };
    }
    if (token.kind === 'option') values.set(token.name, optionValue(token, declared));
  }
  return { globals: new Options(declared, values), rest: [] };
}

type Token = NonNullable<ReturnType<typeof parseArgs<{ tokens: true; strict: false }>>['tokens']>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;

function tokens(args: readonly string[], declared: OptionDeclarations): readonly Token[] {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, { type, short }] of Object.entries(declared)) {
    options[name] = short === undefined ? { type } : { type, short };
  }
  // Not strict: what strict refuses (values that look like flags) is what runc's callers may write.
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true }).tokens;
}

function optionValue(token: OptionToken, declared: OptionDeclarations): string | boolean {
  const { name, rawName, value } = token;
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
