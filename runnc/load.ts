/** `runnc load` */
import { createReadStream } from 'node:fs';
import { RunncError } from '../src/errors.ts';
import { loadArchive } from '../src/image/archive-load.ts';
import { parseReference, shortReference } from '../src/image/reference.ts';
import { readFile } from '../src/image/source.ts';
import { withStore } from './image-call.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

export function run(call: Call): Promise<number> {
  const { options } = call;
  const file = options.text('input') ?? '-';
  if (file === '-' && process.stdin.isTTY) {
    throw new RunncError('INVALID', 'load: give --input FILE, or an archive on standard input');
  }
  const where = file === '-' ? 'standard input' : file;
  const source =
    file === '-'
      ? (createReadStream('', { fd: 0, autoClose: false }) as AsyncIterable<Uint8Array>)
      : readFile(file);
  return withStore(call, async (store) => {
    const images = await loadArchive(store, source, where);
    for (const { descriptor, references } of images) {
      for (const reference of references) await store.tag(reference, descriptor);
      if (references.length === 0) await store.keep(descriptor);
    }
    if (options.flag('quiet')) return 0;
    for (const { descriptor, references } of images) {
      for (const reference of references)
        print(`Loaded image: ${shortReference(parseReference(reference))}\n`);
      if (references.length === 0) print(`Loaded image ID: ${descriptor.digest}\n`);
    }
    return 0;
  });
}
