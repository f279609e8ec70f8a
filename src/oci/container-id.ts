import { RunncError, shorten } from '../errors.ts';

/** runc's. No regular expression: it would be the only one of most calls, and the first costs Bun 0.1 ms. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+,-.';
const MAX_LENGTH = 1024;

/** An id becomes a file name, so it must be one and nothing else. Throws INVALID. */
export function checkContainerId(id: string): void {
  if (id.length > MAX_LENGTH) {
    throw new RunncError(
      'INVALID',
      `container id: ${String(id.length)} characters are more than the allowed ${String(MAX_LENGTH)}`,
    );
  }
  if (!isContainerId(id)) {
    throw new RunncError(
      'INVALID',
      `container id: expected letters, digits and the characters "_+,-.", got ${shorten(id)}`,
    );
  }
}

export function isContainerId(id: string): boolean {
  if (id === '' || id === '.' || id === '..' || id.length > MAX_LENGTH) return false;
  for (let i = 0; i < id.length; i++) if (!ALPHABET.includes(id.charAt(i))) return false;
  return true;
}
