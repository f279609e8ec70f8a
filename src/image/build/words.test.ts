import { expect } from 'chai';
import { expandWord, splitWords } from './words.ts';

const variables: Readonly<Record<string, string>> = { a: 'A', empty: '', path: 'x/y/z.tar.gz', two: 'b c' };

describe('words of a Dockerfile', () => {
  const expand = (word: string, escape = '\\'): string => expandWord(word, (name) => variables[name], escape);

  const cases: readonly (readonly [string, string])[] = [
    ['plain', 'plain'],
    ['$a', 'A'],
    ['${a}b$a', 'AbA'],
    ['$ab', ''],
    ['$a-b', 'A-b'],
    ['$', '$'],
    ['$/x', '$/x'],
    ['\\$a', '$a'],
    ['"$a \\" \\$a \\n"', 'A " $a \\n'],
    ["'$a'", '$a'],
    ['$two', 'b c'],
    ['a\\ b', 'a b'],
    ['${a:-d}', 'A'],
    ['${none:-d}', 'd'],
    ['${none:-${a}x}', 'Ax'],
    ['${none:-"q r"}', 'q r'],
    ['${empty:-d}', 'd'],
    ['${empty-d}', ''],
    ['${none-d}', 'd'],
    ['${a:+s}', 's'],
    ['${none:+s}', ''],
    ['${empty:+s}', ''],
    ['${empty+s}', 's'],
    ['${a:?why}', 'A'],
    ['${path#*/}', 'y/z.tar.gz'],
    ['${path##*/}', 'z.tar.gz'],
    ['${path%.*}', 'x/y/z.tar'],
    ['${path%%.*}', 'x/y/z'],
    ['${path%q}', 'x/y/z.tar.gz'],
    ['${path/\\//-}', 'x-y/z.tar.gz'],
    ['${path//\\//-}', 'x-y-z.tar.gz'],
    ['${none:-}', ''],
    ['über$a', 'überA'],
  ];
  for (const [word, expanded] of cases) {
    it(`${word} is ${JSON.stringify(expanded)}`, () => {
      expect(expand(word)).to.equal(expanded);
    });
  }

  it('may be escaped by a backtick', () => {
    expect(expand('c:\\x`$a', '`')).to.equal('c:\\x$a');
  });

  const wrong: readonly (readonly [string, string])[] = [
    ['${', 'without a name'],
    ['${a', 'unknown operator'],
    ['${a:-b', '"}" is missing'],
    ['${a!b}', 'unknown operator'],
    ['"a', 'a double quote is not closed'],
    ["'a", 'a single quote is not closed'],
    ['${none:?is needed}', 'none: is needed'],
    ['${none?}', 'none: is not set'],
  ];
  for (const [word, message] of wrong) {
    it(`${word} is refused`, () => {
      expect(() => expand(word)).to.throw(message);
    });
  }

  it('end at blanks that are neither quoted nor escaped', () => {
    expect(splitWords(' a "b c"\td\\ e  f=\'g h\' ', '\\')).to.deep.equal(['a', '"b c"', 'd\\ e', "f='g h'"]);
  });
});
