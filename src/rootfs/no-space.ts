import { RunncError } from '../errors.ts';

/** The disk is full: the cache may have something to give back. */
export class NoSpaceError extends RunncError {
  constructor(what: string, cause: unknown) {
    super('HOST', `${what} cannot be written: no space left on the device`, { cause });
    this.name = 'NoSpaceError';
  }
}
