/** SHA-256 by the global Web Crypto: node:crypto would cost every start milliseconds of loading. Hexadecimal. */
export async function sha256(...parts: readonly (string | Uint8Array)[]): Promise<string> {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
}
