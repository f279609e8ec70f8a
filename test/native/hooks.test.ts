import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { RunncError } from '../../src/errors.ts';
import { waitExit } from '../../src/native.ts';
import type { HookPlan } from '../../src/sandbox/launch-plan.ts';
import type { HookStates, InitProcess } from '../../src/sandbox/launch.ts';
import { isDead, Sandbox, waitForDeath } from './support.ts';

const busybox = '/bin/busybox';

describe('hooks that init runs', () => {
  const sandboxes: Sandbox[] = [];
  function sandbox(changes?: ConstructorParameters<typeof Sandbox>[0]): Sandbox {
    const made = new Sandbox(changes);
    sandboxes.push(made);
    return made;
  }
  afterEach(async () => {
    for (const made of sandboxes.splice(0)) await made.release();
  });

  /** A shell script as a hook of the host's. */
  function script(text: string, more: Partial<HookPlan> = {}): HookPlan {
    return { path: '/bin/sh', args: ['sh', '-c', text], env: ['PATH=/usr/bin:/bin'], ...more };
  }

  /** The same with a program that is in the rootfs. */
  function insideScript(box: Sandbox, text: string, more: Partial<HookPlan> = {}): HookPlan {
    mkdirSync(join(box.rootfs, 'bin'), { recursive: true });
    copyFileSync(busybox, join(box.rootfs, 'bin/sh'));
    chmodSync(join(box.rootfs, 'bin/sh'), 0o755);
    return { path: '/bin/sh', args: ['sh', '-c', text], env: [], ...more };
  }

  async function failure(promise: Promise<unknown>): Promise<RunncError> {
    const error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(RunncError);
    return error as RunncError;
  }

  async function states(init: InitProcess): Promise<HookStates> {
    return {
      createContainer: JSON.stringify({ status: 'creating', pid: init.containerPid }),
      startContainer: JSON.stringify({ status: 'created', pid: init.containerPid }),
    };
  }

  it('createContainer runs in the namespaces of the container with the files of the host, in order', async () => {
    const box = sandbox({ hostname: 'inside' });
    const out = join(box.folder, 'out');
    Object.assign(box.plan, {
      createContainerHooks: [
        script(
          `cat > ${out}; echo " 1 $$ $(hostname) $(pwd)" >> ${out}; readlink /proc/self/ns/net >> ${out}`,
        ),
        script(`cat >> ${out}; echo " 2 $A" >> ${out}`, { env: ['PATH=/bin:/usr/bin', 'A=x y'] }),
      ],
    });
    let early: boolean | undefined;
    const init = await box.create(async (process) => {
      early = existsSync(out);
      return states(process);
    });
    expect(early, 'not before the runtime is done').to.equal(false);
    const state = '{"status":"creating","pid":1}';
    expect(readFileSync(out, 'utf8').split('\n')).to.deep.equal([
      `${state} 1 2 inside ${box.rootfs}`,
      readlinkSync(`/proc/${String(init.pid)}/ns/net`),
      `${state} 2 x y`,
      '',
    ]);
  });

  it('startContainer runs at start in the rootfs, and sees nothing else', async () => {
    const box = sandbox({ hostname: 'inside' });
    Object.assign(box.plan, {
      startContainerHooks: [
        insideScript(
          box,
          `read state; echo "$state"; for f in /* ; do echo "$f"; done > /list; pwd >> /list; echo "$state" >> /list`,
        ),
      ],
    });
    await box.create(states);
    const list = join(box.rootfs, 'list');
    expect(existsSync(list), 'not at create').to.equal(false);
    await box.start();
    expect(readFileSync(list, 'utf8')).to.equal('/bin\n/list\n/\n{"status":"created","pid":1}\n');
    // And the jail is what it is without hooks.
    const report = await box.report();
    expect(report).to.include({ uid: '123456', entries: '2', fds: '0,1,2', 'open /new': 'EROFS', nnp: '1' });
  });

  it('startContainer has the ids and capabilities of the process, not those of init', async () => {
    const text = `: > /made; id -u > /uid; id -G > /gids; mknod /dev0 c 1 3 && echo yes > /mknod; umask > /umask; exit 0`;
    const run = async (uid: number, capabilities: bigint): Promise<Record<string, string | undefined>> => {
      const box = sandbox({
        hookCredentials: { uid, gid: 7, additionalGids: [8, 9], capabilities, umask: 0o77 },
      });
      Object.assign(box.plan, { startContainerHooks: [insideScript(box, text)] });
      for (const applet of ['id', 'mknod']) copyFileSync(busybox, join(box.rootfs, 'bin', applet));
      chmodSync(box.rootfs, 0o777);
      Object.assign(box.plan.startContainerHooks[0] ?? {}, { env: ['PATH=/bin'] });
      await box.create(states);
      await box.start();
      const read = (name: string): string | undefined => {
        const path = join(box.rootfs, name);
        return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
      };
      return { uid: read('uid'), gids: read('gids'), mknod: read('mknod'), umask: read('umask') };
    };
    const CAP_MKNOD = 1n << 27n;
    expect(await run(0, 0n)).to.deep.equal({ uid: '0', gids: '7 8 9', mknod: undefined, umask: '0077' });
    expect(await run(0, CAP_MKNOD)).to.deep.equal({ uid: '0', gids: '7 8 9', mknod: 'yes', umask: '0077' });
    expect(await run(5, CAP_MKNOD)).to.deep.equal({
      uid: '5',
      gids: '7 8 9',
      mknod: undefined,
      umask: '0077',
    });
  });

  it('a createContainer hook that fails ends creation with what it said', async () => {
    const box = sandbox({
      createContainerHooks: [script('true'), script('echo no way >&2; exit 3'), script('echo never > never')],
    });
    let pid = 0;
    const error = await failure(
      box.create(async (process) => {
        pid = process.pid;
        return states(process);
      }),
    );
    expect(error.code).to.equal('HOOK');
    expect(error.message).to.equal(
      'error running createContainer hook #1: /bin/sh: exit status 3, stderr: no way',
    );
    expect(isDead(pid)).to.equal(true);
    expect(existsSync(join(box.rootfs, 'never'))).to.equal(false);
  });

  it('a startContainer hook that fails ends the container', async () => {
    const box = sandbox();
    Object.assign(box.plan, { startContainerHooks: [insideScript(box, 'echo "EXIT bad" >&2; kill -9 $$')] });
    const init = await box.create(states);
    const error = await failure(box.start());
    expect(error.message).to.equal(
      'error running startContainer hook #0: /bin/sh was killed by signal 9, stderr: EXIT bad',
    );
    expect(await waitExit(init.pidfd)).to.deep.equal({ type: 'exited', code: 1 });
  });

  it('a hook that cannot be executed is named with the reason', async () => {
    const box = sandbox({ createContainerHooks: [{ path: '/no/such/hook', args: ['hook'], env: [] }] });
    expect((await failure(box.create(states))).message).to.equal(
      'error running createContainer hook #0: /no/such/hook: exit status 127, stderr: /no/such/hook: No such file or directory',
    );
  });

  it('a hook that takes too long is ended with all it started', async () => {
    const box = sandbox();
    const out = join(box.folder, 'pid');
    Object.assign(box.plan, {
      // Without a pid namespace, which would end them anyway.
      namespaces: [{ kind: 'mount' }],
      createContainerHooks: [script(`sleep 1000 & echo $! > ${out}; wait`, { timeoutMs: 1000 })],
    });
    const error = await failure(box.create(states));
    expect(error.message).to.equal('error running createContainer hook #0: /bin/sh timed out after 1000 ms');
    // Killed it is; it may still be on its way out.
    await waitForDeath(Number(readFileSync(out, 'utf8')));
  });

  it('a hook that leaves a process behind holds nothing up', async () => {
    const box = sandbox({ createContainerHooks: [script('sleep 1000 & exit 0')] });
    await box.create(states);
    await box.start();
    expect((await box.report())['pid']).to.equal('1');
  });

  it('a hook that says a lot is heard to the end', async () => {
    const text =
      'i=0; while [ $i -lt 4000 ]; do echo "line $i of what went wrong" >&2; i=$((i+1)); done; exit 1';
    const error = await failure(sandbox({ createContainerHooks: [script(text)] }).create(states));
    expect(error.message).to.match(/exit status 1, stderr: line 0 of what went wrong line 1 of/);
    expect(error.message.length).to.be.lessThan(4300);
  });

  it('a hook of an image does not get at the process that waits outside', async () => {
    const box = sandbox({ namespaces: [{ kind: 'mount' }] });
    // Same uid 0 as init, whose pid it knows; without CAP_SYS_PTRACE, CAP_KILL.
    Object.assign(box.plan, {
      hookCredentials: { uid: 77, gid: 77, additionalGids: [], capabilities: 0n, umask: 0 },
      startContainerHooks: [insideScript(box, 'kill -9 $PPID; exit 0')],
    });
    await box.create(states);
    await box.start();
    expect((await box.report())['uid']).to.equal('123456');
  });

  it('refuses a rootfs that was exchanged in the meantime', async () => {
    const box = sandbox();
    Object.assign(box.plan, {
      startContainerHooks: [insideScript(box, 'exit 0')],
      createContainerHooks: [script(`mv ${box.rootfs} ${box.rootfs}.old; mkdir ${box.rootfs}`)],
    });
    const error = await failure(box.create(states));
    expect(error.message).to.match(/^rootfs .* was exchanged while the container was created$/);
  });
});
