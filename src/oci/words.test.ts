/** The small vocabulary of the command: ids, signals, log lines. */
import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import { checkContainerId, isContainerId } from './container-id.ts';
import { formatLogLine } from './log.ts';
import { parseSignal } from './signals.ts';

describe('a container id', () => {
  it("is made of runc's characters", () => {
    for (const id of ['a', 'A-z_0.9+b,c', '...', 'x'.repeat(1024), '-a'])
      expect(isContainerId(id), id).to.equal(true);
    for (const id of ['', '.', '..', 'a/b', 'a b', 'a\n', 'ü', '@', 'x'.repeat(1025)]) {
      expect(isContainerId(id), id).to.equal(false);
      expect(() => {
        checkContainerId(id);
      }).to.throw(RunncError, /^container id: [^\n]+$/);
    }
  });
});

describe('a signal', () => {
  it('is a name with or without SIG, or a number', () => {
    for (const [text, number] of [
      ['TERM', 15],
      ['sigterm', 15],
      ['SIGKILL', 9],
      ['9', 9],
      ['64', 64],
      ['RTMIN', 34],
      ['SIGRTMIN+3', 37],
      ['RTMAX-1', 63],
    ] as const) {
      expect(parseSignal(text), text).to.equal(number);
    }
    for (const text of [
      '',
      '0',
      '65',
      '-9',
      '1.5',
      'SIG',
      'NOPE',
      'RTMIN+31',
      'RTMAX+1',
      'constructor',
      '0x9',
    ]) {
      expect(() => parseSignal(text), text).to.throw(RunncError, 'unknown signal');
    }
  });
});

describe('a log line', () => {
  const time = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6));

  it('is one JSON object or one line of text, whatever the message holds', () => {
    const message = 'a "b"\nc\u2028';
    const json = formatLogLine('json', 'error', message, time);
    expect(json.endsWith('}\n')).to.equal(true);
    expect(json.slice(0, -1)).not.to.include('\n');
    expect(JSON.parse(json)).to.deep.equal({
      level: 'error',
      msg: message,
      time: '2026-01-02T03:04:05.006Z',
    });
    expect(formatLogLine('text', 'warning', 'a\nb', time)).to.equal(
      'time="2026-01-02T03:04:05.006Z" level=warning msg="a\\nb"\n',
    );
  });
});
