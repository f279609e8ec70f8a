/** Runs a program to its end. */
import { spawn, type ChildProcess } from 'node:child_process';

export interface CommandResult {
  /** As a shell counts: 128 + signal for a program that was killed. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string | Buffer;
  /** Writes `input` only when this has been printed on standard output. */
  readonly inputAfter?: string;
  /** Leaves standard input open behind `input`. */
  readonly holdInput?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Then it is killed and the result says so; default 60 s. */
  readonly timeoutMs?: number;
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
  SIGSYS: 31,
};

/** Never rejects because of the program's status; does when it cannot be started. */
export function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { input, inputAfter = '', holdInput = false, timeoutMs = 60_000, ...rest } = options;
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(program, args, {
      ...rest,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let hasInput = input !== undefined;
    const giveInput = (): void => {
      if (!hasInput || !Buffer.concat(stdout).includes(inputAfter)) return;
      hasInput = false;
      child.stdin?.write(input ?? '');
      if (!holdInput) child.stdin?.end();
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      giveInput();
    });
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program may end without reading its input.
    child.stdin?.on('error', () => undefined);
    giveInput();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const late = timedOut ? `\n(killed: still running after ${String(timeoutMs)} ms)` : '';
      resolve({
        status: code ?? 128 + (SIGNALS[signal ?? ''] ?? 0),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString() + late,
      });
    });
  });
}

/** Its standard output, without the last newline; anything but status 0 is an error that shows all it said. */
export async function succeed(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, options);
  if (status === 0) return stdout.replace(/\n$/, '');
  throw new Error(`${program} ${args.join(' ')}: status ${String(status)}\n${stdout}${stderr}`);
}
