import { createHash } from 'node:crypto';
import type { Node } from './file-tree.ts';

/** A file of root's with that text. */
export function textFile(text: string, mtime: number): Node {
  const data = Buffer.from(text);
  async function* read(): AsyncGenerator<Uint8Array> {
    yield data;
    await Promise.resolve();
  }
  return {
    ...{ kind: 'file', mode: 0o644, uid: 0, gid: 0, mtime, children: new Map() },
    content: {
      sizeBytes: data.length,
      sha256: createHash('sha256').update(data).digest('hex'),
      origin: { type: 'stream', read },
    },
  };
}
