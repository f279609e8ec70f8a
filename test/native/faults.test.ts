import { spawn, spawnSync } from 'node:child_process';
import { closeSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'chai';
import { pidfdOpen, setSubreaper, waitExit } from '../../src/native.ts';
import { faultFrom, initSteps, type InitStep, type LaunchPlan } from '../../src/sandbox/launch-plan.ts';
import { isDead, noStates, Sandbox, waitForDeath, witnessPath } from './support.ts';

const namespaces: LaunchPlan['namespaces'] = [
  { kind: 'user' },
  { kind: 'network' },
  { kind: 'mount' },
  { kind: 'pid' },
  { kind: 'uts' },
];
const map = [{ containerId: 0, hostId: 500000, size: 65536 }];
const changes = {
  namespaces,
  userNamespace: { uidMappings: map, gidMappings: map, denySetgroups: false },
  jail: { uid: 5, gid: 6, noPivot: false },
  createContainerHooks: [{ path: '/bin/true', args: ['true'], env: [] }],
};

/** When a step is reached: with a startContainer hook all that takes rights away is left for start. */
function moments(step: InitStep): readonly ('create' | 'start')[] {
  if (step === 'jail' || step === 'credentials') return ['create', 'start'];
  return ['start-requested', 'start-container-hooks', 'exec'].includes(step) ? ['start'] : ['create'];
}

/** The processes that came to us because their parent, of which we are the subreaper, is gone. */
function orphans(known: ReadonlySet<number>): readonly number[] {
  const list = readFileSync(`/proc/self/task/${String(process.pid)}/children`, 'utf8').trim();
  return list === ''
    ? []
    : list
        .split(' ')
        .map(Number)
        .filter((pid) => !known.has(pid));
}

/** Resolves when they have all ended; they must do so by themselves. */
async function reapOrphans(known: ReadonlySet<number>): Promise<void> {
  for (let left = orphans(known); left.length > 0; left = orphans(known)) {
    for (const pid of left) {
      const pidfd = pidfdOpen(pid);
      await waitExit(pidfd);
      closeSync(pidfd);
    }
  }
}

function removeFolder(output: string): void {
  const folder = /^folder (.*)$/m.exec(output)?.[1];
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}

const bun = join(import.meta.dirname, '..', '..', 'node_modules/.bin/bun');
const childProgram = join(import.meta.dirname, 'child.ts');

describe('death at every step', () => {
  let known: ReadonlySet<number> = new Set();
  let wasSubreaper = false;
  before(() => {
    witnessPath();
    wasSubreaper = setSubreaper(true);
    known = new Set(orphans(new Set()));
  });
  after(() => {
    setSubreaper(wasSubreaper);
  });

  for (const step of initSteps) {
    for (const moment of moments(step)) {
      it(`of init before ${step} at ${moment} is reported and leaves no process`, async () => {
        const box = new Sandbox({ ...changes, fault: { step, victim: 'init' } });
        if (moment === 'start') box.addStartHook();
        let pid = 0;
        try {
          const creation = box.create(async (init) => {
            pid = init.pid;
            return noStates;
          });
          const outcome = creation.then(() => (moment === 'start' ? box.start() : undefined));
          const error = await outcome.then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          expect(error).to.be.instanceOf(Error);
          expect((error as Error).message).to.match(
            /^the container's process ended before it could be started/,
          );
          if (moment === 'start') await waitForDeath(pid);
          expect(pid === 0 || isDead(pid)).to.equal(true);
        } finally {
          await box.release();
        }
      });

      it(`of the runtime before ${step} at ${moment} is the end of init too`, async () => {
        const args = [childProgram, JSON.stringify(changes)];
        const child = spawnSync(bun, moment === 'start' ? [...args, 'hook'] : args, {
          encoding: 'utf8',
          env: { ...process.env, RUNNC_FAULT: `runtime:${step}` },
        });
        expect({ signal: child.signal, stderr: child.stderr }).to.deep.equal({
          signal: 'SIGKILL',
          stderr: '',
        });
        expect(child.stdout).not.to.include('error').and.not.to.include('started');
        expect(child.stdout.includes('created')).to.equal(moment === 'start');
        await reapOrphans(known);
        removeFolder(child.stdout);
      });
    }
  }

  it('of the runtime during a hook is the end of init and of the hook', async () => {
    const hook = {
      path: '/bin/sh',
      args: ['sh', '-c', 'echo hook; sleep 1000 & wait'],
      env: ['PATH=/bin:/usr/bin'],
    };
    // In the host's pid namespace nothing but init can end the hook.
    const plan = { namespaces: [{ kind: 'mount' }], createContainerHooks: [hook], stdio: [0, 1, 2] };
    const child = spawn(bun, [childProgram, JSON.stringify(plan)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const init = (): number => Number(/^init (\d+)$/m.exec(output)?.[1] ?? 0);
    const hookOf = (pid: number): string =>
      pid === 0 ? '' : readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').trim();
    while (hookOf(init()) === '') await new Promise(setImmediate);
    child.kill('SIGKILL');
    await once(child, 'close');
    await reapOrphans(known);
    removeFolder(output);
  });

  it('is asked for by the environment of the runtime, and only in full', () => {
    expect(faultFrom('init:clone')).to.deep.equal({ step: 'clone', victim: 'init' });
    expect(faultFrom('runtime:exec')).to.deep.equal({ step: 'exec', victim: 'runtime' });
    for (const value of [undefined, '', 'clone', 'init:', 'init:no-such-step', 'shim:clone']) {
      expect(faultFrom(value)).to.equal(undefined);
    }
  });
});
