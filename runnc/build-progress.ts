/**
 * How a build looks on standard error: on a terminal a list that is drawn again and again, the current step with what its
 * program printed last; elsewhere line by line.
 */
import { writeSync } from 'node:fs';
import { errnoOf } from '../src/errors.ts';
import type { BuildObserver, StepObserver } from '../src/image/build/observer.ts';
import { decimalSize } from '../src/size.ts';

export type ProgressMode = 'auto' | 'plain' | 'tty' | 'quiet';

export interface BuildProgress extends BuildObserver {
  /** Nothing more is drawn. */
  finish(): void;
}

export function buildProgress(mode: ProgressMode): BuildProgress {
  if (mode === 'quiet') return new QuietProgress();
  if (mode === 'plain' || (mode === 'auto' && !process.stderr.isTTY)) return new PlainProgress();
  return new TerminalProgress({ columns: process.stderr.columns || 80, rows: process.stderr.rows || 24 });
}

/** Everything goes out before the process may end. */
function writeError(text: string): void {
  try {
    for (let rest = Buffer.from(text); rest.length > 0;) rest = rest.subarray(writeSync(2, rest));
  } catch (error) {
    // Nobody looks.
    if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'EAGAIN') throw error;
  }
}

class QuietProgress implements BuildProgress {
  begin(): StepObserver {
    const nothing = (): void => undefined;
    return { bytes: nothing, output: nothing, cached: nothing, done: nothing, failed: nothing };
  }

  finish(): void {
    // Nothing was begun.
  }
}

/** "#3 [2/4] COPY . /app", "#3 CACHED", "#3 DONE 0.2s, 1.5 MB". */
class PlainProgress implements BuildProgress {
  #steps = 0;

  begin(name: string): StepObserver {
    const number = String(++this.#steps);
    const started = performance.now();
    let bytes = 0;
    let line = '';
    const say = (text: string): void => {
      writeError(`#${number} ${text}\n`);
    };
    const flush = (): void => {
      if (line !== '') say(`${seconds(started)} ${printable(line)}`);
      line = '';
    };
    const end = (text: string): void => {
      flush();
      say(text);
      writeError('\n');
    };
    say(name);
    return {
      bytes: (count) => {
        bytes += count;
      },
      output: (text) => {
        const lines = (line + text).split('\n');
        line = lines.pop() ?? '';
        for (const whole of lines) say(`${seconds(started)} ${printable(whole)}`);
      },
      cached: () => {
        end('CACHED');
      },
      done: () => {
        end(`DONE ${seconds(started)}s${bytes === 0 ? '' : `, ${decimalSize(bytes)}`}`);
      },
      failed: () => {
        end('ERROR');
      },
    };
  }

  finish(): void {
    // Each line is out already.
  }
}

interface ShownStep {
  readonly name: string;
  readonly started: number;
  state: 'running' | 'done' | 'cached' | 'failed';
  ended?: number;
  bytes: number;
  /** The last lines that its program printed; the last one may not be whole. */
  output: string[];
}

const REDRAW_MS = 100;
const MAX_OUTPUT_LINES = 6;
/** ECMA-48: up a line; clear to the end of the line; of the screen. */
const UP = '\x1b[1A';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** `write` and `now` are the screen's and the clock's; tests have their own. */
export class TerminalProgress implements BuildProgress {
  readonly #steps: ShownStep[] = [];
  readonly #size: ScreenSize;
  readonly #write: (text: string) => void;
  readonly #started = performance.now();
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;

  constructor(size: ScreenSize, write: (text: string) => void = writeError) {
    this.#size = size;
    this.#write = write;
    this.#timer = setInterval(() => {
      this.#draw(false);
    }, REDRAW_MS);
    this.#timer.unref();
  }

  begin(name: string): StepObserver {
    const step: ShownStep = { name, started: performance.now(), state: 'running', bytes: 0, output: [] };
    this.#steps.push(step);
    const end = (state: ShownStep['state']) => (): void => {
      step.state = state;
      step.ended = performance.now();
      this.#draw(false);
    };
    this.#draw(false);
    return {
      bytes: (count) => {
        step.bytes += count;
      },
      output: (text) => {
        const lines = ((step.output.pop() ?? '') + text).split('\n');
        step.output = [...step.output, ...lines].slice(-(MAX_OUTPUT_LINES + 1));
      },
      cached: end('cached'),
      done: end('done'),
      failed: end('failed'),
    };
  }

  finish(): void {
    clearInterval(this.#timer);
    this.#draw(true);
  }

  #draw(isLast: boolean): void {
    const lines = this.#lines(isLast);
    const up = UP.repeat(this.#drawn);
    this.#write(`${up}\r${lines.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`);
    this.#drawn = lines.length;
  }

  #lines(isLast: boolean): string[] {
    const ended = this.#steps.filter(({ state }) => state !== 'running').length;
    const head = `[+] Building ${seconds(this.#started)}s (${String(ended)}/${String(this.#steps.length)})`;
    const lines = this.#steps.flatMap((step) => [this.#stepLine(step), ...this.#outputLines(step)]);
    const room = Math.max(1, this.#size.rows - 2);
    return [isLast ? `${head} FINISHED` : head, ...lines.slice(-room)];
  }

  #stepLine({ name, state, started, ended, bytes }: ShownStep): string {
    const mark = { running: '', done: '', cached: 'CACHED ', failed: 'ERROR ' }[state];
    const right = `${bytes === 0 ? '' : `${decimalSize(bytes)} `}${seconds(started, ended)}s`;
    const left = ` => ${mark}${printable(name)}`;
    const width = Math.max(10, this.#size.columns - right.length - 2);
    return `${left.length > width ? `${left.slice(0, width - 1)}…` : left.padEnd(width)} ${right}`;
  }

  /** Of a step that runs, or has failed: then its user wants to know why. */
  #outputLines({ state, output }: ShownStep): string[] {
    if (state !== 'running' && state !== 'failed') return [];
    const lines = output.at(-1) === '' ? output.slice(0, -1) : output;
    return lines
      .slice(-MAX_OUTPUT_LINES)
      .map((line) => ` => => # ${printable(line)}`.slice(0, this.#size.columns - 1));
  }
}

function seconds(started: number, ended = performance.now()): string {
  return ((ended - started) / 1000).toFixed(1);
}

/** A program's output must not move the cursor. A carriage return begins its line anew. */
function printable(text: string): string {
  const shown = text.replace(/\r$/, '').replace(/^.*\r/, '');
  return shown.replace(ESCAPE_SEQUENCE, '').replace(/\p{Cc}/gu, (char) => (char === '\t' ? char : ''));
}

/** CSI sequences of ECMA-48, colours among them. */
const ESCAPE_SEQUENCE = new RegExp(`${'\u{1b}'}\\[[0-9;?]*[ -/]*[@-~]`, 'gu');
