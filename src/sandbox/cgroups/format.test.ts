import { expect } from 'chai';
import {
  cpuWeight,
  decimal,
  ioWeight,
  parseFlat,
  parseList,
  parseNumber,
  v1Limit,
  v2Limit,
} from './format.ts';
import { NO_LIMIT } from './stats.ts';

describe('cgroup file formats', () => {
  it('writes "no limit" as each version spells it', () => {
    expect(v1Limit(-1)).to.equal('-1');
    expect(v2Limit(-1)).to.equal('max');
    expect(v1Limit(4096)).to.equal('4096');
    expect(v2Limit(4096)).to.equal('4096');
  });

  it('never writes an exponent', () => {
    expect(decimal(2 ** 80)).to.equal('1208925819614629174706176');
  });

  it('maps the ends and the default of cpu.shares to those of cpu.weight', () => {
    expect(cpuWeight(2)).to.equal(1);
    expect(cpuWeight(1024)).to.equal(100);
    expect(cpuWeight(262144)).to.equal(10000);
    expect(cpuWeight(1)).to.equal(1);
    expect(cpuWeight(2 ** 40)).to.equal(10000);
  });

  it('never gives a larger share a smaller weight', () => {
    let last = 0;
    for (let shares = 2; shares <= 262144; shares += 97) {
      const weight = cpuWeight(shares);
      expect(weight).to.be.at.least(last);
      last = weight;
    }
  });

  it('maps the ends of blkio.weight to those of io.weight', () => {
    expect(ioWeight(10)).to.equal(1);
    expect(ioWeight(1000)).to.equal(10000);
  });

  it('reads max, and what a double cannot tell from it, as no limit', () => {
    expect(parseNumber('max\n')).to.equal(NO_LIMIT);
    expect(parseNumber('18446744073709551615\n')).to.equal(NO_LIMIT);
    expect(parseNumber('42\n')).to.equal(42);
    expect(parseNumber('\n')).to.equal(undefined);
    expect(parseNumber('what\n')).to.equal(undefined);
  });

  it('prints no limit as a number that fits an unsigned 64-bit integer', () => {
    expect(BigInt(JSON.stringify(NO_LIMIT)) < 2n ** 64n).to.equal(true);
  });

  it('reads name and value lines', () => {
    expect(parseFlat('oom 1\noom_kill 2\nodd\n')).to.deep.equal({ oom: 1, oom_kill: 2 });
    expect(parseFlat(undefined)).to.deep.equal({});
  });

  it('reads lists with ranges', () => {
    expect(parseList('0-2,7\n')).to.deep.equal([0, 1, 2, 7]);
    expect(parseList('\n')).to.deep.equal([]);
  });
});
