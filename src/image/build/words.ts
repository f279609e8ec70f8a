/** Words of a Dockerfile: how its instructions quote them, and put variables into them. */
import { RunncError } from '../../errors.ts';

/** What a name stands for; undefined: it is not set. */
export type Lookup = (name: string) => string | undefined;

/** Splits at blanks that are neither quoted nor escaped. Quotes and escapes stay as they are. */
export function splitWords(text: string, escape: string): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === escape && quote !== "'" && i + 1 < text.length) {
      word += char + (text[++i] ?? '');
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== '') words.push(word);
      word = '';
    } else {
      if (quote === '' ? char === '"' || char === "'" : char === quote) quote = quote === '' ? char : '';
      word += char;
    }
  }
  if (word !== '') words.push(word);
  return words;
}

/** Removes quotes and escapes and puts in what variables hold. Throws INVALID. */
export function expandWord(word: string, lookup: Lookup, escape: string): string {
  return new Expander(word, lookup, escape).expand();
}

/** The same for the text of a heredoc, whose quotes mean nothing. */
export function expandText(text: string, lookup: Lookup, escape: string): string {
  return new Expander(text, lookup, escape).expandText();
}

/** One pass over a word, with the rules of the POSIX shell as far as Dockerfiles have them. */
class Expander {
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #escape: string;
  #at = 0;

  constructor(text: string, lookup: Lookup, escape: string) {
    this.#text = text;
    this.#lookup = lookup;
    this.#escape = escape;
  }

  expand(): string {
    return this.#until('');
  }

  expandText(): string {
    let result = '';
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] ?? '';
      if (char === '$') result += this.#variable();
      else if (char === this.#escape && this.#text[this.#at + 1] === '$') {
        result += '$';
        this.#at += 2;
      } else {
        result += char;
        this.#at++;
      }
    }
    return result;
  }

  /** Up to, and past, `end`; an empty one is the end of the text. */
  #until(end: string): string {
    let result = '';
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] ?? '';
      if (char === end) {
        this.#at++;
        return result;
      }
      if (char === "'") result += this.#singleQuoted();
      else if (char === '"') result += this.#doubleQuoted();
      else if (char === '$') result += this.#variable();
      else if (char === this.#escape) {
        result += this.#text[this.#at + 1] ?? '';
        this.#at += 2;
      } else {
        result += char;
        this.#at++;
      }
    }
    if (end !== '') throw this.#bad(`"${end}" is missing`);
    return result;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw this.#bad('a single quote is not closed');
    const result = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return result;
  }

  #doubleQuoted(): string {
    let result = '';
    this.#at++;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] ?? '';
      const next = this.#text[this.#at + 1] ?? '';
      if (char === '"') {
        this.#at++;
        return result;
      }
      if (char === '$') {
        result += this.#variable();
      } else if (char === this.#escape && (next === '"' || next === '$' || next === this.#escape)) {
        result += next;
        this.#at += 2;
      } else {
        result += char;
        this.#at++;
      }
    }
    throw this.#bad('a double quote is not closed');
  }

  #variable(): string {
    this.#at++;
    if (this.#text[this.#at] === '{') {
      this.#at++;
      return this.#braced();
    }
    const name = this.#name();
    return name === '' ? '$' : (this.#lookup(name) ?? '');
  }

  /** Empty: what follows is no name. */
  #name(): string {
    const [name = ''] = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9])/.exec(this.#text.slice(this.#at)) ?? [];
    this.#at += name.length;
    return name;
  }

  #braced(): string {
    const name = this.#name();
    if (name === '') throw this.#bad('"${" without a name');
    const value = this.#lookup(name);
    const [operator = ''] = /^(?::?[-+?]|##?|%%?|\/\/?|\})/.exec(this.#text.slice(this.#at)) ?? [];
    this.#at += operator.length;
    switch (operator) {
      case '}':
        return value ?? '';
      case ':-':
      case '-': {
        const word = this.#until('}');
        return isSet(value, operator) ? value : word;
      }
      case ':+':
      case '+': {
        const word = this.#until('}');
        return isSet(value, operator) ? word : '';
      }
      case ':?':
      case '?': {
        const word = this.#until('}');
        if (isSet(value, operator)) return value;
        throw new RunncError('INVALID', `${name}: ${word === '' ? 'is not set' : word}`);
      }
      case '#':
      case '##':
        return (value ?? '').replace(new RegExp(`^${pattern(this.#until('}'), operator === '##')}`, 's'), '');
      case '%':
      case '%%':
        return withoutSuffix(value ?? '', this.#until('}'), operator === '%%');
      case '/':
      case '//': {
        const searched = this.#until('/');
        const replacement = this.#until('}');
        const expression = new RegExp(pattern(searched, true), operator === '//' ? 'gs' : 's');
        return searched === '' ? (value ?? '') : (value ?? '').replace(expression, () => replacement);
      }
      default:
        throw this.#bad(`unknown operator behind "\${${name}"`);
    }
  }

  #bad(what: string): RunncError {
    return new RunncError('INVALID', `${JSON.stringify(this.#text)}: ${what}`);
  }
}

/** With a colon, an empty value counts as none. */
function isSet(value: string | undefined, operator: string): value is string {
  return value !== undefined && (value !== '' || !operator.startsWith(':'));
}

/** The shortest suffix that matches, or the longest. */
function withoutSuffix(value: string, suffix: string, longest: boolean): string {
  const expression = new RegExp(`^${pattern(suffix, true)}$`, 's');
  const lengths = Array.from({ length: value.length + 1 }, (_, i) => i);
  const found = (longest ? lengths.reverse() : lengths).find((length) =>
    expression.test(value.slice(value.length - length)),
  );
  return found === undefined ? value : value.slice(0, value.length - found);
}

/** A shell pattern as a regular expression. */
function pattern(text: string, greedy: boolean): string {
  return text.replace(/\\.|[*?]|[.+^${}()|[\]\\/]/gs, (char) => {
    if (char === '*') return greedy ? '.*' : '.*?';
    if (char === '?') return '.';
    return char.length === 2 ? `\\${char[1] ?? ''}` : `\\${char}`;
  });
}
