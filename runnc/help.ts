/** The help texts, laid out by yargs from the declarations. */
import yargs, { type Argv } from 'yargs';
import { RunncError } from '../src/errors.ts';
import { type CommandDeclaration, commands, globalOptions } from './commands.ts';
import type { OptionDeclarations } from './parse.ts';

const ABOUT =
  'runnc runs each OCI container as one host process that can make only a handful of system calls';

/** Throws INVALID for a verb that is not there. */
export async function helpText(verb?: string): Promise<string> {
  if (verb === undefined) return `${await programHelp()}\n`;
  const command = Object.hasOwn(commands, verb) ? commands[verb]?.() : undefined;
  if (command === undefined) throw new RunncError('INVALID', `help: there is no command "${verb}"`);
  return `${await verbHelp(verb, command)}\n`;
}

async function programHelp(): Promise<string> {
  const program = blank().usage(
    `${ABOUT}.\n\nUsage: runnc [flags] <command> [command flags] [operands]\n` +
      'Help on a command: runnc <command> --help',
  );
  for (const [name, declare] of Object.entries(commands)) {
    const { operands, summary } = declare();
    program.command(`${name} ${operands}`.trim().replace(/<bash.*>/, '<shell>'), summary);
  }
  return addOptions(program, globalOptions).getHelp();
}

async function verbHelp(
  name: string,
  { operands, summary, details, options }: CommandDeclaration,
): Promise<string> {
  const usage = `Usage: runnc [global flags] ${name} [flags] ${operands}`.trim();
  const text = [`${summary}.`, usage, ...(details === undefined ? [] : [details])].join('\n\n');
  return addOptions(blank().usage(text), options).getHelp();
}

/** Without the flags that yargs brings itself; ours are declared. */
function blank(): Argv {
  return yargs([]).scriptName('runnc').locale('en').help(false).version(false).wrap(columns());
}

function columns(): number {
  return Math.min(100, process.stdout.columns || 80);
}

function addOptions(program: Argv, declared: OptionDeclarations): Argv {
  for (const [name, { short, value, help, choices }] of Object.entries(declared)) {
    const shown = (choices ?? []).filter((choice) => choice !== '');
    program.option(name, {
      ...(short === undefined ? {} : { alias: short }),
      ...(shown.length > 0 ? { choices: shown } : {}),
      describe: value === undefined ? help : `${value}: ${help}`,
    });
  }
  return program;
}
