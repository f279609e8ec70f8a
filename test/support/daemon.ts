/** A daemon of the tests' own: started, awaited, ended by its pid. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

export interface Daemon {
  readonly pid: number;
  /** Asks it to end and waits until it has. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Gets what it prints. */
  readonly log: string;
  /** Its UNIX socket; it is started when the socket is there. */
  readonly socket: string;
  /** The network namespace it lives in, by name; default: the tests' own. */
  readonly namespace?: string;
}

const START_TIMEOUT_MS = 60_000;

export async function startDaemon({ program, args, log, socket, namespace }: DaemonOptions): Promise<Daemon> {
  const logFd = openSync(log, 'a');
  // Should the tests be killed, the daemon is to end too.
  const enter = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...enter, program, ...args], {
    stdio: ['ignore', logFd, logFd],
  });
  closeSync(logFd);
  const exited = once(child, 'exit');
  const { pid } = child;
  if (pid === undefined)
    throw new Error(`${program} cannot be started: ${String((await once(child, 'error'))[0])}`);
  const appeared = await Promise.race([appears(socket), exited.then(() => false)]);
  if (!appeared) {
    child.kill('SIGKILL');
    throw new Error(`${program} did not start:\n${readFileSync(log, 'utf8').slice(-3000)}`);
  }
  return {
    pid,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** False when it does not within a minute. */
async function appears(path: string): Promise<boolean> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), START_TIMEOUT_MS);
  try {
    return await new Promise((resolve) => {
      const watcher = watch(dirname(path), { signal: controller.signal }, (_, name) => {
        if (name === basename(path)) finish(true);
      });
      const finish = (found: boolean): void => {
        watcher.close();
        resolve(found);
      };
      controller.signal.addEventListener('abort', () => finish(false));
      if (existsSync(path)) finish(true);
    });
  } finally {
    clearTimeout(timer);
  }
}
