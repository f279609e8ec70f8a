/** The stages of a Dockerfile, and the ARGs before the first of them. */
import { RunncError, shorten } from '../../errors.ts';
import { configInstructions, words } from './config-instructions.ts';
import { type Dockerfile, failAt, type Instruction } from './dockerfile.ts';
import { Flags } from './instruction-flags.ts';
import { expandWord, splitWords } from './words.ts';

export interface Stage {
  readonly index: number;
  /** Lower case; undefined without AS. */
  readonly name?: string;
  readonly from: Instruction;
  /** What FROM names, variables put in: a stage before this one, "scratch", or an image. */
  readonly base: string;
  readonly platform?: string;
  readonly instructions: readonly Instruction[];
}

export interface Stages {
  readonly stages: readonly Stage[];
  /** The ARGs before the first FROM, and the platforms. Stages that declare one without a default get it. */
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly escape: string;
}

const FILE_KEYWORDS = ['ADD', 'COPY', 'RUN', 'WORKDIR', 'ARG', 'MAINTAINER'];

/** `predefined`: TARGETPLATFORM and the like. Throws INVALID, with the place. */
export function readStages(
  { instructions, escape }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  predefined: ReadonlyMap<string, string>,
): Stages {
  const globalArgs = new Map(predefined);
  const stages: (Stage & { readonly instructions: Instruction[] })[] = [];
  for (const instruction of instructions) {
    try {
      const stage = stages.at(-1);
      if (instruction.keyword === 'FROM') {
        stages.push({ ...readFrom(instruction, stages, globalArgs, escape), instructions: [] });
      } else if (stage !== undefined) {
        checkKeyword(instruction.keyword);
        stage.instructions.push(instruction);
      } else if (instruction.keyword === 'ARG') {
        for (const [name, value] of readArgs(instruction, escape, (n) => globalArgs.get(n))) {
          const effective = buildArgs.get(name) ?? value;
          if (effective !== undefined) globalArgs.set(name, effective);
        }
      } else {
        throw new RunncError('INVALID', 'there is no FROM before it');
      }
    } catch (error) {
      throw failAt(instruction.place, error);
    }
  }
  const file = instructions[0]?.place.file ?? '';
  if (stages.length === 0) throw new RunncError('INVALID', `${file}: has no FROM`);
  return { stages, globalArgs, escape };
}

/** By name, or by number. Throws NOT_FOUND. */
export function findTarget(stages: readonly Stage[], target: string | undefined): Stage {
  const found = target === undefined ? stages.at(-1) : findStage(stages, target);
  if (found !== undefined) return found;
  const named = stages.flatMap(({ name }) => (name === undefined ? [] : [name]));
  const there = named.length === 0 ? 'no stage has a name' : `there are ${named.join(', ')}`;
  throw new RunncError('NOT_FOUND', `--target: the stage ${shorten(target ?? '')} does not exist: ${there}`);
}

/** The last one of that name. */
export function findStage(stages: readonly Stage[], text: string): Stage | undefined {
  const named = stages.findLast(({ name }) => name === text.toLowerCase());
  return named ?? (/^\d+$/.test(text) ? stages[Number(text)] : undefined);
}

/** The names and defaults of an ARG; later ones may use earlier ones. */
export function readArgs(
  instruction: Instruction,
  escape: string,
  lookup: (name: string) => string | undefined,
): [string, string | undefined][] {
  new Flags(instruction, []);
  const own = new Map<string, string>();
  const args = splitWords(instruction.rest, escape).map((word): [string, string | undefined] => {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new RunncError('INVALID', `${shorten(name)} is no name`);
    if (equals < 0) return [name, undefined];
    const value = expandWord(word.slice(equals + 1), (n) => own.get(n) ?? lookup(n), escape);
    own.set(name, value);
    return [name, value];
  });
  if (args.length === 0) throw new RunncError('INVALID', 'expected a name');
  return args;
}

function readFrom(
  instruction: Instruction,
  stages: readonly Stage[],
  args: ReadonlyMap<string, string>,
  escape: string,
): Omit<Stage, 'instructions'> {
  const flags = new Flags(instruction, ['platform']);
  const expand = (word: string): string => expandWord(word, (name) => args.get(name), escape);
  const [image = '', as, name, ...more] = words(instruction);
  if (
    image === '' ||
    more.length > 0 ||
    (as !== undefined && (as.toUpperCase() !== 'AS' || name === undefined))
  ) {
    throw new RunncError('INVALID', 'expected FROM image, or FROM image AS name');
  }
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/i.test(name)) {
    throw new RunncError('INVALID', `${shorten(name)} is no name for a stage`);
  }
  const base = expand(image);
  if (base === '')
    throw new RunncError('INVALID', `${shorten(image)} is empty: is an ARG before FROM missing?`);
  const platform = flags.text('platform');
  return {
    index: stages.length,
    ...(name === undefined ? {} : { name: name.toLowerCase() }),
    from: instruction,
    base,
    ...(platform === undefined ? {} : { platform: expand(platform) }),
  };
}

export function checkKeyword(keyword: string): void {
  if (FILE_KEYWORDS.includes(keyword) || Object.hasOwn(configInstructions, keyword)) return;
  throw new RunncError('INVALID', `there is no instruction ${shorten(keyword)}`);
}
