/**
 * What a Linux program has beside a unikernel, while somebody is killed: a root that lasts and a volume, with the server
 * for both; a program beside it, with its proxy and their broker; a network that comes after create. Whatever is left,
 * delete --force ends with an empty host.
 */
import { expect } from 'chai';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { networkSteps, runtimeSteps } from '../../src/fault.ts';
import { initSteps } from '../../src/sandbox/launch-plan.ts';
import { type Draft, Playground, until } from '../support/bundle.ts';
import { succeed } from '../support/command.ts';
import { type HostCall, type Watch, watchCalls } from '../support/host-calls.ts';
import { TestNetwork } from '../support/network.ts';
import { needs } from '../support/paths.ts';

const PROGRAM =
  'echo root > /written; [ ! -d /data ] || echo volume > /data/written; echo ready; exec sleep 1000';

describe('a Linux program, with a kill at any step', () => {
  let host: Playground;
  let network: TestNetwork;

  before(async () => {
    needs('/bin/busybox');
    host = new Playground();
    network = await TestNetwork.start();
  });
  after(async () => {
    await host.close();
    await network.stop();
  });

  /** A bundle whose root may be written. */
  function bundle(change: (spec: Draft) => void = () => undefined): string {
    const path = host.bundle('hello', [], (spec) => {
      spec.process.args = ['/bin/sh', '-c', PROGRAM];
      spec.root = { path: 'rootfs', readonly: false };
      change(spec);
    });
    mkdirSync(join(path, 'rootfs/bin'));
    for (const name of ['sh', 'sleep']) copyFileSync('/bin/busybox', join(path, 'rootfs/bin', name));
    return path;
  }

  async function expectNothingLeft(what?: string): Promise<void> {
    expect(await host.runnc(['delete', '--force', 'victim']), what).to.include({ status: 0, stderr: '' });
    // An init whose runtime died before it was told of anybody ends by itself.
    await until(() => Promise.resolve(host.leftovers().length === 0), 'nothing is left').catch(() => {
      expect(host.leftovers(), what).to.deep.equal([]);
    });
  }

  describe('of create, start and delete', () => {
    let served: string;

    before(() => {
      const volume = join(host.folder, 'volume');
      mkdirSync(volume);
      served = bundle((spec) => {
        const hook = { path: '/bin/true' };
        const inImage = { path: '/bin/sleep', args: ['sleep', '0'] };
        spec.hooks = {
          ...{ prestart: [hook], createContainer: [hook], startContainer: [inImage] },
          ...{ poststart: [hook], poststop: [hook] },
        };
        const options = ['rbind'];
        spec.mounts = [
          ...(spec.mounts ?? []),
          { destination: '/data', type: 'bind', source: volume, options },
        ];
      });
    });

    // It has no user namespace: to the owner of the root, one of its own would be nobody.
    const ofInit = initSteps.filter((step) => step !== 'user-namespace');
    const faults = [
      ...runtimeSteps.map((step) => `runtime:${step}`),
      ...ofInit.map((step) => `runtime:${step}`),
      ...ofInit.map((step) => `init:${step}`),
    ];
    for (const fault of faults)
      it(`(${fault}) leaves nothing that delete --force does not remove`, async () => {
        const env = { ...process.env, RUNNC_FAULT: fault };
        const calls = [
          ['create', '--pid-file', `${host.folder}/pid`, '--bundle', served, 'victim'],
          ['start', 'victim'],
          ['exec', '--detach', 'victim', '/bin/sleep', '1000'],
          ['delete', '--force', 'victim'],
        ];
        let struck: string | undefined;
        for (const call of calls) {
          if (call[0] === 'exec' && struck !== undefined) continue;
          const { status } = await host.runnc(call, { env });
          struck ??= status === 0 ? undefined : `${String(call[0])} ended with ${String(status)}`;
        }
        expect(struck, 'the fault').to.match(fault.startsWith('init') ? / 1$/ : / 137$/);
        await expectNothingLeft();
      });
  });

  it('(the server of its root, before each of its host calls) it goes on, and nothing is left', async () => {
    const path = bundle();
    const calls = await callsOfServer(path);
    // Of the others some depend on chance: how its threads meet, what strace interrupts.
    const always = ['execveat', 'clone', 'seccomp', 'sendto'];
    expect(calls.map(({ name }) => name)).to.include.members(always);
    for (const call of calls) {
      const what = `${call.name} ${String(call.occurrence)}`;
      const { watch, output } = await createWatched(path, call);
      await host.runnc(['start', 'victim']);
      await output.prints('ready');
      if (always.includes(call.name)) await watch.ended;
      else await watch.letGo();
      await expectNothingLeft(what);
    }
  }).timeout(600_000);

  /** It waits at create, and begins when the program first needs it. */
  async function createWatched(
    path: string,
    killBefore?: HostCall,
  ): Promise<{ readonly watch: Watch; readonly output: Awaited<ReturnType<Playground['create']>> }> {
    const output = await host.create('victim', path);
    const { pid } = await host.state('victim');
    const children = (): string[] =>
      readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
        .trim()
        .split(' ');
    await until(() => Promise.resolve(children()[0] !== ''), 'the server is there');
    const [server = ''] = children();
    return { watch: await watchCalls(Number(server), `${host.folder}/calls`, killBefore), output };
  }

  /** Until it has answered for the first time; of each call the first and the last. */
  async function callsOfServer(path: string): Promise<readonly HostCall[]> {
    const { watch, output } = await createWatched(path);
    await host.runnc(['start', 'victim']);
    await output.prints('ready');
    await watch.letGo();
    await expectNothingLeft();
    const all = watch.calls();
    // The call in which strace found it is no call of its own.
    const first = all.findIndex(({ name }) => name === 'execveat');
    const some = all.slice(first, all.findIndex(({ name }) => name === 'sendto') + 1);
    return some.filter(
      ({ name, occurrence }, i) =>
        occurrence === 1 || !some.slice(i + 1).some((later) => later.name === name),
    );
  }

  describe('of a start that finds a network', () => {
    const steps = networkSteps.slice(0, networkSteps.indexOf('network-attached') + 1);
    for (const step of steps)
      it(`(${step}) leaves nothing that delete --force does not remove`, async () => {
        const links = await network.out('-oneline', 'link');
        const env = { ...process.env, RUNNC_FAULT: `runtime:${step}` };
        await host.create('victim', bundle());
        const { pid } = await host.state('victim');
        const peer = ['peer', 'name', 'eth0', 'netns', String(pid)];
        await network.out('link', 'add', 'eth0.out', 'up', 'type', 'veth', ...peer);
        const inside = ['--net', '--target', String(pid), 'ip'];
        await succeed('nsenter', [...inside, 'address', 'add', '10.77.0.2/24', 'dev', 'eth0']);
        await succeed('nsenter', [...inside, 'link', 'set', 'eth0', 'up']);
        await succeed('nsenter', [...inside, 'route', 'add', 'default', 'via', '10.77.0.1']);
        expect((await host.runnc(['start', 'victim'], { env })).status).to.equal(128 + 9);
        await expectNothingLeft();
        // The namespace was the container's alone: what was in it is gone, its other end too.
        const same = async (): Promise<boolean> => (await network.out('-oneline', 'link')) === links;
        await until(same, 'the pair is gone');
      });
  });
});
