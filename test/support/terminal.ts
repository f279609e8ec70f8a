/** A program on a terminal of its own, as from a user's shell. */
import { run, type CommandResult } from './command.ts';

/**
 * What it prints, standard error included, is in `stdout` as the terminal shows it.
 *
 * @param input typed on it when `after` has been shown: what is typed before a program has set the terminal as it wants
 * it is shown and read differently each time.
 */
export function onTerminal(
  program: string,
  args: readonly string[],
  input = '',
  after = '',
): Promise<CommandResult> {
  const command = [program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return run('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    input,
    inputAfter: after,
    // The end of its input would be a Control-D to the program.
    holdInput: true,
  });
}
