/**
 * A Dockerfile as a list of instructions. Where one begins and ends, and which directives there are, dockerfile-ast
 * says; what stands in an instruction is read here the way Docker reads it.
 */
import { DockerfileParser } from 'dockerfile-ast';
import { errorMessage, RunncError } from '../../errors.ts';
import { splitWords } from './words.ts';

/** Where an instruction is, for messages. */
export interface Place {
  /** As the user named it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The instruction on one line. */
  readonly text: string;
}

/** `<<NAME` and the lines up to NAME. */
export interface Heredoc {
  readonly name: string;
  readonly content: string;
  /** The name was not quoted: variables are put in. */
  readonly expand: boolean;
}

export interface Instruction {
  readonly keyword: string;
  /** In order; one without a value has "true". */
  readonly flags: readonly { readonly name: string; readonly value: string }[];
  /** What follows the flags: one line, comments and line ends removed. */
  readonly rest: string;
  /** `rest` as a JSON array of strings, if it is one. */
  readonly json?: readonly string[];
  readonly heredocs: readonly Heredoc[];
  /** The whole instruction as it was read, for the history. */
  readonly original: string;
  readonly place: Place;
}

export interface Dockerfile {
  readonly instructions: readonly Instruction[];
  /** "\" or "`". */
  readonly escape: string;
}

/** Far more than anybody writes. */
const MAX_BYTES = 1024 * 1024;
const MAX_SHOWN = 100;

/** Throws INVALID, with the place. */
export function parseDockerfile(content: string, file: string): Dockerfile {
  if (content.length > MAX_BYTES) throw new RunncError('INVALID', `${file}: is larger than 1 MiB`);
  const text = content.replace(/^\uFEFF/, '').replace(/\r\n/g, '\n');
  const document = DockerfileParser.parse(text);
  const escape = document.getEscapeCharacter();
  for (const directive of document.getDirectives()) {
    const value = directive.getValue();
    if (directive.getName().toLowerCase() === 'escape' && value !== '\\' && value !== '`') {
      throw new RunncError('INVALID', `${file}:1: # escape=${value}: expected \\ or \``);
    }
  }
  const lines = text.split('\n');
  const instructions = document.getInstructions().map((instruction) => {
    const { start, end } = instruction.getRange();
    return readInstruction(lines.slice(start.line, end.line + 1), { file, line: start.line + 1, escape });
  });
  if (instructions.length === 0) throw new RunncError('INVALID', `${file}: has no instructions`);
  return { instructions, escape };
}

interface Origin {
  readonly file: string;
  readonly line: number;
  readonly escape: string;
}

function readInstruction(lines: readonly string[], { file, line, escape }: Origin): Instruction {
  const { text, used } = logicalLine(lines, escape);
  const [, keyword = '', after = ''] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  const shown = text.trim().replace(/\s+/g, ' ');
  const place = {
    file,
    line,
    text: shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN - 1)}…` : shown,
  };
  const { flags, rest } = readFlags(after, escape);
  const json = readJson(rest);
  return {
    keyword: keyword.toUpperCase(),
    flags,
    rest,
    ...(json === undefined ? {} : { json }),
    heredocs: readHeredocs(rest, lines.slice(used), keyword.toUpperCase(), place),
    original: text.trim(),
    place,
  };
}

/** Joins continued lines, without the comments and empty lines between them. */
function logicalLine(lines: readonly string[], escape: string): { text: string; used: number } {
  const continued = new RegExp(`${escape === '\\' ? '\\\\' : escape}[ \\t]*$`);
  let text = '';
  let used = 0;
  for (const line of lines) {
    used++;
    if (used > 1 && /^\s*(#|$)/.test(line)) continue;
    if (!continued.test(line)) return { text: text + line, used };
    text += line.replace(continued, '');
  }
  return { text, used };
}

function readFlags(text: string, escape: string): Pick<Instruction, 'flags' | 'rest'> {
  const flags: { name: string; value: string }[] = [];
  let rest = text;
  for (;;) {
    if (!rest.startsWith('--')) return { flags, rest };
    const [word = ''] = splitWords(rest, escape);
    rest = rest.slice(word.length).trimStart();
    if (word === '--') return { flags, rest };
    const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    flags.push({ name, value: value === undefined ? 'true' : unquote(value, escape) });
  }
}

/** Variables stay: the instruction puts them in, where it has them. */
function unquote(value: string, escape: string): string {
  let result = '';
  let quote = '';
  for (let i = 0; i < value.length; i++) {
    const char = value[i] ?? '';
    if (char === escape && quote !== "'" && /["'\\`]/.test(value[i + 1] ?? '')) result += value[++i] ?? '';
    else if (quote === '' ? char === '"' || char === "'" : char === quote) quote = quote === '' ? char : '';
    else result += char;
  }
  return result;
}

/** undefined: the shell form. */
function readJson(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

const HEREDOC = /^\d*<<(-?)(["']?)([^<"'\s]+)\2$/;

/** The n-th such word stands for the n-th heredoc of its instruction. */
export function isHeredoc(word: string): boolean {
  return HEREDOC.test(word);
}

const HAVE_HEREDOCS = ['RUN', 'COPY', 'ADD'];

function readHeredocs(rest: string, bodies: readonly string[], keyword: string, place: Place): Heredoc[] {
  if (!HAVE_HEREDOCS.includes(keyword)) return [];
  const heredocs: Heredoc[] = [];
  let next = 0;
  for (const word of splitWords(rest, '\\')) {
    const [, dash = '', quote = '', name] = HEREDOC.exec(word) ?? [];
    if (name === undefined) continue;
    const content: string[] = [];
    for (;;) {
      const line = bodies[next++];
      if (line === undefined)
        throw failAt(place, new RunncError('INVALID', `the line "${name}" that ends <<${name} is missing`));
      const stripped = dash === '' ? line : line.replace(/^\t+/, '');
      if (stripped === name) break;
      content.push(`${stripped}\n`);
    }
    heredocs.push({ name, content: content.join(''), expand: quote === '' });
  }
  return heredocs;
}

class PlacedError extends RunncError {}

/** The error with the place put before it, once. */
export function failAt(place: Place, error: unknown): RunncError {
  if (error instanceof PlacedError) return error;
  const code = error instanceof RunncError ? error.code : 'INTERNAL';
  const where = `${place.file}:${String(place.line)}: ${place.text}`;
  return new PlacedError(code, `${where}: ${errorMessage(error)}`, { cause: error });
}
