/** The files that say what to build: the Dockerfile and .dockerignore, which may be part of a hostile context. */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { errnoOf, errorMessage, RunncError } from '../../errors.ts';
import { openInRoot } from '../../native.ts';
import { openFolder } from '../../rootfs/tree.ts';
import type { BuildOptions } from './build.ts';

const MAX_BYTES = 1024 * 1024;
/** A fifo is not waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

export interface InputOptions {
  readonly context: string;
  /** As the user gave it; "-" is standard input. Default: Dockerfile in the context. */
  readonly file?: string;
  /** What to do without a Dockerfile. */
  readonly fallback?: string;
}

type Inputs = Pick<BuildOptions, 'dockerfile' | 'ignored'>;

/** Links of the context are followed inside it only. Throws NOT_FOUND, INVALID, HOST. */
export function readInputs({ context, file, fallback }: InputOptions): Inputs {
  const folderFd = openFolder(context, 'the build context');
  try {
    const ignoreFile = file === undefined || file === '-' ? undefined : `${file}.dockerignore`;
    const ignored =
      ignoreFile !== undefined && existsSync(ignoreFile)
        ? readText(() => openSync(ignoreFile, OPEN_FLAGS), ignoreFile)
        : readOptional(() => openInRoot(folderFd, '.dockerignore', OPEN_FLAGS), `${context}/.dockerignore`);
    return {
      dockerfile: readDockerfile(folderFd, context, file, fallback),
      ...(ignored === undefined ? {} : { ignored }),
    };
  } finally {
    closeSync(folderFd);
  }
}

function readDockerfile(
  folderFd: number,
  context: string,
  file: string | undefined,
  fallback: string | undefined,
): Inputs['dockerfile'] {
  if (file === '-') return { name: 'Dockerfile', text: readText(() => 0, 'standard input') };
  if (file !== undefined) return { name: file, text: readText(() => openSync(file, OPEN_FLAGS), file) };
  const name = `${context === '.' ? '' : `${context.replace(/\/+$/, '')}/`}Dockerfile`;
  const text = readOptional(() => openInRoot(folderFd, 'Dockerfile', OPEN_FLAGS), name) ?? fallback;
  if (text !== undefined) return { name, text };
  throw new RunncError('NOT_FOUND', `${name} does not exist: write one, or name another by --file`);
}

function readOptional(open: () => number, name: string): string | undefined {
  try {
    return readText(open, name);
  } catch (error) {
    if (error instanceof RunncError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

function readText(open: () => number, name: string): string {
  let fd: number | undefined;
  try {
    fd = open();
    const stat = fstatSync(fd);
    if (fd !== 0 && !stat.isFile()) throw new RunncError('INVALID', `${name} is not a regular file`);
    if (stat.size > MAX_BYTES) throw new RunncError('INVALID', `${name} is larger than 1 MiB`);
    return readFileSync(fd, 'utf8');
  } catch (error) {
    if (error instanceof RunncError) throw error;
    if (errnoOf(error) === 'ENOENT')
      throw new RunncError('NOT_FOUND', `${name} does not exist`, { cause: error });
    throw new RunncError('HOST', `${name} cannot be read: ${errorMessage(error)}`, { cause: error });
  } finally {
    if (fd !== undefined && fd !== 0) closeSync(fd);
  }
}
