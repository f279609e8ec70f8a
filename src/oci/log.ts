/**
 * The log that callers read: --log FILE and --log-format, in the two formats of runc (logrus). containerd takes
 * the last line of level "error" of a JSON log for the reason why a call failed, so a line must be complete,
 * valid, and have a time as RFC 3339 wants it.
 */
import { appendFileSync, writeSync } from '../files.ts';

export type LogFormat = 'text' | 'json';
export type LogLevel = 'debug' | 'warning' | 'error';

export interface LogOptions {
  /** Where lines are appended; without it they go to stderr. */
  readonly file?: string;
  readonly format: LogFormat;
  /** Write lines of level debug as well. */
  readonly debug: boolean;
}

export function formatLogLine(format: LogFormat, level: LogLevel, message: string, time: Date): string {
  const stamp = time.toISOString();
  const line =
    format === 'json'
      ? JSON.stringify({ level, msg: message, time: stamp })
      : `time="${stamp}" level=${level} msg=${JSON.stringify(message)}`;
  return `${line}\n`;
}

export class Log {
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /**
   * An error, for the log and as plain text for whoever reads stderr (callers take either). Never throws: a
   * log that cannot be written must not hide the error itself.
   */
  error(message: string): void {
    const { file, format } = this.#options;
    if (file !== undefined) this.#append(file, 'error', message);
    writeStderr(
      file === undefined && format === 'json'
        ? formatLogLine(format, 'error', message, new Date())
        : `${message}\n`,
    );
  }

  warn(message: string): void {
    this.#write('warning', message);
  }

  debug(message: string): void {
    if (this.#options.debug) this.#write('debug', message);
  }

  #write(level: LogLevel, message: string): void {
    const { file, format } = this.#options;
    if (file !== undefined) this.#append(file, level, message);
    else writeStderr(formatLogLine(format, level, message, new Date()));
  }

  #append(file: string, level: LogLevel, message: string): void {
    try {
      appendFileSync(file, formatLogLine(this.#options.format, level, message, new Date()), { mode: 0o644 });
    } catch (error) {
      writeStderr(`${file}: cannot write the log: ${String(error)}\n`);
    }
  }
}

/** conmon closes its end early: nobody reading is no reason to fail. */
export function writeStderr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // Nowhere left to say so.
  }
}
