/**
 * The command: finds the verb, reads its flags, runs it, and turns what it throws into the log line, the text on
 * stderr and the exit status that callers of an OCI runtime expect.
 */
import { errorMessage, RunncError } from '../src/errors.ts';
import { Log } from '../src/oci/log.ts';
import { COMPLETE_VERB, type CommandDeclaration, commands, globalOptions } from './commands.ts';
import { print } from './output.ts';
import { type Options, parseLine, splitLine } from './parse.ts';
import type { Globals } from './verb.ts';

/** As runc's. */
const STATUS_FAILED = 1;
const STATUS_UNKNOWN_COMMAND = 3;

/** Runs the command line and ends the process. */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<never> {
  process.exit(await runLine(args));
}

async function runLine(args: readonly string[]): Promise<number> {
  let log = new Log({ format: 'text', debug: false });
  try {
    const { globals, verb, rest } = splitLine(args, globalOptions);
    log = openLog(globals);
    if (globals.flag('version')) return await printVersion();
    if (verb === undefined || globals.flag('help')) return await printHelp(verb);
    if (verb === 'help') return await printHelp(rest[0]);
    if (verb === COMPLETE_VERB) return await printCompletions(rest);
    const command = Object.hasOwn(commands, verb) ? commands[verb]?.() : undefined;
    if (command === undefined) {
      log.error(`unknown command "${verb}": see "runnc --help"`);
      return STATUS_UNKNOWN_COMMAND;
    }
    return await runVerb(verb, command, globals, rest, log);
  } catch (error) {
    report(error, log);
    return STATUS_FAILED;
  }
}

async function runVerb(
  verb: string,
  command: CommandDeclaration,
  globals: Options,
  rest: readonly string[],
  log: Log,
): Promise<number> {
  const { options, operands } = parseLine(rest, command.options, {
    foreignFlags: command.foreignFlags ?? false,
  });
  if (options.flag('help')) return printHelp(verb);
  if (operands.length < command.minOperands || operands.length > command.maxOperands) {
    const usage = `runnc ${verb} ${command.operands}`.trim();
    throw new RunncError('INVALID', `${verb}: expected ${usage}, got ${String(operands.length)} operands`);
  }
  log.debug(`runnc ${verb} ${operands.join(' ')}`);
  const { run } = await command.load();
  return run({ globals: readGlobals(globals), options, operands, log });
}

function openLog(globals: Options): Log {
  const file = globals.text('log');
  return new Log({
    ...(file === undefined || file === '' ? {} : { file }),
    format: globals.text('log-format') === 'json' ? 'json' : 'text',
    debug: globals.flag('debug'),
  });
}

function readGlobals(options: Options): Globals {
  const root = options.text('root');
  const rootless = options.text('rootless');
  return {
    ...(root === undefined || root === '' ? {} : { root }),
    systemdCgroup: options.flag('systemd-cgroup'),
    ...(rootless === 'true' || rootless === 'false' ? { rootless: rootless === 'true' } : {}),
    debug: options.flag('debug'),
  };
}

function report(error: unknown, log: Log): void {
  if (error instanceof RunncError && error.code !== 'INTERNAL') {
    log.error(errorMessage(error));
    return;
  }
  log.error(`internal error: ${errorMessage(error)}`);
  if (error instanceof Error) log.debug(error.stack ?? '');
}

/** What the completion scripts call; no verb for people. */
async function printCompletions(words: readonly string[]): Promise<number> {
  const { complete } = await import('./completion.ts');
  print((await complete(words)).map((word) => `${word}\n`).join(''));
  return 0;
}

async function printVersion(): Promise<number> {
  const { versionText } = await import('./version.ts');
  print(versionText());
  return 0;
}

async function printHelp(verb: string | undefined): Promise<number> {
  const { helpText } = await import('./help.ts');
  print(await helpText(verb));
  return 0;
}
