import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { RunncError } from '../src/errors.ts';
import { complete } from './completion.ts';
import { type OptionDeclarations, parseLine, splitLine } from './parse.ts';
import { VERSION } from './version.ts';

const declared: OptionDeclarations = {
  all: { type: 'boolean', short: 'a', help: '' },
  name: { type: 'string', short: 'n', help: '' },
  kind: { type: 'string', choices: ['x', 'y'], help: '' },
};

describe('the command line parser', () => {
  it('takes flags and operands in any order', () => {
    const { options, operands } = parseLine(['one', '-a', 'two', '--name', 'v', '--', '--all'], declared);
    expect(operands).to.deep.equal(['one', 'two', '--all']);
    expect(options.flag('all')).to.equal(true);
    expect(options.text('name')).to.equal('v');
    expect(options.text('kind')).to.equal(undefined);
  });

  it('takes the next argument for a value whatever it looks like', () => {
    for (const value of ['-1', '-', '--all', '']) {
      expect(parseLine(['--name', value], declared).options.text('name')).to.equal(value);
    }
    expect(parseLine(['--name=a=b'], declared).options.text('name')).to.equal('a=b');
    expect(parseLine(['-n', '-1'], declared).options.integer('name', -1)).to.equal(-1);
  });

  it('takes booleans with a value, and the last of repeated flags', () => {
    expect(parseLine(['--all=false'], declared).options.flag('all')).to.equal(false);
    expect(
      parseLine(['--all', '--all=true', '--name', 'a', '--name', 'b'], declared).options.text('name'),
    ).to.equal('b');
  });

  it('keeps all values of a flag that may be repeated, in order', () => {
    const { options } = parseLine(['-n', 'a', 'operand', '--name=b', '-n', ''], declared);
    expect(options.texts('name')).to.deep.equal(['a', 'b', '']);
    expect(options.texts('kind')).to.deep.equal([]);
  });

  it('names the flag that is wrong', () => {
    for (const [args, message] of [
      [['--nope'], 'unknown flag --nope'],
      [['-x'], 'unknown flag -x'],
      [['--constructor'], 'unknown flag --constructor'],
      [['--name'], '--name: a value is missing'],
      [['--all=maybe'], '--all: expected no value, got "maybe"'],
      [['--kind', 'z'], '--kind: expected "x" or "y", got "z"'],
    ] as const) {
      expect(() => parseLine(args, declared)).to.throw(RunncError, message);
    }
    const { options } = parseLine(['--name', '1e3'], declared);
    expect(() => options.integer('name', 0)).to.throw(
      RunncError,
      '--name: expected an integer of at least 0, got "1e3"',
    );
  });

  it('leaves what follows the verb unread', () => {
    const { globals, verb, rest } = splitLine(['-a', '--name', 'verb', 'exec', '--nope', 'x'], declared);
    expect({ verb, rest, name: globals.text('name') }).to.deep.equal({
      verb: 'exec',
      rest: ['--nope', 'x'],
      name: 'verb',
    });
    expect(splitLine(['--name', 'exec'], declared)).not.to.have.property('verb');
  });

  it('takes one dash for two, and values behind an equals sign', () => {
    const { options } = parseLine(['-name=a=b', '-all'], declared);
    expect(options.text('name')).to.equal('a=b');
    expect(options.flag('all')).to.equal(true);
    expect(parseLine(['--name', 'x', '--', '--all'], declared).operands).to.deep.equal(['--all']);
  });

  it('takes short flags together, the last one with its value', () => {
    expect(
      parseLine(['-ab'], { ...declared, both: { type: 'boolean', short: 'b', help: '' } }).options.flag(
        'both',
      ),
    ).to.equal(true);
    const { options, operands } = parseLine(['-anx=y', 'op'], declared);
    expect([options.flag('all'), options.text('name'), operands]).to.deep.equal([true, 'x=y', ['op']]);
    expect(parseLine(['-an', 'x'], declared).options.text('name')).to.equal('x');
    expect(() => parseLine(['-az'], declared)).to.throw('unknown flag -az');
  });

  it('leaves the flags of another program alone', () => {
    const { options, operands } = parseLine(['-a', 'id', 'ls', '-l', '--name'], declared, {
      foreignFlags: true,
    });
    expect(operands).to.deep.equal(['id', 'ls', '-l', '--name']);
    expect(options.flag('all')).to.equal(true);
  });

  it('offers nothing it would not take itself', async () => {
    expect(await complete(['--', 'create', '--no-'])).to.deep.equal(['--no-pivot', '--no-new-keyring']);
    expect(await complete(['--', '--root', ''])).to.deep.equal([]);
    expect(await complete([])).to.include('run');
  });
});

describe('the version', () => {
  it('is that of the package', () => {
    const file = new URL('../package.json', import.meta.url);
    expect(VERSION).to.equal((JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version);
  });
});
