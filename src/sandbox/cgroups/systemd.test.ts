import { expect } from 'chai';
import { limitProperties } from './systemd.ts';

describe('limits that systemd is told', () => {
  it('are those that are set', () => {
    expect(limitProperties(2, {})).to.deep.equal([]);
    expect(
      limitProperties(2, { memory: { limit: 0 }, cpu: { shares: 0 }, pids: { limit: 0 } }),
    ).to.deep.equal([]);
  });

  it('have the names and the scale of the cgroup version', () => {
    const resources = { memory: { limit: 4096 }, cpu: { shares: 1024 }, pids: { limit: 7 } };
    expect(limitProperties(1, resources)).to.deep.equal([
      ['MemoryLimit', 't', '4096'],
      ['CPUShares', 't', '1024'],
      ['TasksMax', 't', '7'],
    ]);
    expect(limitProperties(2, resources)).to.deep.equal([
      ['MemoryMax', 't', '4096'],
      ['CPUWeight', 't', '100'],
      ['TasksMax', 't', '7'],
    ]);
  });

  it('count swap alone in cgroup v2, none at all too', () => {
    const swapMax = (swap: number): unknown =>
      limitProperties(2, { memory: { limit: 4096, swap } }).find(([name]) => name === 'MemorySwapMax');
    expect(swapMax(12288)).to.deep.equal(['MemorySwapMax', 't', '8192']);
    expect(swapMax(4096)).to.deep.equal(['MemorySwapMax', 't', '0']);
    expect(swapMax(-1)).to.deep.equal(['MemorySwapMax', 't', '18446744073709551615']);
    expect(swapMax(0)).to.equal(undefined);
  });

  it('are infinite for -1', () => {
    expect(limitProperties(2, { memory: { limit: -1 }, cpu: { quota: -1 } })).to.deep.equal([
      ['MemoryMax', 't', '18446744073709551615'],
      ['MemorySwapMax', 't', '18446744073709551615'],
      ['CPUQuotaPerSecUSec', 't', '18446744073709551615'],
    ]);
  });

  it('never give less of the CPU than asked for, in the whole hundredths that systemd counts', () => {
    expect(limitProperties(2, { cpu: { quota: 33_333, period: 100_000 } })).to.deep.equal([
      ['CPUQuotaPerSecUSec', 't', '340000'],
      ['CPUQuotaPeriodUSec', 't', '100000'],
    ]);
  });
});
