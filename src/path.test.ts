import { expect } from 'chai';
import { posix } from 'node:path';
import { basename, dirname, join, normalize, resolve } from './path.ts';

describe('paths', () => {
  const pieces = ['', '.', '..', '/', '//', 'a', 'bc', '/a', 'a/', '../', './', '...', 'a b', '.a', 'ä'];

  /** All paths of up to so many pieces. */
  function* paths(depth = 3): Generator<string> {
    yield '';
    if (depth === 0) return;
    for (const rest of paths(depth - 1)) for (const piece of pieces) yield `${piece}${rest}`;
  }

  for (const [name, ours, theirs] of [
    ['normalize', normalize, posix.normalize],
    ['dirname', dirname, posix.dirname],
    ['basename', basename, (path: string) => posix.basename(path)],
    ['resolve', resolve, posix.resolve],
  ] as const) {
    it(`${name} says what node:path says`, () => {
      for (const path of new Set(paths())) expect(ours(path), JSON.stringify(path)).to.equal(theirs(path));
    });
  }

  it('joins and resolves two as node:path does', () => {
    const some = [...new Set(paths(2))].filter((path) => path.length < 4);
    for (const a of some) {
      for (const b of some) {
        const both = JSON.stringify([a, b]);
        expect(join(a, b), both).to.equal(posix.join(a, b));
        expect(resolve(a, b), both).to.equal(posix.resolve(a, b));
      }
    }
  });
});
