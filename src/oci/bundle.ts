/** Reads and checks a bundle: a directory with config.json and a root file system (runtime-spec bundle.md). */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, statSync } from '../files.ts';
import { resolve } from '../path.ts';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import { validate, type Schema } from './schema.ts';
import { checkProcess, checkRules, whyNot, type RunnableProcess, type RunnableSpec } from './spec-rules.ts';
import { processSchema, resourcesSchema, specSchema } from './spec-schema.ts';
import type { Process, Resources } from './spec.ts';

export interface Bundle {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly spec: RunnableSpec;
  /** root.path: absolute, without symbolic links, a directory. */
  readonly rootfs: string;
}

/** A configuration beyond this size is an attack on the host's memory. */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/** Throws INVALID, one line that names the file and the field. */
export function readBundle(folder: string): Bundle {
  const path = realDirectory(folder, 'bundle');
  const spec = parseDocument(readConfig(path), specSchema, 'config.json');
  return inConfig(() => {
    checkRules(spec);
    return { path, spec, rootfs: realDirectory(resolve(path, spec.root.path), 'root.path:') };
  });
}

/** What `update --resources` reads; `where` is named in errors. */
export function parseResources(text: string, where: string): Resources {
  return parseDocument(text, resourcesSchema, where);
}

/** What `exec --process` reads; `where` is named in errors. Throws INVALID. */
export function parseProcess(text: string, where: string): RunnableProcess {
  const process = parseDocument(text, processSchema, where);
  return inConfig(() => checkedProcess(process), where);
}

function checkedProcess(process: Process): RunnableProcess {
  checkProcess(process, '');
  return process;
}

function parseDocument<T>(text: string, schema: Schema<T>, where: string): T {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new RunncError('INVALID', `${where}: is not JSON: ${errorMessage(error)}`);
  }
  return inConfig(() => validate(schema, document), where);
}

function readConfig(bundle: string): string {
  const file = `${bundle}/config.json`;
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY);
  } catch (error) {
    throw errnoOf(error) === 'ENOENT'
      ? new RunncError('INVALID', `JSON specification file config.json not found in ${bundle}`)
      : new RunncError('INVALID', `${file} ${whyNot(error)}`);
  }
  try {
    const { size } = fstatSync(fd);
    if (size > MAX_CONFIG_BYTES) {
      throw new RunncError('INVALID', `config.json: ${String(size)} bytes are more than the allowed 16 MiB`);
    }
    return readFileSync(fd, 'utf8');
  } catch (error) {
    if (error instanceof RunncError) throw error;
    throw new RunncError('INVALID', `${file} ${whyNot(error)}`);
  } finally {
    closeSync(fd);
  }
}

function realDirectory(path: string, what: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    throw new RunncError('INVALID', `${what} ${shorten(path)} ${whyNot(error)}`);
  }
  throw new RunncError('INVALID', `${what} ${shorten(path)} is not a directory`);
}

/** Names the document in errors that know only the field. */
function inConfig<T>(check: () => T, where = 'config.json'): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RunncError)) throw error;
    throw new RunncError(error.code, `${where}: ${error.message}`, { cause: error });
  }
}
