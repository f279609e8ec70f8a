/** A process's system calls counted from outside with strace, and its death before any one of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { until } from './bundle.ts';
import { procStatus } from './host-state.ts';

/** The `occurrence`-th call of this name since the process was watched, from 1. */
export interface HostCall {
  readonly name: string;
  readonly occurrence: number;
}

export interface Watch {
  /** The calls so far, in order; more may follow. */
  calls(): readonly HostCall[];
  /** Until the process has ended or is let go. */
  readonly ended: Promise<unknown>;
  letGo(): Promise<void>;
}

/**
 * @param file where strace writes.
 * @param killBefore SIGKILL strikes when the process enters this call, which is not made any more.
 */
export async function watchCalls(pid: number, file: string, killBefore?: HostCall): Promise<Watch> {
  const inject =
    killBefore === undefined
      ? []
      : [`--inject=${killBefore.name}:signal=SIGKILL:when=${String(killBefore.occurrence)}`];
  const child = spawn('strace', ['-qq', '-o', file, ...inject, '-p', String(pid)], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await until(
    () => Promise.resolve(child.exitCode !== null || procStatus(pid, 'TracerPid') !== '0'),
    'strace is attached',
  );
  return {
    calls: () => numbered(readFileSync(file, 'utf8')),
    ended,
    letGo: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function numbered(trace: string): HostCall[] {
  const counts = new Map<string, number>();
  return [...trace.matchAll(/^(\w+)\(/gm)].map(([, name = '']) => {
    const occurrence = (counts.get(name) ?? 0) + 1;
    counts.set(name, occurrence);
    return { name, occurrence };
  });
}
