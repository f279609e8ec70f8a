import { expect } from 'chai';
import { RunncError } from '../errors.ts';
import { parseMemory, parseProcesses } from './guest-answers.ts';

const MEMORY =
  'limit 100\nused 60\nprograms 30\nfiles 20\nkernel 10\ncommitted 40\noom_kills 1\nprocesses 2\n';
const PROCESSES = '1 0 0 S 0 1500 90000 1024 1 8\nsh\0-c\0:\0\n22 1 1000 Z 34817 0 0 0 0 7\n[a\nb c]\n';

describe('what a guest says of itself', () => {
  const refused = (act: () => unknown): void => {
    expect(act).to.throw(RunncError, "the guest's answer on its control channel makes no sense");
  };

  it('is read by name, and what is not known is passed over', () => {
    expect(parseMemory(Buffer.from(`${MEMORY}later 7\n`))).to.deep.equal({
      memory: { limit: 100, used: 60, programs: 30, files: 20, kernel: 10, committed: 40, oomKills: 1 },
      processes: 2,
    });
    for (const line of MEMORY.trim().split('\n')) {
      refused(() => parseMemory(Buffer.from(MEMORY.replace(`${line}\n`, ''))));
      refused(() => parseMemory(Buffer.from(MEMORY.replace(line, `${line}x`))));
    }
  });

  it('has processes whose commands may hold any byte', () => {
    expect(parseProcesses(Buffer.from(PROCESSES))).to.deep.equal([
      {
        ...{ pid: 1, parentPid: 0, uid: 0, state: 'S', cpuMs: 1500, ageMs: 90_000, memoryKib: 1024 },
        ...{ threads: 1, args: ['sh', '-c', ':'] },
      },
      {
        ...{ pid: 22, parentPid: 1, uid: 1000, state: 'Z', tty: 'pts/1', cpuMs: 0, ageMs: 0, memoryKib: 0 },
        ...{ threads: 0, args: ['[a\nb c]'] },
      },
    ]);
    expect(parseProcesses(Buffer.alloc(0))).to.deep.equal([]);
  });

  it('is refused where it is cut off or claims more than there is', () => {
    const last = PROCESSES.indexOf('22 1');
    for (let length = 1; length < PROCESSES.length; length++) {
      if (length !== last) refused(() => parseProcesses(Buffer.from(PROCESSES.slice(0, length))));
    }
    for (const wrong of ['1 7\n', '1 9\n', '1 9999\n', '1 -8\n', '1 1e3\n'])
      refused(() => parseProcesses(Buffer.from(PROCESSES.replace('1 8\n', wrong))));
    refused(() => parseProcesses(Buffer.from(PROCESSES.replace('S', 'X'))));
  });
});
