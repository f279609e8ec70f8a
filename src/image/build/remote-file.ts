/** ADD of a URL: only with the digest of what is there, so that a build gets the same file or none. */
import { errorMessage, RunncError, shorten } from '../../errors.ts';
import { isDigest } from '../digest.ts';
import type { Selected } from './copy.ts';
import type { StepObserver } from './observer.ts';
import type { Session } from './session.ts';

const MAX_BYTES = 16 * 2 ** 30;
/** As Docker's. */
const MODE = 0o600;

/** Throws INVALID for another digest, UNSUPPORTED for other URLs, HOST when it cannot be had. Not in the store then. */
export async function fetchFile(
  url: string,
  checksum: string,
  { store, now }: Session,
  step: StepObserver,
): Promise<Selected> {
  if (!isDigest(checksum)) {
    throw new RunncError(
      'INVALID',
      `--checksum: expected "sha256:" and 64 hexadecimal digits, got ${shorten(checksum)}`,
    );
  }
  const parsed = parseUrl(url);
  const name = parsed.pathname.split('/').at(-1) ?? '';
  if (name === '')
    throw new RunncError('INVALID', `${shorten(url)}: has no file name: fetch it before the build`);
  const response = await get(parsed, url);
  const { size } = await store.putBlob(limited(response.body, url, step), { digest: checksum });
  const modified = Date.parse(response.headers.get('last-modified') ?? '');
  return {
    name: decodeURIComponent(name),
    node: {
      ...{ kind: 'file', mode: MODE, uid: 0, gid: 0, children: new Map() },
      mtime: Number.isNaN(modified) ? now : Math.floor(modified / 1000),
      content: {
        sizeBytes: size,
        sha256: checksum.slice('sha256:'.length),
        origin: { type: 'stream', read: () => store.readBlob(checksum) },
      },
    },
  };
}

function parseUrl(text: string): URL {
  try {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  } catch {
    // Said below.
  }
  throw new RunncError('UNSUPPORTED', `${shorten(text)}: only http and https URLs are fetched`);
}

async function get(url: URL, shown: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new RunncError('HOST', `${shorten(shown)}: ${errorMessage(cause)}`, { cause: error });
  }
  if (response.ok) return response;
  throw new RunncError('HOST', `${shorten(shown)}: status ${String(response.status)}`);
}

async function* limited(body: Response['body'], url: string, step: StepObserver): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new RunncError('INVALID', `${shorten(url)}: is larger than 16 GiB`);
    step.bytes(chunk.length);
    yield chunk;
  }
}
