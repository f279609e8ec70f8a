/**
 * Somebody is killed after each step of create, start and delete: the runtime, init, or the tender, whose steps are its
 * host calls. Whatever that leaves, delete --force ends with an empty host, and the id is free again.
 */
import { expect } from 'chai';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runtimeSteps } from '../../src/fault.ts';
import { initSteps } from '../../src/sandbox/launch-plan.ts';
import { Playground, until } from '../support/bundle.ts';
import { type HostCall, type Watch, watchCalls } from '../support/host-calls.ts';
import { interfaces } from '../support/host-state.ts';
import { needs } from '../support/paths.ts';

const faults = [
  ...runtimeSteps.map((step) => `runtime:${step}`),
  ...initSteps.map((step) => `runtime:${step}`),
  ...initSteps.map((step) => `init:${step}`),
];

/** What init does while it waits for start, in the kernel's numbers. */
const SYS_ACCEPT4 = 288;

/** startContainer hooks are programs of the image: a static one. */
const inImage = { from: '/bin/busybox', path: '/true' };

describe('a kill at any step', () => {
  let host: Playground;
  let bundle: string;
  let interfacesBefore: readonly string[];

  before(() => {
    host = new Playground();
    interfacesBefore = interfaces();
    needs(inImage.from);
    bundle = host.bundle('time', ['forever'], (spec) => {
      const hook = { path: '/bin/true' };
      const { path } = inImage;
      spec.hooks = {
        ...{ prestart: [hook], createContainer: [hook], startContainer: [{ path }] },
        ...{ poststart: [hook], poststop: [hook] },
      };
      // So that init has every step to do.
      const { linux } = spec;
      linux.namespaces = [...(linux.namespaces ?? []), { type: 'user' }];
      linux.uidMappings = linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 1000 }];
    });
    copyFileSync(inImage.from, join(bundle, 'rootfs', inImage.path));
  });
  after(async () => {
    await host.close();
  });

  for (const fault of faults) {
    it(`(${fault}) leaves nothing that delete --force does not remove`, async () => {
      const env = { ...process.env, RUNNC_FAULT: fault };
      const pidFile = `${host.folder}/pid`;
      const calls = [
        ['create', '--pid-file', pidFile, '--bundle', bundle, 'victim'],
        ['start', 'victim'],
        ['delete', '--force', 'victim'],
      ];
      let struck: string | undefined;
      for (const call of calls) {
        const { status } = await host.runnc(call, { env });
        struck ??= status === 0 ? undefined : `${String(call[0])} ended with ${String(status)}`;
      }
      expect(struck, 'the fault').to.match(fault.startsWith('init') ? / 1$/ : / 137$/);

      await expectNothingLeft();
      await expectFree();
    });
  }

  const guests: Readonly<Record<string, () => string>> = {
    'a Solo5 guest with a block device': () => {
      const withDisk = host.bundle('block', [], (spec) => {
        spec.annotations = { 'io.runnc.block.disk': join(host.folder, 'disk') };
      });
      writeFileSync(join(host.folder, 'disk'), Buffer.alloc(4096));
      return withDisk;
    },
    'a Linux program': () => {
      const linux = host.bundle('hello', [], (spec) => {
        spec.process.args = ['/busybox', 'tail', '-f', '/file'];
      });
      copyFileSync(inImage.from, join(linux, 'rootfs/busybox'));
      writeFileSync(join(linux, 'rootfs/file'), 'waiting\n');
      return linux;
    },
  };
  for (const [guest, makeBundle] of Object.entries(guests)) {
    it(`(the tender of ${guest}, before each of its host calls) leaves nothing either`, async () => {
      const path = makeBundle();
      const calls = await callsOfTender(path);
      expect(calls.map(({ name }) => name)).to.include.members([
        'execveat',
        'mmap',
        'pread64',
        'close_range',
        'seccomp',
      ]);
      for (const call of calls) {
        const what = `${call.name} ${String(call.occurrence)}`;
        const watch = await createWatched(path, call);
        // It may well be told of the start before the tender dies of it.
        const { status, stderr } = await host.runnc(['start', 'victim']);
        expect(stderr, what).to.match(status === 0 ? /^$/ : /^[^\n]+\n$/);
        await watch.ended;
        expect((await host.state('victim')).status, what).to.equal('stopped');
        await expectNothingLeft(what);
      }
      await expectFree();
    }).timeout(600_000);
  }

  /** From its execution until the guest waits or ends. */
  async function callsOfTender(path: string): Promise<readonly HostCall[]> {
    const { calls, letGo } = await createWatched(path);
    await host.runnc(['start', 'victim']);
    const isLast = ({ name }: HostCall): boolean => name.startsWith('epoll_pwait') || name === 'exit_group';
    await until(() => Promise.resolve(calls().some(isLast)), 'the guest waits or ends');
    await letGo();
    await host.runnc(['delete', '--force', 'victim']);
    const all = calls();
    const from = all.findIndex(({ name }) => name === 'execveat');
    // Of the long list of signals' actions the ends will do.
    return all
      .slice(from, all.findIndex(isLast) + 1)
      .filter(({ name }, i, list) => list[i - 1]?.name !== name || list[i + 1]?.name !== name);
  }

  async function createWatched(path: string, killBefore?: HostCall): Promise<Watch> {
    await host.create('victim', path);
    const { pid } = await host.state('victim');
    // So that every watch begins at the same call.
    const inAccept = (): boolean =>
      readFileSync(`/proc/${String(pid)}/syscall`, 'utf8').startsWith(`${String(SYS_ACCEPT4)} `);
    await until(() => Promise.resolve(inAccept()), 'init waits for start');
    return watchCalls(pid, `${host.folder}/calls`, killBefore);
  }

  async function expectNothingLeft(what?: string): Promise<void> {
    expect(await host.runnc(['delete', '--force', 'victim']), what).to.include({ status: 0, stderr: '' });
    const left = (): readonly string[] => [
      ...host.leftovers(),
      ...interfaces().filter((name) => !interfacesBefore.includes(name)),
    ];
    // An init whose runtime died before it was told of anybody ends by itself.
    await until(() => Promise.resolve(left().length === 0), 'nothing is left').catch(() => {
      expect(left(), what).to.deep.equal([]);
    });
  }

  async function expectFree(): Promise<void> {
    await host.create('victim', bundle);
    expect(await host.runnc(['delete', 'victim'])).to.include({ status: 0, stderr: '' });
  }
});
