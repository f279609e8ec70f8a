/** Reading and writing the files of a cgroup. */
import { constants, closeSync, openSync, readIfThere, writeSync } from '../../files.ts';
import { join } from '../../path.ts';
import { RunncError, errnoOf, errorMessage } from '../../errors.ts';

const NOTHING_TO_READ = new Set([
  // The cgroup was removed between open and read.
  'ENODEV',
  // The file belongs to a feature that this kernel has switched off.
  'EOPNOTSUPP',
  'ENOTSUP',
]);

/** The text of a cgroup file; undefined where the cgroup or this file of it does not exist. */
export function readFileIn(dir: string, file: string): string | undefined {
  const path = join(dir, file);
  try {
    return readIfThere(path, 'latin1');
  } catch (error) {
    if (NOTHING_TO_READ.has(errnoOf(error) ?? '')) return undefined;
    throw new RunncError('HOST', `cgroups: cannot read ${path}: ${errnoText(error)}`, { cause: error });
  }
}

/** One write(2), for the kernel takes each as a whole; throws the system error. */
export function writeFileIn(dir: string, file: string, text: string): void {
  // Without O_CREAT, so that a file that the kernel does not offer is ENOENT and not EPERM.
  const fd = openSync(join(dir, file), constants.O_WRONLY);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes what a field of config.json asked for.
 *
 * @param field for example memory.limit; linux.resources. is put before it.
 */
export function writeLimit(dir: string | undefined, file: string, text: string, field: string): void {
  const where = `linux.resources.${field}`;
  if (dir === undefined) {
    const controller = file.split('.', 1)[0] ?? file;
    throw new RunncError(
      'UNSUPPORTED',
      `${where}: cannot be set, the container has no cgroup of the ${controller} controller`,
    );
  }
  try {
    writeFileIn(dir, file, text);
  } catch (error) {
    const errno = errnoOf(error);
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
    const path = join(dir, file);
    if (errno === 'ENOENT') {
      throw new RunncError('UNSUPPORTED', `${where}: cannot be set, this host has no ${path}`, {
        cause: error,
      });
    }
    const invalid = errno === 'EINVAL' || errno === 'ERANGE';
    throw new RunncError(
      invalid ? 'INVALID' : 'HOST',
      `${where}: cannot write ${shown} to ${path}: ${errnoText(error)}`,
      { cause: error },
    );
  }
}

/** The errno's name, or what there is instead, as an error line shows it. */
export function errnoText(error: unknown): string {
  return errnoOf(error) ?? errorMessage(error);
}
