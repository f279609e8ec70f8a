import { expect } from 'chai';
import { closeSync } from 'node:fs';
import { RunncError } from '../errors.ts';
import type { Guest } from '../guest/guest.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import { guestMemoryMib } from './guest-memory.ts';
import type { LaunchPlan } from './launch-plan.ts';
import { planLaunch, type PlanInput } from './plan.ts';
import { tenderCommand } from './tender-command.ts';

const guest: Guest = {
  kind: 'solo5',
  kernel: { type: 'descriptor', fd: 50, path: '/hello.spt' },
  manifest: { version: 1, devices: [] },
  args: ['a', '--b'],
  allowedExtras: [],
};

const MIB = 2 ** 20;

function plan(spec: Partial<RunnableSpec>, input: Partial<PlanInput> = {}, isRoot = true): LaunchPlan {
  return planLaunch({
    spec: { ociVersion: '1.0.0', process: { args: ['/hello.spt'], cwd: '/' }, root: { path: '/' }, ...spec },
    guest,
    tender: { argv: ['runnc'], descriptors: [], lateDescriptors: [] },
    tenderFd: 40,
    rootfsFd: 41,
    stdio: [0, 1, 2],
    startSocketFd: 42,
    ...(isRoot ? { sandboxUid: 1_900_000_000 } : {}),
    noPivot: false,
    newKeyring: true,
    ...input,
  });
}

const process = { args: ['/hello.spt'], cwd: '/' } as const;

describe('a launch plan', () => {
  it('makes the sandbox run as a uid of its own, whatever user the image wants', () => {
    expect(plan({ process: { ...process, user: { uid: 0, gid: 0 } } }).jail).to.include({
      uid: 1_900_000_000,
      gid: 1_900_000_000,
    });
  });

  it('adds that uid to a user namespace, at an id that config.json maps to nobody', () => {
    const uidMappings = [
      { containerID: 0, hostID: 100_000, size: 65536 },
      { containerID: 70_000, hostID: 300_000, size: 10 },
    ];
    const { jail, userNamespace } = plan({
      linux: {
        namespaces: [{ type: 'user' }],
        uidMappings,
        gidMappings: [{ containerID: 5, hostID: 5, size: 1 }],
      },
    });
    expect(jail).to.include({ uid: 70_010, gid: 6 });
    expect(userNamespace?.uidMappings.at(-1)).to.deep.equal({
      containerId: 70_010,
      hostId: 1_900_000_000,
      size: 1,
    });
    expect(userNamespace).to.include({ denySetgroups: false });
    const whole = [{ containerID: 0, hostID: 0, size: 0xffffffff }];
    expect(() =>
      plan({ linux: { namespaces: [{ type: 'user' }], uidMappings: whole, gidMappings: whole } }),
    ).to.throw(RunncError, 'leave one id unmapped');
  });

  it('gives other users than root the one id they have, and only in a user namespace', () => {
    const map = [{ containerID: 0, hostID: 1000, size: 1 }];
    const linux = { namespaces: [{ type: 'user' as const }], uidMappings: map, gidMappings: map };
    expect(plan({ linux }, {}, false).userNamespace).to.include({ denySetgroups: true });
    expect(plan({ linux }, {}, false).jail).to.include({ uid: 0, gid: 0 });
    expect(() => plan({}, {}, false)).to.throw(RunncError, 'runnc spec --rootless');
  });

  it('opens the namespaces to join', () => {
    const { namespaces } = plan({
      linux: { namespaces: [{ type: 'pid' }, { type: 'network', path: '/proc/self/ns/net' }] },
    });
    expect(namespaces[0]).to.deep.equal({ kind: 'pid' });
    expect(namespaces[1]?.kind).to.equal('network');
    closeSync(namespaces[1]?.fd ?? -1);
  });

  it('decodes names into the numbers of the kernel', () => {
    const { rlimits, scheduler, ioPriority, hookCredentials } = plan({
      process: {
        ...process,
        user: { uid: 5, gid: 6, additionalGids: [7], umask: 0o077 },
        capabilities: { bounding: ['CAP_CHOWN', 'CAP_BPF', 'CAP_CHECKPOINT_RESTORE', 'CAP_OF_THE_FUTURE'] },
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 2 ** 64 }],
        scheduler: {
          policy: 'SCHED_BATCH',
          nice: 5,
          flags: ['SCHED_FLAG_RESET_ON_FORK', 'SCHED_FLAG_DL_OVERRUN'],
        },
        ioPriority: { class: 'IOPRIO_CLASS_IDLE' },
      },
    });
    expect(rlimits).to.deep.equal([{ type: 'RLIMIT_NOFILE', soft: 1024n, hard: 2n ** 64n - 1n }]);
    expect(scheduler).to.include({ policy: 3, flags: 5n, nice: 5 });
    expect(ioPriority).to.deep.equal({ class: 3, priority: 0 });
    expect(hookCredentials).to.deep.equal({
      uid: 5,
      gid: 6,
      additionalGids: [7],
      capabilities: (1n << 0n) | (1n << 39n) | (1n << 40n),
      umask: 0o077,
    });
  });

  it('names what it does not know', () => {
    expect(() =>
      plan({ process: { ...process, rlimits: [{ type: 'RLIMIT_LUCK', soft: 0, hard: 0 }] } }),
    ).to.throw(RunncError, 'config.json: process.rlimits[0].type: Linux has no limit "RLIMIT_LUCK"');
    expect(() =>
      plan({ process: { ...process, scheduler: { policy: 'SCHED_OTHER', flags: ['FAST'] } } }),
    ).to.throw(RunncError, 'config.json: process.scheduler.flags[0]: Linux has no flag "FAST"');
  });

  it('hands hooks on with an argv[0]', () => {
    const { createContainerHooks } = plan({ hooks: { createContainer: [{ path: '/bin/x', timeout: 3 }] } });
    expect(createContainerHooks).to.deep.equal([
      { path: '/bin/x', args: ['/bin/x'], env: [], timeoutMs: 3000 },
    ]);
  });

  it('has a terminal in raw mode for guests with a line discipline of their own', () => {
    const terminal = { ...process, terminal: true, consoleSize: { width: 100, height: 30 } };
    expect(plan({ process: terminal }, { consoleSocketFd: 9 }).terminal).to.deep.equal({
      consoleSocketFd: 9,
      columns: 100,
      rows: 30,
      raw: false,
    });
    expect(
      plan({ process: terminal }, { consoleSocketFd: 9, guest: { ...guest, kind: 'linux' } }).terminal?.raw,
    ).to.equal(true);
    expect(plan({}).terminal).to.equal(undefined);
  });
});

describe("the tender's command line", () => {
  it('names descriptors by the numbers they will have', () => {
    const blocks = [
      { name: 'data', fd: 60, readonly: false },
      { name: 'rootfs', fd: 61, readonly: true },
    ];
    expect(tenderCommand({ guest, kernelFd: 50, memoryMib: 32, blocks })).to.deep.equal({
      argv: ['runnc', '--mem=32', '--block:data=@3', '--block:rootfs=@4,ro', '--', '@5', 'a', '--b'],
      descriptors: [60, 61, 50],
      lateDescriptors: [],
    });
  });
});

describe('guest memory', () => {
  const of = (limit?: number): number =>
    guestMemoryMib({
      ociVersion: '1.0.0',
      linux: { resources: { memory: limit === undefined ? {} : { limit } } },
    });

  it('is 512 MiB without a limit', () => {
    expect([of(), of(0), of(-1)]).to.deep.equal([512, 512, 512]);
    expect(guestMemoryMib({ ociVersion: '1.0.0' })).to.equal(512);
  });

  it('is the limit less what the sandbox needs, in whole MiB', () => {
    expect(of(64 * MIB)).to.equal(61);
    expect(of(1024 * MIB)).to.equal(1020);
    expect(of(5 * MIB)).to.equal(2);
    expect(of(2 ** 63)).to.equal(65536);
  });

  it('is never nothing', () => {
    for (const limit of [1, 4096, MIB, 4 * MIB]) expect(() => of(limit)).to.throw(RunncError, 'are too few');
  });
});
