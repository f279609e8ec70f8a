/** The files of a stage in a folder of the host, where a program can use them. */
import { mkdirSync } from 'node:fs';
import { Unpacker } from '../unpack.ts';
import type { Layer } from './layer-writer.ts';
import type { Session } from './session.ts';

/** Lays the layers over what is in the folder, which is made if it is missing and must be nobody else's. */
export async function unpackStage(
  { layers, onWarning }: Session,
  wanted: readonly Layer[],
  folder: string,
): Promise<void> {
  mkdirSync(folder, { mode: 0o755, recursive: true });
  const unpacker = new Unpacker(folder, { onWarning });
  try {
    for (const { diffId } of wanted) {
      const { name, read } = layers.archive(diffId);
      await unpacker.layer(read(), name);
    }
    unpacker.finish();
  } finally {
    unpacker.close();
  }
}
