import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, errorMessage, RunncError } from '../src/errors.ts';
import { templateSpec } from '../src/oci/spec-template.ts';
import type { Call } from './verb.ts';

export async function run({ options, operands }: Call): Promise<number> {
  const file = join(options.text('bundle') ?? '.', 'config.json');
  const rootless = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const spec = templateSpec({
    ...(options.flag('rootless') ? { rootless } : {}),
    ...(operands.length > 0 ? { args: operands } : {}),
  });
  try {
    writeFileSync(file, `${JSON.stringify(spec, null, 2)}\n`, { flag: 'wx', mode: 0o666 });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new RunncError('EXISTS', `file ${file} exists: remove it first`, { cause: error });
    }
    throw new RunncError('HOST', `${file}: cannot be written: ${errorMessage(error)}`, { cause: error });
  }
  return Promise.resolve(0);
}
