/** Runs unikernels for tests: a tender, its options, a kernel, and what came of it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export { unikernel } from '../support/paths.ts';

export const dist = fileURLToPath(new URL('../../dist', import.meta.url));

/** Long enough for a loaded machine; a guest that takes it is stuck. */
const STUCK_MS = 60_000;

export interface Run {
  /** A command that is put before the tender, e.g. one that enters a network namespace. */
  readonly within?: readonly string[];
  readonly options?: readonly string[];
  readonly kernel: string;
  readonly args?: readonly string[];
}

export interface Outcome {
  /** Exit status, or the signal's name. */
  readonly end: number | NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export class Tender {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  run(run: Run): Outcome {
    const [command, ...args] = this.#command(run);
    const result = spawnSync(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: STUCK_MS,
      maxBuffer: 256 << 20,
    });
    if (result.error) throw result.error;
    return {
      end: result.signal ?? result.status,
      stdout: result.stdout,
      stderr: result.stderr.toString(),
    };
  }

  start(run: Run): RunningGuest {
    const [command, ...args] = this.#command(run);
    return new RunningGuest(spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  #command({ within = [], options = [], kernel, args = [] }: Run): [string, ...string[]] {
    const words = [...within, this.path, ...options, '--', kernel, ...args];
    return words as [string, ...string[]];
  }
}

/** What a failed test leaves running ends with it. */
const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A guest that is talked to while it runs. */
export class RunningGuest {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Outcome>;
  #stdout = '';
  #stderr = '';
  #lookForText: (() => void) | undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    running.add(child);
    child.stdout?.on('data', (data: Buffer) => {
      this.#stdout += data.toString('latin1');
      this.#lookForText?.();
    });
    child.stderr?.on('data', (data: Buffer) => {
      this.#stderr += data.toString('latin1');
    });
    this.#ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        running.delete(child);
        resolve({ end: signal ?? status, stdout: Buffer.from(this.#stdout, 'latin1'), stderr: this.#stderr });
      });
    });
  }

  /** Resolves once the guest has printed `text`; rejects if it ends before. */
  async printed(text: string): Promise<void> {
    const found = new Promise<void>((resolve) => {
      this.#lookForText = () => {
        if (this.#stdout.includes(text)) resolve();
      };
      this.#lookForText();
    });
    const early = this.#ended.then(({ end, stderr }) => {
      if (this.#stdout.includes(text)) return;
      throw new Error(`guest ended (${end}) without printing "${text}": ${this.#stdout}${stderr}`);
    });
    await Promise.race([found, early]);
  }

  ended(): Promise<Outcome> {
    return this.#ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** A folder for one suite, gone after it. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
