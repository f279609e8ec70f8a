/** What a verb is given and what it gives back: the contract of every file that implements one. */
import type { Log } from '../src/oci/log.ts';
import type { Options } from './parse.ts';

export interface Call {
  /** Flags before the verb. */
  readonly globals: Globals;
  /** The verb's own flags, as declared in commands.ts. */
  readonly options: Options;
  /** What is no flag; as many as the declaration allows. */
  readonly operands: readonly string[];
  readonly log: Log;
}

export interface Globals {
  /** --root; absent: the default of the user. */
  readonly root?: string;
  readonly systemdCgroup: boolean;
  /** --rootless; absent ("auto"): true for everybody but root. */
  readonly rootless?: boolean;
  readonly debug: boolean;
}

/**
 * Runs the verb and resolves to the exit status. What it throws is reported by main.ts: in the log, on stderr, as
 * exit status 1.
 */
export type Verb = (call: Call) => Promise<number>;

/** A file that implements a verb exports it under this name. */
export interface VerbModule {
  readonly run: Verb;
}
