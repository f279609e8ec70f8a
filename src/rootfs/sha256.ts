import { sha256 as sha256Now } from '../native.ts';

/** Above this another thread, with the processor's instructions for it, is faster than the addon on the spot. */
const MAX_NOW_BYTES = 64 * 1024;

/** SHA-256, hexadecimal. Without node:crypto, which would cost every start milliseconds of loading. */
export async function sha256(data: string | Uint8Array): Promise<string> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  if (bytes.length <= MAX_NOW_BYTES) return sha256Now(bytes).toString('hex');
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
}
