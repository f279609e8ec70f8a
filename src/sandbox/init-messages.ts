/** The words that init and the runtime exchange, as tender/init/report.h has them, and what they mean as errors. */
import { RunncError, type ErrorCode } from '../errors.ts';
import type { ExitStatus } from '../native.ts';

/**
 * How long the event loop may be held up by a wait for init, in milliseconds. Its answers nearly always take less, and
 * less than what the runtime does in one go anyway. A hook or a busy host takes longer: then the loop goes on.
 */
export const INIT_HOLD_MS = 5;

/** First bytes of messages, tender/init/report.h. */
export const message = {
  userNamespace: 'U',
  namespaces: 'N',
  created: 'C',
  executing: 'E',
  failed: 'F',
  fault: 'X',
  mapped: 'M',
  continue: 'G',
  start: 'S',
} as const;

const failureCodes: Readonly<Record<string, ErrorCode>> = {
  H: 'HOST',
  K: 'HOOK',
  D: 'EXEC_DENIED',
  I: 'INVALID',
};

export function kindOf(data: Buffer): string | undefined {
  return data.length === 0 ? undefined : String.fromCharCode(data[0] ?? 0);
}

export function failureOf(data: Buffer): RunncError {
  const code = failureCodes[String.fromCharCode(data[0] ?? 0)] ?? 'HOST';
  return new RunncError(
    code,
    data
      .toString('utf8', 1)
      .trim()
      .replace(/\s*\n\s*/g, ' '),
  );
}

/** A bug in one of the two. */
export function misunderstood(): RunncError {
  return new RunncError('INTERNAL', 'init said something that the runtime does not understand');
}

export function endedEarly(status: ExitStatus | undefined): RunncError {
  const how =
    status === undefined
      ? ''
      : status.type === 'exited'
        ? ` (exit status ${String(status.code)})`
        : ` (signal ${String(status.signal)}; does linux.resources.memory.limit leave it any room?)`;
  return new RunncError('HOST', `the container's process ended before it could be started${how}`);
}
