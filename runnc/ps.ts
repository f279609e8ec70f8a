import { execFileSync } from 'node:child_process';
import { errorMessage, RunncError } from '../src/errors.ts';
import { loadContainer } from './container-call.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const pids = await loadContainer(call).ps();
  if (call.options.text('format') === 'json') {
    print(`${JSON.stringify(pids)}\n`);
    return 0;
  }
  const psArgs = call.operands.slice(1);
  print(processTable(pids, psArgs.length > 0 ? psArgs : ['-ef']));
  return 0;
}

/** The lines of ps(1) that are about these processes. */
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
