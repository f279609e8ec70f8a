import { RunncError, shorten } from '../errors.ts';

/** signal(7) on x86-64, from 1 on. From here and not from node:os, which takes `kill` a quarter of a millisecond. */
const NAMES: readonly string[] = (
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU ' +
  'XFSZ VTALRM PROF WINCH IO PWR SYS'
).split(' ');

const ALIASES: ReadonlyMap<string, string> = new Map([
  ['IOT', 'ABRT'],
  ['POLL', 'IO'],
]);

/** signal(7) on x86-64: the C library keeps the first two real-time signals for itself. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** "TERM", "SIGTERM", "term", "15", "RTMIN+3" → the number, 1 to 64. Throws INVALID. */
export function parseSignal(text: string): number {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= SIGRTMAX) return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const known = NAMES.indexOf(ALIASES.get(name) ?? name) + 1;
  const number = known > 0 ? known : realTime(name);
  if (number === undefined) {
    throw new RunncError(
      'INVALID',
      `unknown signal ${shorten(text)}: expected a name such as TERM or a number 1 to 64`,
    );
  }
  return number;
}

function realTime(name: string): number | undefined {
  const match = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (match === null) return undefined;
  const offset = Number(match[3] ?? 0) * (match[2] === '-' ? -1 : 1);
  const number = (match[1] === 'MIN' ? SIGRTMIN : SIGRTMAX) + offset;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}
