import { constants } from 'node:os';
import { RunncError, shorten } from '../errors.ts';

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
  const known: Readonly<Record<string, number>> = constants.signals;
  const number = known[`SIG${name}`] ?? realTime(name);
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
