import { expect } from 'chai';
import { parseDockerfile, type Instruction } from './dockerfile.ts';

describe('a Dockerfile', () => {
  const parse = (...lines: readonly string[]): readonly Instruction[] =>
    parseDockerfile(lines.join('\n'), 'Dockerfile').instructions;
  const parts = (...lines: readonly string[]): (readonly [string, string])[] =>
    parse(...lines).map(({ keyword, rest }) => [keyword, rest]);

  it('is a list of instructions, whatever their case', () => {
    expect(parts('# comment', 'from scratch', '', 'Copy a /b', '  LABEL x=y  ')).to.deep.equal([
      ['FROM', 'scratch'],
      ['COPY', 'a /b'],
      ['LABEL', 'x=y'],
    ]);
  });

  it('continues lines, past comments and empty lines', () => {
    expect(parts('RUN a \\', '  # comment', '', '  && b \\  ', '\t&& c # kept')).to.deep.equal([
      ['RUN', 'a   && b \t&& c # kept'],
    ]);
    expect(parts('# escape=`', 'RUN a\\', 'RUN b `', 'c')).to.deep.equal([
      ['RUN', 'a\\'],
      ['RUN', 'b c'],
    ]);
  });

  it('has flags before the rest', () => {
    const [copy, run] = parse('COPY --from=a --chown="1:2" --link a b', 'RUN -- --x');
    expect(copy?.flags).to.deep.equal([
      { name: 'from', value: 'a' },
      { name: 'chown', value: '1:2' },
      { name: 'link', value: 'true' },
    ]);
    expect(copy?.rest).to.equal('a b');
    expect(run?.rest).to.equal('--x');
  });

  it('has JSON arrays of strings, and what only begins like one', () => {
    const [a, b, c] = parse('CMD ["a b", "\\u0041"]', 'CMD [a, b]', 'CMD ["a", 1]');
    expect(a?.json).to.deep.equal(['a b', 'A']);
    expect(b?.json).to.equal(undefined);
    expect(c?.json).to.equal(undefined);
  });

  it('has heredocs', () => {
    const [copy, run, last] = parse(
      'COPY <<one <<-"two" /dest/',
      'hello $x \\',
      'one',
      '\ttabbed',
      '\t\ttwo',
      "RUN cat <<A && echo '<<B' $((1<<2))",
      'A',
      'LABEL last=one',
    );
    expect(copy?.heredocs).to.deep.equal([
      { name: 'one', content: 'hello $x \\\n', expand: true },
      { name: 'two', content: 'tabbed\n', expand: false },
    ]);
    expect(run?.heredocs).to.deep.equal([{ name: 'A', content: '', expand: true }]);
    expect(last?.rest).to.equal('last=one');
  });

  it('says where each instruction is', () => {
    const [, run] = parse('FROM scratch', '', 'RUN a \\', '  b');
    expect(run?.place).to.deep.equal({ file: 'Dockerfile', line: 3, text: 'RUN a b' });
  });

  it('is refused when it is none', () => {
    expect(() => parse('')).to.throw('Dockerfile: has no instructions');
    expect(() => parse('# escape=x', 'FROM scratch')).to.throw('Dockerfile:1: # escape=x: expected \\ or `');
    expect(() => parse('FROM scratch', 'COPY <<E /x', 'text')).to.throw(
      'Dockerfile:2: COPY <<E /x: the line "E" that ends <<E is missing',
    );
  });
});
