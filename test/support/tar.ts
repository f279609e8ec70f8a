/** Archives made entry by entry, honest or not. */
import { pack, type Header } from 'tar-stream';

export type TestEntry = Partial<Header> & { readonly name: string; readonly content?: string | Buffer };

/** With fixed times, so that equal entries give equal bytes. */
export async function makeTar(entries: readonly TestEntry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) {
    const given = { mtime: new Date('2026-01-02T03:04:05Z'), uid: 0, gid: 0, ...header };
    archive.entry(given, content ?? Buffer.alloc(0));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** In pieces that respect no border. */
export async function* inPieces(data: Buffer, pieceBytes = 10_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    yield await Promise.resolve(data.subarray(at, at + pieceBytes));
  }
}
