/** Digests of the image specification: "sha256:" and 64 hexadecimal digits. Others are refused, as no registry uses them. */
import { createHash, type Hash } from 'node:crypto';
import { RunncError, shorten } from '../errors.ts';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is string {
  return typeof text === 'string' && DIGEST.test(text);
}

/** The hexadecimal part. Throws INVALID: what it returns is safe in a path. */
export function hexOf(digest: string): string {
  if (!isDigest(digest)) {
    throw new RunncError(
      'INVALID',
      `digest: expected "sha256:" and 64 hexadecimal digits, got ${shorten(digest)}`,
    );
  }
  return digest.slice('sha256:'.length);
}

export function digestOf(data: string | Uint8Array): string {
  return finishDigest(createHash('sha256').update(data));
}

export function startDigest(): Hash {
  return createHash('sha256');
}

export function finishDigest(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}
