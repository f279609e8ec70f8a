/** podman as an ordinary user: it calls its runtime as root of a user namespace, where little else is root's. */
import { expect } from 'chai';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { succeed } from '../support/command.ts';
import { procStatus } from '../support/host-state.ts';
import { GREETING } from '../support/images.ts';
import { isOurs } from '../support/paths.ts';
import { Podman } from '../support/podman.ts';

/** nobody: in every /etc/passwd, and without subordinate ids, so that its own id is all that podman can map. */
const USER = 65534;

describe('podman of an ordinary user', function () {
  this.timeout(120_000);
  let podman: Podman;

  before(async () => {
    podman = await Podman.start({ user: USER });
  });

  afterEach(() => podman.removeAll());

  after(async () => {
    const leftovers = podman.leftovers();
    await podman.stop();
    expect(leftovers).to.deep.equal([]);
  });

  it('run shows what the guest prints and ends with its status', async () => {
    const { status, stdout, stderr } = await podman.run(['--rm'], ['/hello']);
    expect(stderr).to.equal('');
    expect(stdout).to.contain(GREETING);
    expect(status).to.equal(0);
    expect((await podman.run(['--rm'], ['/exit', 'exit', '42'])).status).to.equal(42);
    expect((await podman.run(['--rm'], ['/no-such-program'])).status).to.equal(127);
  });

  it('run -d, ps, stop, rm', async () => {
    const ids = [await podman.runDetached(), await podman.runDetached()];
    for (const id of ids) {
      expect(await podman.podman('ps', '--no-trunc', '--format', '{{.ID}} {{.Status}}')).to.contain(
        `${id} Up `,
      );
      if (isOurs) {
        const pid = Number(await podman.inspect(id, '.State.Pid'));
        expect(procStatus(pid, 'Uid').split('\t').map(Number)).to.deep.equal([USER, USER, USER, USER]);
        expect(BigInt(`0x${procStatus(pid, 'CapBnd')}`)).to.equal(0n);
        expect(procStatus(pid, 'Seccomp')).to.equal('2');
      }
      await podman.podman('stop', '--time=30', id);
      expect(await podman.inspect(id, '.State.ExitCode')).to.equal('143');
    }
    await podman.podman('rm', ...ids);
    expect(await podman.podman('ps', '--all', '--quiet')).to.equal('');
  });

  it('kill, wait, logs, restart', async () => {
    const id = await podman.runDetached();
    await podman.podman('restart', '--time=30', id);
    await podman.podman('kill', id);
    expect(await podman.podman('wait', id)).to.equal('137');
    const hello = await podman.runDetached([], ['/hello']);
    expect(await podman.podman('wait', hello)).to.equal('0');
    expect(await podman.podman('logs', hello)).to.contain(GREETING);
  });

  it('run of a Linux program', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'runnc-rootless-'));
    try {
      mkdirSync(join(folder, 'root/bin'), { recursive: true });
      copyFileSync('/bin/busybox', join(folder, 'root/bin/busybox'));
      const tar = join(podman.folder, 'linux.tar');
      await succeed('tar', ['-C', join(folder, 'root'), '--owner=0', '--group=0', '-cf', tar, '.']);
      await podman.podman('import', '--quiet', tar, 'linux');
    } finally {
      rmSync(folder, { recursive: true });
    }
    const words = ['run', '--rm', '--network=none', 'linux', '/bin/busybox'];
    expect(await podman.podman(...words, 'echo', 'Hello from Linux')).to.equal('Hello from Linux');
    expect(await podman.podman(...words, 'id', '-u')).to.equal('0');
  });
});
