import { expect } from 'chai';
import { isRumprun, rumprunCommandLine } from './rumprun.ts';

/**
 * What rumprun makes of a command line, written from its description: strings are cut out by jsmn, which checks escapes
 * and undoes none; `cmdline` is then split at blanks, with quotes and backslashes.
 */
function asRumprunSees(text: string): { args: string[]; env: string[] } {
  const env: string[] = [];
  let args: string[] = [];
  let rest = text.slice(1);
  while (rest !== '}') {
    const key = rawString(rest);
    rest = rest.slice(key.length + 3);
    if (key === 'env' || key === 'cmdline' || key === 'cwd') {
      const value = rawString(rest);
      rest = rest.slice(value.length + 2);
      if (key === 'env') env.push(value);
      if (key === 'cmdline') args = parseArgs(value);
    } else if (key === 'rc_TESTING') {
      const strings = [];
      const end = rest.indexOf('}]');
      for (let inner = rest.slice(0, end); inner !== '';) {
        if (!inner.startsWith('"')) inner = inner.slice(1);
        else {
          const value = rawString(inner);
          strings.push(value);
          inner = inner.slice(value.length + 2);
        }
      }
      args = strings.filter((value) => value !== 'bin' && value !== 'argv');
      rest = rest.slice(end + 2);
    } else {
      rest = rest.slice(rest.indexOf('}') + 1);
    }
    if (rest.startsWith(',')) rest = rest.slice(1);
  }
  return { args, env };
}

/** The token that jsmn finds at the start, without its quotes. Throws where jsmn reports JSMN_ERROR_INVAL. */
function rawString(text: string): string {
  expect(text[0]).to.equal('"');
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '"') return text.slice(1, i);
    if (text[i] === '\\') expect('"\\/bfnrtu').to.include(text[++i]);
  }
  throw new Error('unterminated string');
}

function parseArgs(text: string): string[] {
  const args: string[] = [];
  let current: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '\\') current = (current ?? '') + text.charAt(++i);
    else if (/[ \t\n]/.test(char) && quote === '') {
      if (current !== undefined) args.push(current);
      current = undefined;
    } else if (char === quote) quote = '';
    else if (char === '"' || char === "'") {
      quote = char;
      current ??= '';
    } else current = (current ?? '') + char;
  }
  if (current !== undefined) args.push(current);
  return args;
}

describe('the command line of a rumprun unikernel', () => {
  const line = (args: string[], env: string[] = []): string => rumprunCommandLine({ args, env }).text;

  it('has environment, arguments, network, block device and folder in the order that rumprun needs', () => {
    const { text, warnings } = rumprunCommandLine({
      args: ['/node.nabla', '/app.js'],
      env: ['PATH=/bin', 'A=b'],
      cwd: '/srv',
      net: { address: '172.17.0.2', prefixLength: 16, gateway: '172.17.0.1' },
      blockMountPoint: '/',
    });
    expect(text).to.equal(
      '{"env":"PATH=/bin","env":"A=b","cmdline":"/node.nabla /app.js",' +
        '"net":{"if":"ukvmif0","cloner":"True","type":"inet","method":"static","addr":"172.17.0.2","mask":"16","gw":"172.17.0.1"},' +
        '"blk":{"source":"etfs","path":"/dev/ld0a","fstype":"blk","mountpoint":"/"},"cwd":"/srv"}',
    );
    expect(warnings).to.deep.equal([]);
  });

  for (const arg of [
    'two words',
    '  blanks\tand\nnewlines ',
    '',
    '{"bla":"ble"}',
    '{\\"bla\\":\\"ble\\"}',
    'back\\slash',
    'ends with \\',
    '\\n is not a newline',
    'zażółć gęślą 🦊',
    "it's",
    "'quoted' words",
    '-flag=value',
    '}',
    ',"env":"X=1"',
  ]) {
    it(`passes the argument ${JSON.stringify(arg)} exactly`, () => {
      expect(asRumprunSees(line(['/app.nabla', arg, 'last'], ['X=y'])).args).to.deep.equal([
        '/app.nabla',
        arg,
        'last',
      ]);
    });
  }

  it('passes JSON arguments in the very bytes that nabla does', () => {
    expect(line(['/hello.nabla', '{"bla":"ble"}'])).to.equal(
      '{"cmdline":"/hello.nabla {\\"bla\\":\\"ble\\"}"}',
    );
  });

  it('refuses the one mixture that rumprun has no words for', () => {
    expect(() => line(['/app.nabla', "it's", 'a "b"'])).to.throw(
      /process\.args\[2\].*apostrophe in args\[1\]/,
    );
  });

  it('warns of environment that rumprun will see with backslashes', () => {
    const { text, warnings } = rumprunCommandLine({
      args: ['/a.nabla'],
      env: ['PS1=\\u@\\h', 'B=it\'s "x y'],
    });
    expect(warnings).to.have.length(2);
    expect(warnings[0]).to.match(/^process\.env PS1:/);
    expect(asRumprunSees(text).env).to.deep.equal(['PS1=\\\\u@\\\\h', 'B=it\'s \\"x y']);
  });

  it('refuses a line that is too long, with its length', () => {
    const env = [`LONG=${'x'.repeat(8191 - '{"env":"LONG=","cmdline":"/a"}'.length)}`];
    expect(line(['/a'], env)).to.have.length(8191);
    expect(() => line(['/a'], [...env, 'B='])).to.throw(/8202 bytes .* at most 8191/);
    expect(() => line(['/a', 'ż'.repeat(5000)])).to.throw(/100\d\d bytes/);
  });

  it('refuses NUL bytes, which would cut the line short', () => {
    expect(() => line(['/a', 'b\0c'])).to.throw(/process\.args\[1\]/);
    expect(() => line(['/a'], ['b\0=c'])).to.throw(/process\.env/);
  });

  it('is for *.nabla, and for what an annotation calls rumprun', () => {
    expect(isRumprun('/node.nabla', {})).to.equal(true);
    expect(isRumprun('/unikernel.spt', {})).to.equal(false);
    expect(isRumprun('/x.spt', { 'com.urunc.unikernel.unikernelType': 'rumprun' })).to.equal(true);
    expect(isRumprun('/x.spt', { 'com.urunc.unikernel.unikernelType': 'cnVtcHJ1bg==' })).to.equal(true);
    expect(isRumprun('/x.nabla', { 'io.runnc.guest': 'mirage' })).to.equal(false);
  });
});
