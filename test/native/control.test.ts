/** The host's end of the control channel against a guest that lies, or says nothing. */
import { expect } from 'chai';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerRecord } from '../../src/container/record.ts';
import { Playground, type RunningCall, until } from '../support/bundle.ts';
import { Guest, lieToProxies, Type } from '../support/hostile-guest.ts';

describe('proxies and the broker', () => {
  it('survive 10,000 random messages of the guest: none is ended by a fault, none sends more than its credit', async () => {
    const { statuses, overdrawn, witness, written } = await lieToProxies(10_000, 1);
    // By our own SIGKILL, or by themselves.
    const faults = statuses.filter((status) => status.type === 'signaled' && status.signal !== 9);
    expect(faults).to.deep.equal([]);
    expect(overdrawn).to.be.at.most(0);
    expect(written).to.equal('still here');
    expect(witness).to.deep.equal({ type: 'exited', code: 42 });
  }).timeout(120_000);
});

describe('a verb that asks a guest', function () {
  this.timeout(120_000);
  let host: Playground;
  let guest: Guest;

  /** A container whose process is this one. */
  beforeEach(() => {
    host = new Playground();
    guest = new Guest();
    const folder = join(host.root, 'liar');
    mkdirSync(join(host.folder, 'rootfs/etc'), { recursive: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const record: ContainerRecord = {
      ...{ version: 1, ociVersion: '1.0.2', id: 'liar', created: '2026-01-01T00:00:00Z', owner: 'root' },
      ...{ bundle: host.folder, rootfs: join(host.folder, 'rootfs'), complete: true },
      pid: process.pid,
      startTime: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '',
      cgroup: { version: 1, paths: {}, rootless: true },
      controlFd: guest.runtimeEnd,
      hooks: { poststart: [], poststop: [] },
    };
    writeFileSync(join(folder, 'state.json'), JSON.stringify(record));
    writeFileSync(
      join(host.folder, 'process.json'),
      JSON.stringify({ args: [host.folder], cwd: '/', user: { uid: 0, gid: 0 } }),
    );
  });
  afterEach(async () => {
    guest.close();
    // Nobody shall end its process.
    rmSync(join(host.root, 'liar'), { recursive: true });
    // The broker, too: nobody is at the other end any more.
    await until(
      () => Promise.resolve(!host.leftovers().some((entry) => entry.startsWith('process'))),
      'no proxy is left',
    );
    await host.close();
  });

  const exec = (): RunningCall =>
    host.start(['exec', '--process', join(host.folder, 'process.json'), 'liar']);
  const refused = (stderr: string): unknown => ({ status: 1, stdout: '', stderr: `${stderr}\n` });

  it('ends by ^C while the guest has not answered at all', async () => {
    const call = exec();
    await guest.hello();
    call.child.kill('SIGINT');
    expect(await call.end()).to.deep.equal(refused('given up by SIGINT before the program was started'));
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    it(`ends by ${signal} while the guest does not start the program`, async () => {
      const call = exec();
      await guest.answerOpen();
      call.child.kill(signal);
      expect(await call.end()).to.deep.equal(refused(`given up by ${signal} before the program was started`));
    });
  }

  it('says in one line what the guest refuses, whatever that be', async () => {
    for (const [stream, value, said] of [
      [0, 12, 'in the guest: cannot allocate memory'],
      [1, 2, 'chdir to cwd ("/") failed: no such file or directory'],
      [3, 60_000, `exec: ${JSON.stringify(host.folder)}: error 60000`],
      [4711, 99_999, `in the guest: error ${String(99_999 & 0xffff)}`],
    ] as const) {
      const call = exec();
      await guest.send({ type: Type.FAILED, stream, value, session: await guest.answerOpen() });
      expect(await call.end()).to.deep.equal(
        refused(`exec failed: unable to start container process: ${said}`),
      );
    }
  });

  const answer = async (...parts: readonly Uint8Array[]): Promise<void> => {
    const session = await guest.answerOpen();
    await guest.send({ type: Type.STARTED, session });
    for (const data of parts) await guest.send({ type: Type.DATA, stream: 1, session, data });
    await guest.send({ type: Type.EXIT, session });
  };

  it('takes no nonsense for an answer', async () => {
    for (const text of ['nonsense', '1 0 0 S 0 0 0 0 1 4096\nsh', '\0'.repeat(30_000)]) {
      const call = host.start(['ps', 'liar']);
      await answer(Buffer.from(text));
      expect(await call.end()).to.deep.equal(
        refused("the guest's answer on its control channel makes no sense"),
      );
    }
    const call = host.start(['ps', 'liar']);
    await answer(Buffer.from('5 0 0 S 0 0 60000 4 1 6\n/hello\n'));
    expect((await call.end()).stdout).to.match(/^UID [^\n]*\n0 +5 +0 +0 +\S+ +\? +00:00:00 +\/hello\n$/);
  });

  it('does not listen to an answer without end', async () => {
    const call = host.start(['ps', 'liar']);
    const session = await guest.answerOpen();
    await guest.send({ type: Type.STARTED, session });
    const data = Buffer.alloc(30_000, 'x');
    let isOver = false;
    const end = call.end().finally(() => (isOver = true));
    // It keeps to its credit: the proxy has nothing against it.
    for (let credit = 65_536; !isOver;) {
      if (credit > data.length + 1024) {
        await guest.send({ type: Type.DATA, stream: 1, session, data });
        credit -= data.length + 1024;
      } else {
        const { type, value = 0 } = await guest.receive(
          ({ type }) => type === Type.CREDIT || type === Type.HANGUP,
        );
        if (type === Type.HANGUP) break;
        credit += value;
      }
    }
    expect(await end).to.deep.equal(refused('the guest does not answer on its control channel'));
  });
});
