/**
 * Errors as values with a code. The outermost layer (runnc/main.ts) adds the OCI wording, the log line and
 * the exit status; nothing inside prints.
 */
export type ErrorCode =
  /** The caller's input (config.json, a flag, an annotation, an image) is wrong. */
  | 'INVALID'
  /** No container, image or file of that name. Message contains "does not exist". */
  | 'NOT_FOUND'
  /** A container of that id is there already. */
  | 'EXISTS'
  /** The container is not in a state that allows this. */
  | 'STATE'
  /** The program to run is not in the image (exit status 127 at the callers). */
  | 'EXEC_NOT_FOUND'
  /** The program to run cannot be executed (exit status 126 at the callers). */
  | 'EXEC_DENIED'
  /** This guest or this host cannot do that. */
  | 'UNSUPPORTED'
  /** The host said no: permission, space, I/O. */
  | 'HOST'
  /** A hook failed. */
  | 'HOOK'
  /** A bug of ours. */
  | 'INTERNAL';

/** One line that says what is wrong, where, and how to mend it. Never ends with a full stop or newline. */
export class RunncError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'RunncError';
    this.code = code;
  }
}

/** The message of anything thrown, on one line. */
export function errorMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ');
}

/** Quoted, on one line and short: the text comes from a document that nobody vouches for. */
export function shorten(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

/** The errno name ("ENOENT") of a Node system error, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
