/**
 * A small validator for JSON documents. Written by hand because it runs at every create: a general library
 * costs more to load than this whole check takes. A schema checks in place and copies nothing; the
 * TypeScript compiler holds each schema against the type it stands for.
 */
import { RunncError, shorten } from '../errors.ts';

export interface Schema<T> {
  /** What the user should have written: "a string". */
  readonly what: string;
  /** The same for many: "strings". */
  readonly plural: string;
  /** Throws INVALID with the path of the first wrong value. */
  check(value: unknown, path: string): void;
  /** Never present; carries T for the compiler. */
  readonly type?: T;
}

type RequiredKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];
type OptionalKeys<T> = Exclude<keyof T, RequiredKeys<T>>;
type SchemasOf<T, K extends keyof T> = { readonly [P in K]-?: Schema<Exclude<T[P], undefined>> };

/** A schema from a test on one value. */
export function leaf<T>(what: string, plural: string, test: (value: unknown) => boolean): Schema<T> {
  const schema: Schema<T> = {
    what,
    plural,
    check(value, path) {
      if (!test(value)) throw mismatch(path, what, value);
    },
  };
  return schema;
}

export const boolean = leaf<boolean>('true or false', 'booleans', (value) => typeof value === 'boolean');

/** NUL ends a string in C, so one that holds it would mean something else to the host than to us. */
export const string = leaf<string>('a string', 'strings', isText);

export const nonEmptyString = leaf<string>(
  'a non-empty string',
  'non-empty strings',
  (value) => isText(value) && value !== '',
);

export const absolutePath = leaf<string>(
  'an absolute path',
  'absolute paths',
  (value) => isText(value) && (value as string).startsWith('/'),
);

export function matching(what: string, pattern: RegExp): Schema<string> {
  return leaf(what, what, (value) => isText(value) && pattern.test(value as string));
}

export function oneOf<T extends string>(...choices: readonly T[]): Schema<T> {
  // Made when it is asked for: most documents are right.
  const words = (): string => `one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`;
  return {
    get what() {
      return words();
    },
    get plural() {
      return words();
    },
    check(value, path) {
      if (!choices.includes(value as T)) throw mismatch(path, words(), value);
    },
  };
}

/** min and max as they appear in the message; both inclusive. */
export function integer(min: number, max: number): Schema<number> {
  const range = `from ${String(min)} to ${String(max)}`;
  return leaf(
    `an integer ${range}`,
    `integers ${range}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  );
}

export const uint16 = integer(0, 0xffff);
export const uint32 = integer(0, 0xffffffff);

/** 2^64 and 2^63 themselves pass: JSON.parse rounds the largest values, which mean "no limit", up to them. */
export const uint64 = leaf<number>(
  'an integer that is not negative',
  'integers that are not negative',
  (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 64,
);
export const int64 = leaf<number>(
  'an integer',
  'integers',
  (value) => Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63,
);

export function array<T>(item: Schema<T>, atLeast: 0 | 1 = 0): Schema<readonly T[]> {
  const what = `${atLeast === 0 ? 'an' : 'a non-empty'} array of ${item.plural}`;
  return {
    what,
    plural: `arrays of ${item.plural}`,
    check(value, path) {
      if (!Array.isArray(value) || value.length < atLeast) throw mismatch(path, what, value);
      for (let i = 0; i < value.length; i++) item.check(value[i], `${path}[${String(i)}]`);
    },
  };
}

/** An object whose keys the writer chooses. */
export function record<T>(item: Schema<T>): Schema<Readonly<Record<string, T>>> {
  const what = `an object of ${item.plural}`;
  return {
    what,
    plural: `objects of ${item.plural}`,
    check(value, path) {
      if (!isObject(value)) throw mismatch(path, what, value);
      for (const key of Object.keys(value)) {
        if (key.includes('\0')) throw mismatch(path, 'keys without NUL', key);
        item.check(value[key], `${path}[${shorten(key)}]`);
      }
    },
  };
}

/**
 * An object of known fields; others are ignored, as the specification asks. A null stands for a field that is
 * not there (Go programs write it for empty lists) and is removed.
 */
export function object<T extends object>(
  required: SchemasOf<T, RequiredKeys<T>>,
  optional: SchemasOf<T, OptionalKeys<T>>,
): Schema<T> {
  const must = Object.entries<Schema<unknown>>(required);
  const may = Object.entries<Schema<unknown>>(optional);
  return {
    what: 'an object',
    plural: 'objects',
    check(value, path) {
      if (!isObject(value)) throw mismatch(path, 'an object', value);
      const prefix = path === '' ? '' : `${path}.`;
      for (const [key, schema] of must) {
        if (value[key] === undefined || value[key] === null) {
          throw new RunncError('INVALID', `${prefix}${key}: is required (${schema.what})`);
        }
        schema.check(value[key], prefix + key);
      }
      for (const [key, schema] of may) {
        if (value[key] === undefined) continue;
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- the document was parsed for us alone
        if (value[key] === null) delete value[key];
        else schema.check(value[key], prefix + key);
      }
    },
  };
}

/** The value as T, or INVALID with a path inside the document. */
export function validate<T>(schema: Schema<T>, value: unknown): T {
  schema.check(value, '');
  return value as T;
}

/** `path: expected …, got …` */
export function mismatch(path: string, what: string, value: unknown): RunncError {
  return new RunncError(
    'INVALID',
    `${path === '' ? '' : `${path}: `}expected ${what}, got ${describe(value)}`,
  );
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return shorten(value);
  return String(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
