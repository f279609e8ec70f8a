import { execFileSync } from 'node:child_process';
import type { GuestProcess } from '../src/container/guest-answers.ts';
import { errorMessage, RunncError } from '../src/errors.ts';
import { loadContainer } from './container-call.ts';
import { print, printTable } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const container = loadContainer(call);
  const psArgs = call.operands.slice(1);
  if (call.options.text('format') === 'json') {
    print(`${JSON.stringify(await container.ps())}\n`);
    return 0;
  }
  const inside = psArgs.length > 0 ? undefined : await container.processes();
  if (inside === undefined) {
    print(processTable(await container.ps(), psArgs.length > 0 ? psArgs : ['-ef']));
  } else {
    const now = new Date();
    printTable([
      ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
      ...inside.map((process) => row(process, now)),
    ]);
  }
  return 0;
}

/** As `ps -ef` shows it. */
function row(process: GuestProcess, now: Date): readonly string[] {
  const { uid, pid, parentPid, cpuMs, ageMs, tty = '?', args } = process;
  const usedPercent = ageMs === 0 ? 0 : Math.min(Math.floor((cpuMs * 100) / ageMs), 99);
  return [
    ...[uid, pid, parentPid, usedPercent].map(String),
    startTime(new Date(now.getTime() - ageMs), now),
    tty,
    duration(cpuMs),
    printable(args.join(' ')) + (process.state === 'Z' ? ' <defunct>' : ''),
  ];
}

/** The guest chooses them: none may move the cursor of whoever looks. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?');
}

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const DAY_MS = 86_400_000;

/** "HH:MM", of more than a day ago "Nov30". */
function startTime(start: Date, now: Date): string {
  if (!(now.getTime() - start.getTime() < DAY_MS)) {
    if (Number.isNaN(start.getTime())) return '?';
    const month = start.getMonth() * 3;
    return MONTHS.slice(month, month + 3) + twoDigits(start.getDate());
  }
  return `${twoDigits(start.getHours())}:${twoDigits(start.getMinutes())}`;
}

/** "HH:MM:SS", with more hours than a day has where it must be. */
function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(twoDigits).join(':');
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** The lines of ps(1) that are about these processes of the host. */
function processTable(pids: readonly number[], psArgs: readonly string[]): string {
  let output: string;
  try {
    output = execFileSync('ps', psArgs, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new RunncError('HOST', `ps ${psArgs.join(' ')}: ${errorMessage(error)}`, { cause: error });
  }
  const [title = '', ...lines] = output.split('\n');
  const column = title.trim().split(/\s+/).indexOf('PID');
  if (column < 0) throw new RunncError('INVALID', `ps ${psArgs.join(' ')}: its output has no column PID`);
  const ours = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[column])));
  return [title, ...ours].map((line) => `${line}\n`).join('');
}
