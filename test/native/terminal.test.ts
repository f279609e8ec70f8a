import { closeSync, readSync, writeSync } from 'node:fs';
import { expect } from 'chai';
import {
  getWindowSize,
  makeRaw,
  receiveMessage,
  relayTerminal,
  restoreTerminal,
  setWindowSize,
  socketPair,
  waitExit,
  waitReadable,
} from '../../src/native.ts';
import type { RunncError } from '../../src/errors.ts';
import type { InitProcess } from '../../src/sandbox/launch.ts';
import { parseReport, Sandbox } from './support.ts';

describe('terminal of a container', () => {
  const sandboxes: Sandbox[] = [];
  afterEach(async () => {
    for (const made of sandboxes.splice(0)) await made.release();
  });

  /** The container, and the master that came over its console socket. */
  async function create(
    terminal: { columns: number; rows: number; raw: boolean },
    changes: ConstructorParameters<typeof Sandbox>[0] = {},
  ): Promise<{ box: Sandbox; init: InitProcess; master: number; name: string }> {
    const box = new Sandbox(changes);
    sandboxes.push(box);
    const [ours, theirs] = socketPair();
    box.own(ours);
    box.own(theirs);
    Object.assign(box.plan, { terminal: { consoleSocketFd: theirs, ...terminal } });
    const init = await box.create();
    const { data, fds } = await receiveMessage(ours);
    expect(fds).to.have.length(1);
    return { box, init, master: box.own(fds[0] ?? -1), name: data.toString() };
  }

  async function readUntil(master: number, end: string): Promise<string> {
    let text = '';
    const chunk = Buffer.alloc(4096);
    while (!text.includes(end)) {
      await waitReadable(master);
      text += chunk.toString('utf8', 0, readSync(master, chunk));
    }
    return text;
  }

  it('is a pty of its own whose master goes to the console socket', async () => {
    const { box, init, master, name } = await create({ columns: 132, rows: 43, raw: false });
    expect(name).to.equal('/dev/pts/0');
    await box.start();
    const report = parseReport(await readUntil(master, 'foreground='));
    expect(report).to.include({
      tty: '1',
      columns: '132',
      rows: '43',
      canonical: '1',
      foreground: '1',
      sid: '1',
      fds: '0,1,2',
      uid: '123456',
    });
    writeSync(master, '\n');
    expect(await waitExit(init.pidfd)).to.deep.equal({ type: 'exited', code: 0 });
  });

  it('is raw for a guest that has a line discipline', async () => {
    const { box, master } = await create({ columns: 0, rows: 0, raw: true });
    await box.start();
    const text = await readUntil(master, 'foreground=');
    expect(parseReport(text)).to.include({ canonical: '0', columns: '0', rows: '0' });
    expect(text).not.to.include('\r\n');
  });

  it('exists in a user namespace too', async () => {
    const map = [{ containerId: 0, hostId: 500000, size: 1000 }];
    const { box, master } = await create(
      { columns: 80, rows: 25, raw: false },
      {
        namespaces: [{ kind: 'user' }, { kind: 'pid' }, { kind: 'mount' }],
        userNamespace: { uidMappings: map, gidMappings: map, denySetgroups: false },
        jail: { uid: 5, gid: 5, noPivot: false },
      },
    );
    await box.start();
    expect(parseReport(await readUntil(master, 'foreground='))).to.include({
      tty: '1',
      columns: '80',
      uid: '5',
    });
  });

  it('ends the program when its master is closed, as a hangup does', async () => {
    const { box, init, master } = await create({ columns: 80, rows: 25, raw: false });
    await box.start();
    await readUntil(master, 'foreground=');
    box.disown(master);
    closeSync(master);
    const status = await waitExit(init.pidfd);
    // Pid 1 without a handler does not die of SIGHUP, but its read ends.
    expect(status).to.deep.equal({ type: 'exited', code: 0 });
  });

  it('says so when nobody takes the master', async () => {
    const box = new Sandbox();
    sandboxes.push(box);
    const [ours, theirs] = socketPair();
    closeSync(ours);
    box.own(theirs);
    Object.assign(box.plan, { terminal: { consoleSocketFd: theirs, columns: 0, rows: 0, raw: false } });
    const error = await box.create().catch((thrown: unknown) => thrown);
    expect((error as RunncError).message).to.equal(
      'cannot send the terminal over the console socket: Broken pipe',
    );
  });

  it('changes its size from outside', async () => {
    const { master } = await create({ columns: 10, rows: 5, raw: false });
    expect(getWindowSize(master)).to.deep.equal({ columns: 10, rows: 5 });
    setWindowSize(master, { columns: 200, rows: 100 });
    expect(getWindowSize(master)).to.deep.equal({ columns: 200, rows: 100 });
  });

  it('turns raw and back', async () => {
    const { box, master } = await create({ columns: 10, rows: 5, raw: false });
    const settings = makeRaw(master);
    restoreTerminal(master, settings);
    expect(makeRaw(master).equals(settings)).to.equal(true);
    restoreTerminal(master, settings);
    await box.start();
    expect(parseReport(await readUntil(master, 'foreground='))).to.include({ canonical: '1' });
  });

  it('is relayed in both directions until the program ends', async () => {
    const { box, init, master } = await create({ columns: 80, rows: 25, raw: true });
    const [input, inputEnd] = socketPair();
    const [output, outputEnd] = socketPair();
    for (const fd of [input, inputEnd, output, outputEnd]) box.own(fd);
    const relayed = relayTerminal(master, inputEnd, outputEnd);
    await box.start();
    expect(parseReport((await receiveMessage(output)).data.toString())).to.include({ tty: '1' });
    writeSync(input, 'x');
    expect(await waitExit(init.pidfd)).to.deep.equal({ type: 'exited', code: 0 });
    await relayed;
  });
});
