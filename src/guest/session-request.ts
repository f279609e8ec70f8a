/**
 * What the Linux guest kernel is asked to run beside the container's own program: the records that
 * tender/common/abi/runnc_control.h names, which are those of the boot config.
 */
import {
  type BootCredentials,
  type BootRlimit,
  credentials,
  encodeRecord,
  Flag,
  RecordType,
  rlimit,
  strings,
  tty,
  u32,
  u64,
} from './boot-config.ts';
import { RunncError } from '../errors.ts';

/** RUNNC_CONTROL_REQUEST_MAX. */
const MAX_BYTES = 4 * 1024 * 1024;

/** RUNNC_CONTROL_NULL_STREAM(n) is this shifted left by n. */
const NULL_STREAM = 1 << 16;

export interface SessionRequest {
  /** Never empty. */
  readonly args: readonly string[];
  /** NAME=value, in order. */
  readonly env: readonly string[];
  /** Absolute path in the container. */
  readonly cwd: string;
  readonly credentials: BootCredentials;
  readonly rlimits: readonly BootRlimit[];
  readonly noNewPrivileges: boolean;
  /** Absent: no terminal. */
  readonly tty?: { readonly rows: number; readonly columns: number };
  /** Which of 0, 1, 2 are /dev/null: the program gets the container's. */
  readonly nullStreams: readonly number[];
}

/** Throws INVALID for a string with a NUL, and for one that is too long altogether. */
export function encodeSessionRequest(request: SessionRequest): Uint8Array {
  const flags = request.nullStreams.reduce(
    (bits, stream) => bits | (NULL_STREAM << stream),
    request.noNewPrivileges ? Flag.NO_NEW_PRIVS : 0,
  );
  const bytes = Buffer.concat([
    ...request.args.map((arg) => encodeRecord(RecordType.ARG, strings('an argument', arg))),
    ...request.env.map((entry) => encodeRecord(RecordType.ENV, strings('an environment variable', entry))),
    encodeRecord(RecordType.CWD, strings('the working directory', request.cwd)),
    encodeRecord(RecordType.CREDS, credentials(request.credentials)),
    ...request.rlimits.map((limit) => encodeRecord(RecordType.RLIMIT, rlimit(limit))),
    encodeRecord(RecordType.FLAGS, u32(flags)),
    ...(request.tty === undefined ? [] : [encodeRecord(RecordType.TTY, tty(request.tty))]),
  ]);
  if (bytes.length <= MAX_BYTES) return bytes;
  throw new RunncError(
    'INVALID',
    'exec: arguments and environment have more than 4 MiB: argument list too long',
  );
}

/** RUNNC_CONTROL_REC_ASK. */
const ASK_RECORD = 256;

/** enum runnc_control_question. */
export const Question = { MEMORY: 1, PROCESSES: 2, MEMORY_LIMIT: 3 } as const;

/** A question to the guest kernel itself, in place of a program; `value` by question. */
export function encodeQuestion(question: number, value = 0): Uint8Array {
  return encodeRecord(ASK_RECORD, Buffer.concat([u32(question, 0), u64(BigInt(value))]));
}
