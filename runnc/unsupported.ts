/** Verbs of runc that no guest can do: the caller is told so, in the way it tells its user. */
import { RunncError } from '../src/errors.ts';
import { loadContainer } from './container-call.ts';
import type { Call } from './verb.ts';

export async function checkpoint(call: Call): Promise<number> {
  return refuse(call, 'checkpoint: not supported by this guest');
}

export async function restore(): Promise<number> {
  return Promise.reject(new RunncError('UNSUPPORTED', 'restore: not supported by any guest'));
}

/** An id that does not exist is said first. */
async function refuse(call: Call, message: string): Promise<number> {
  loadContainer(call);
  return Promise.reject(new RunncError('UNSUPPORTED', message));
}
