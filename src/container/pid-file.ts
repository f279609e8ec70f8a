import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errorMessage, RunncError } from '../errors.ts';

/** Callers read the file as soon as it is there: it appears with its content. A device or pipe stays what it is. */
export function writePidFile(path: string, pid: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      writeFileSync(path, String(pid));
      return;
    }
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new RunncError('HOST', `--pid-file: cannot write ${path}: ${errorMessage(error)}`);
  }
}
