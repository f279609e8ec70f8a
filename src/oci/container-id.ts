import { RunncError, shorten } from '../errors.ts';

/** runc's alphabet: letters, digits and _ + , - . */
const ALPHABET = /^[\w+,\-.]+$/;
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
  return id.length <= MAX_LENGTH && ALPHABET.test(id) && id !== '.' && id !== '..';
}
