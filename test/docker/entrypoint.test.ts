/**
 * Docker with an image whose entrypoint is a shell script that starts two servers and waits for them, under `docker stop`:
 * signals, statuses, nobody left behind. RUNNC_TEST_RUNTIME=/usr/sbin/runc says what is to be expected.
 */
import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { until } from '../support/bundle.ts';
import { succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { cgroupsBelow } from '../support/host-state.ts';

const IMAGE = 'servers:latest';
const APPLETS = ['cat', 'echo', 'kill', 'ls', 'ps', 'sh', 'sleep'];
const PROGRAMS = join(import.meta.dirname, '../linux-programs/programs');

describe('docker, with an entrypoint that starts two servers', function () {
  this.timeout(120_000);
  let docker: Dockerd;

  before(async () => {
    docker = await Dockerd.start();
    const rootfs = new Rootfs();
    try {
      rootfs.add('/usr/bin/redis-server', '/usr/bin/redis-cli');
      for (const name of APPLETS) symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
      rootfs.write('/usr/bin/servers', readFileSync(join(PROGRAMS, 'servers.sh'), 'utf8'), 0o755);
      const tar = join(docker.folder, 'servers.tar');
      await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
      const changes = ['ENV PATH=/usr/bin', 'ENTRYPOINT ["/usr/bin/servers"]'];
      await docker.docker('import', ...changes.map((change) => `--change=${change}`), tar, IMAGE);
      rmSync(tar);
    } finally {
      rootfs.remove();
    }
  });

  afterEach(() => docker.removeAll());

  after(async () => {
    const leftovers = docker.leftovers();
    await docker.stop();
    expect(leftovers).to.deep.equal([]);
  });

  /** One that has said that both servers answer. */
  async function started(...args: readonly string[]): Promise<string> {
    const id = await docker.docker('run', '-d', '--network=none', IMAGE, ...args);
    await until(async () => (await docker.docker('logs', id)).includes('ready'), 'the servers are ready');
    return id;
  }

  /** Its last lines, its status, and that nobody of it is there any more. */
  async function end(id: string): Promise<{ said: readonly string[]; status: string }> {
    const status = await docker.docker('wait', id);
    const said = (await docker.docker('logs', id)).split('\n').filter((line) => !line.startsWith('ready'));
    expect(await docker.inspect(id, '.State.Pid')).to.equal('0');
    await until(
      () => Promise.resolve(cgroupsBelow(docker.cgroupParent).length === 0),
      'its cgroups are gone',
    );
    return { said, status };
  }

  it('stop reaches the script, which ends both and says how they ended', async () => {
    const id = await started('passes-on');
    await docker.docker('stop', '--time=60', id);
    expect(await end(id)).to.deep.equal({ said: ['told to stop', 'ended with 0 and 0'], status: '0' });
  });

  it('stop kills one whose script does not ask for the signal, with its servers: 137', async () => {
    const id = await started('ignores');
    await docker.docker('stop', '--time=1', id);
    expect(await end(id)).to.deep.equal({ said: [], status: '137' });
  });

  it("a signal of the image's choice is the one that stop sends", async () => {
    const id = await docker.docker('run', '-d', '--network=none', '--stop-signal=USR1', IMAGE, 'passes-on');
    await until(async () => (await docker.docker('logs', id)).includes('ready'), 'the servers are ready');
    await docker.docker('stop', '--time=60', id);
    expect(await end(id)).to.deep.equal({ said: ['told by USR1', 'ended with 0 and 0'], status: '3' });
  });

  it("a server that is killed ends the script's wait, and the other one goes with process 1", async () => {
    const id = await started('loses-one');
    expect(await end(id)).to.deep.equal({ said: ['one ended with 137'], status: '9' });
  });

  it('servers that have made themselves orphans end with process 1', async () => {
    const id = await started('daemons');
    await docker.docker('stop', '--time=60', id);
    expect(await end(id)).to.deep.equal({ said: ['adopted by 1 and 1', 'told to stop'], status: '0' });
  });

  it('a script that becomes its server leaves it the signals', async () => {
    const id = await started('becomes');
    await docker.docker('stop', '--time=60', id);
    expect((await end(id)).status).to.equal('0');
  });
});
