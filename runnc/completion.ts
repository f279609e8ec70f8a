/**
 * Completion: three short scripts that ask `runnc __complete WORDS…` what the last word may become, so that they
 * can never disagree with the declarations.
 */
import { RunncError } from '../src/errors.ts';
import { COMPLETE_VERB, commands, globalOptions } from './commands.ts';
import { storeOptions } from './container-call.ts';
import { print } from './output.ts';
import type { OptionDeclaration, OptionDeclarations } from './parse.ts';
import type { Call } from './verb.ts';

/** bash and zsh offer file names where nothing is offered; fish does so by itself. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# bash completion for runnc: source <(runnc completion bash)
_runnc() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$(runnc ${COMPLETE_VERB} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _runnc runnc
`,
  zsh: `#compdef runnc
# zsh completion for runnc: source <(runnc completion zsh)
_runnc() {
    local -a replies
    replies=("\${(@f)$(runnc ${COMPLETE_VERB} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
    replies=(\${replies:#})
    if (( \${#replies} )); then compadd -- $replies; else _files; fi
}
compdef _runnc runnc
`,
  fish: `# fish completion for runnc: runnc completion fish | source
function __runnc_complete
    set -l words (commandline -opc) (commandline -ct)
    runnc ${COMPLETE_VERB} -- $words[2..-1] 2>/dev/null
end
complete -c runnc -a '(__runnc_complete)'
`,
};

export async function run({ operands }: Call): Promise<number> {
  const shell = operands[0] ?? '';
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined)
    throw new RunncError('INVALID', `completion: expected bash, zsh or fish, got "${shell}"`);
  print(script);
  return Promise.resolve(0);
}

/** `words` is the line after "runnc"; the last one is being written. Empty where file names are meant. */
export async function complete(words: readonly string[]): Promise<readonly string[]> {
  const line = words[0] === '--' ? words.slice(1) : words;
  const current = line.at(-1) ?? '';
  const candidates = await candidatesFor(line.slice(0, -1), current);
  return candidates.filter((candidate) => candidate.startsWith(current));
}

async function candidatesFor(before: readonly string[], current: string): Promise<readonly string[]> {
  const { verb, operandCount, pending, root } = readLine(before);
  if (pending !== undefined) return pending.choices?.filter((choice) => choice !== '') ?? [];
  if (verb === undefined) {
    return current.startsWith('-') ? flags(globalOptions) : [...Object.keys(commands), 'help'];
  }
  const command = commands[verb]?.();
  if (command === undefined) return verb === 'help' ? Object.keys(commands) : [];
  if (current.startsWith('-')) return flags(command.options);
  if (verb === 'completion') return Object.keys(SCRIPTS);
  if (verb === 'kill' && operandCount === 1) return ['HUP', 'INT', 'KILL', 'QUIT', 'TERM', 'USR1', 'USR2'];
  if (/^<image/.test(command.operands) && (operandCount === 0 || command.maxOperands === Infinity)) {
    return verb === 'run' && operandCount > 0 ? [] : imageNames();
  }
  const wantsId = command.operands.startsWith('<container-id>') && verb !== 'create';
  return wantsId && operandCount === 0 ? containerIds(root) : [];
}

interface LineSoFar {
  readonly verb?: string;
  readonly operandCount: number;
  /** The flag whose value comes next. */
  readonly pending?: OptionDeclaration;
  readonly root?: string;
}

/** Like parse.ts, but an unfinished line is no mistake. */
function readLine(words: readonly string[]): LineSoFar {
  let verb: string | undefined;
  let root: string | undefined;
  let operandCount = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const option = word.startsWith('-') ? optionOf(word, optionsOf(verb)) : undefined;
    if (option?.type === 'string' && !word.includes('=')) {
      const value = words[++i];
      if (value === undefined)
        return { ...(verb === undefined ? {} : { verb }), operandCount, pending: option };
      if (word === '--root') root = value;
    } else if (!word.startsWith('-')) {
      if (verb === undefined) verb = word;
      else operandCount++;
    }
  }
  return { ...(verb === undefined ? {} : { verb }), operandCount, ...(root === undefined ? {} : { root }) };
}

function optionsOf(verb: string | undefined): OptionDeclarations {
  return verb === undefined ? globalOptions : (commands[verb]?.().options ?? {});
}

function optionOf(word: string, declared: OptionDeclarations): OptionDeclaration | undefined {
  const name = word.replace(/^--?/, '').replace(/=.*/s, '');
  return word.startsWith('--') ? declared[name] : Object.values(declared).find(({ short }) => short === name);
}

function flags(declared: OptionDeclarations): string[] {
  return Object.entries(declared).flatMap(([name, { short }]) =>
    short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`],
  );
}

async function containerIds(root: string | undefined): Promise<readonly string[]> {
  const { Container } = await import('../src/container/container.ts');
  const globals = { systemdCgroup: false, debug: false, ...(root === undefined ? {} : { root }) };
  return (await Container.list(storeOptions(globals))).map(({ id }) => id);
}

async function imageNames(): Promise<readonly string[]> {
  const [{ ImageStore }, { parseReference, shortReference }] = await Promise.all([
    import('../src/image/store.ts'),
    import('../src/image/reference.ts'),
  ]);
  const store = await ImageStore.open();
  return store
    .list()
    .flatMap(({ reference }) => (reference === undefined ? [] : [shortReference(parseReference(reference))]));
}
