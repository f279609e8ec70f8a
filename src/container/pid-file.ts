import { errorMessage, RunncError } from '../errors.ts';
import { renameSync, statIfThere, unlinkSync, writeFileSync } from '../files.ts';
import { basename, dirname, join } from '../path.ts';

/** Callers read the file as soon as it is there: it appears with its content. A device or pipe stays what it is. */
export function writePidFile(path: string, pid: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  try {
    if (statIfThere(path)?.isFile() === false) {
      writeFileSync(path, String(pid));
      return;
    }
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // It was never made.
    }
    throw new RunncError('HOST', `--pid-file: cannot write ${path}: ${errorMessage(error)}`);
  }
}
