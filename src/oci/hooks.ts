/**
 * Hooks that run in the runtime's own namespaces: prestart, createRuntime, poststart, poststop (runtime-spec
 * config.md "POSIX-platform Hooks"). The two of the container's namespaces are run by init.
 */
import { spawn } from 'node:child_process';
import { errorMessage, RunncError } from '../errors.ts';
import type { Hook, HookKind } from './spec.ts';
import type { State } from './state.ts';

/** Text of a failed hook that is kept for the error. */
const MAX_OUTPUT_BYTES = 4096;
/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** How long to wait for the rest of the output of a failed hook whose children keep it open. */
const OUTPUT_GRACE_MS = 500;

/**
 * Runs them one after the other, each with the state as JSON on stdin, in the bundle. Throws HOOK at the first that
 * cannot be run, exits with a status other than 0 or takes longer than its timeout.
 */
export async function runHooks(kind: HookKind, hooks: readonly Hook[], state: State): Promise<void> {
  const stdin = JSON.stringify(state);
  for (const [i, hook] of hooks.entries()) {
    try {
      await runHook(hook, stdin, state.bundle);
    } catch (error) {
      throw new RunncError('HOOK', `hooks.${kind}[${String(i)}] (${hook.path}): ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }
}

function runHook(hook: Hook, stdin: string, cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const [argv0 = hook.path, ...args] = hook.args ?? [];
    const env = hook.env === undefined ? process.env : environment(hook.env);
    // Never our own stdout and stderr: the caller reads them until everyone has closed them.
    const child = spawn(hook.path, args, { argv0, cwd, env, stdio: 'pipe' });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (output.length < MAX_OUTPUT_BYTES) output += text;
      });
    }
    let timedOut = false;
    const timer =
      hook.timeout === undefined
        ? undefined
        : setTimeout(
            () => {
              timedOut = true;
              child.kill('SIGKILL');
            },
            Math.min(hook.timeout * 1000, MAX_TIMER_MS),
          );

    // A hook need not read its state.
    child.stdin.on('error', () => undefined).end(stdin);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('exit', (status, signal) => {
      clearTimeout(timer);
      const finish = (): void => {
        child.stdout.destroy();
        child.stderr.destroy();
        if (status === 0) resolve();
        else reject(new Error(failure(hook, timedOut, status, signal, output)));
      };
      if (status === 0) {
        finish();
        return;
      }
      const grace = setTimeout(finish, OUTPUT_GRACE_MS);
      child.on('close', () => {
        clearTimeout(grace);
        finish();
      });
    });
  });
}

function failure(
  hook: Hook,
  timedOut: boolean,
  status: number | null,
  signal: NodeJS.Signals | null,
  output: string,
): string {
  const text = output.trim().slice(0, MAX_OUTPUT_BYTES);
  const why = timedOut
    ? `took longer than its timeout of ${String(hook.timeout)} s`
    : signal === null
      ? `exited with status ${String(status)}`
      : `was killed by ${signal}`;
  return text === '' ? why : `${why}: ${text}`;
}

function environment(entries: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    if (equals > 0) env[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return env;
}
