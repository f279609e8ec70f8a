/** The flags of an instruction, each known to it. */
import { RunncError } from '../../errors.ts';
import type { Instruction } from './dockerfile.ts';

/** Throws INVALID for one that is not in `known`. Of a flag that is repeated the last one counts, but see `texts`. */
export class Flags {
  readonly #flags: Instruction['flags'];

  constructor({ flags, keyword }: Instruction, known: readonly string[]) {
    for (const { name } of flags) {
      if (known.includes(name)) continue;
      const there =
        known.length === 0 ? 'it has none' : `there are ${known.map((flag) => `--${flag}`).join(', ')}`;
      throw new RunncError('INVALID', `${keyword}: --${name} is not supported: ${there}`);
    }
    this.#flags = flags;
  }

  text(name: string): string | undefined {
    return this.#flags.findLast((flag) => flag.name === name)?.value;
  }

  texts(name: string): readonly string[] {
    return this.#flags.filter((flag) => flag.name === name).map(({ value }) => value);
  }
}
