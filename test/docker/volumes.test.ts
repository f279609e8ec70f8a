/** Docker's volumes with an ordinary Linux image: redis and sqlite keep their data, runnc's and runc's containers share it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type CommandResult, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';

const IMAGE = 'stores:latest';
const APPLETS = [
  'sh',
  'cat',
  'ls',
  'sleep',
  'mkdir',
  'touch',
  'rm',
  'stat',
  'df',
  'dd',
  'id',
  'mv',
  'grep',
  'wc',
];

/** Counts its starts in redis, says the count, and waits: "n 1", "n 2" … */
const REDIS = `
redis-server --appendonly yes --appendfsync always --dir /data --port 0 --unixsocket /tmp/s --save '' > /tmp/log &
trap 'kill $!; wait; exit 0' TERM
until [ "$(redis-cli -s /tmp/s ping 2>/dev/null)" = PONG ]; do sleep 0.05; done
echo "n $(redis-cli -s /tmp/s incr n)"
wait`;

describe('docker, with volumes', function () {
  this.timeout(120_000);
  let docker: Dockerd;
  let folder: string;

  before(async () => {
    docker = await Dockerd.start();
    const rootfs = new Rootfs();
    try {
      rootfs.add('/usr/bin/redis-server', '/usr/bin/redis-cli', '/usr/bin/sqlite3');
      for (const name of APPLETS) fs.symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
      rootfs.write('/usr/bin/count', `#!/bin/sh\n${REDIS}\n`, 0o755);
      rootfs.write('/data/seed', 'of the image\n');
      fs.chmodSync(rootfs.path('/data/seed'), 0o640);
      fs.chownSync(rootfs.path('/data/seed'), 5, 6);
      const tar = join(docker.folder, 'stores.tar');
      await succeed('tar', ['-C', rootfs.folder, '-cf', tar, '.']);
      const changes = ['ENV PATH=/usr/bin', 'VOLUME /data', 'CMD ["/usr/bin/count"]'];
      await docker.docker('import', ...changes.map((change) => `--change=${change}`), tar, IMAGE);
      fs.rmSync(tar);
    } finally {
      rootfs.remove();
    }
    folder = join(docker.folder, 'shared');
    fs.mkdirSync(folder);
  });
  afterEach(() => docker.removeAll());
  after(async () => {
    const leftovers = docker.leftovers();
    await docker.stop();
    expect(leftovers).to.deep.equal([]);
  });

  const detached = (options: readonly string[], command: readonly string[] = []): Promise<string> =>
    docker.docker('run', '-d', '--network=none', ...options, IMAGE, ...command);
  const run = (options: readonly string[], script: string): Promise<CommandResult> =>
    docker.try(['run', '--rm', '--network=none', ...options, IMAGE, 'sh', '-ec', script]);
  const printed = async (options: readonly string[], script: string): Promise<string> => {
    const { status, stdout, stderr } = await run(options, script);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    return stdout;
  };

  /** Until the program's output says it. */
  async function says(id: string, text: string): Promise<void> {
    const logs = spawn('docker', [...docker.client, 'logs', '--follow', id], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let all = '';
    for await (const chunk of logs.stdout) if ((all += String(chunk)).includes(text)) break;
    logs.kill();
    await once(logs, 'exit');
    expect(all).to.contain(text);
  }

  it('redis keeps its data over stop, kill -9, and for a new container with its volume', async () => {
    const first = await detached(['--volume=redis:/data']);
    await says(first, 'n 1\n');
    await docker.docker('stop', first);
    await docker.docker('start', first);
    await says(first, 'n 2\n');
    await docker.docker('kill', first);
    await docker.docker('start', first);
    await says(first, 'n 3\n');
    await docker.docker('rm', '--force', first);
    const second = await detached(['--volume=redis:/data']);
    await says(second, 'n 4\n');
    await docker.docker('rm', '--force', second);
    const runc = await detached(['--runtime=runc', '--volume=redis:/data']);
    await says(runc, 'n 5\n');
  });

  it("an image's VOLUME is a volume without a name, with what the image has there; --volumes-from shares it", async () => {
    const first = await detached([]);
    await says(first, 'n 1\n');
    expect(
      await printed([`--volumes-from=${first}`], "cat /data/seed; stat -c '%a %u %g' /data/seed"),
    ).to.equal('of the image\n640 5 6\n');
    await docker.docker('rm', '--force', '--volumes', first);
  });

  it('sqlite with a write-ahead log commits what it says it did', async () => {
    const script = `
      sqlite3 /data/db 'pragma journal_mode=wal; create table t(n integer primary key, s text);'
      i=0; while [ $i -lt 20 ]; do sqlite3 /data/db "insert into t(s) values ('row $i')"; i=$((i+1)); done
      sqlite3 /data/db 'begin; insert into t(s) select s from t, (select 1 union select 2 union select 3); commit;'
      sqlite3 /data/db 'select count(*) from t; pragma integrity_check;'`;
    expect(await printed([`--volume=${folder}:/data`], script)).to.equal('wal\n80\nok\n');
    expect(
      await succeed('sqlite3', [
        join(folder, 'db'),
        'select count(*), max(s) from t; pragma integrity_check;',
      ]),
    ).to.equal('80|row 9\nok');
  });

  it('containers of runnc and of runc share a folder, and respect each other’s locks', async () => {
    const script = (own: string): string => `
      i=0; while [ $i -lt 25 ]; do
        sqlite3 -cmd '.timeout 60000' /data/shared "insert into t values ('${own} $i')"; i=$((i+1)); done`;
    await succeed('sqlite3', [join(folder, 'shared'), 'create table t(s text)']);
    const mount = `--mount=type=bind,source=${folder},target=/data`;
    const results = await Promise.all([
      run([mount], script('a')),
      run([mount], script('b')),
      run(['--runtime=runc', mount], script('c')),
    ]);
    for (const { status, stderr } of results)
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
    expect(
      await succeed('sqlite3', [
        join(folder, 'shared'),
        'select count(distinct s), count(*) from t; pragma integrity_check',
      ]),
    ).to.equal('75|75\nok');
  });

  it('mounts as they are asked for: read-only, :z, one file, tmpfs with a size', async () => {
    fs.writeFileSync(join(folder, 'file'), 'of the host\n');
    expect(
      (await run([`--mount=type=bind,source=${folder},target=/d,readonly`], ': > /d/file')).stderr,
    ).to.include('Read-only file system');
    expect(
      await printed([`--volume=${folder}/file:/etc/one:z`], 'cat /etc/one; echo written > /etc/one'),
    ).to.equal('of the host\n');
    expect(fs.readFileSync(join(folder, 'file'), 'utf8')).to.equal('written\n');
    const tmpfs = '--mount=type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770';
    const { stdout, stderr } = await run(
      [tmpfs],
      "stat -c %a /t; dd if=/dev/zero of=/t/x bs=64k count=17 2>&1 | grep -o 'No space left on device' || true",
    );
    expect({ stdout, stderr }).to.deep.equal({ stdout: '1770\nNo space left on device\n', stderr: '' });
  });

  it('a source that asks for shared propagation is refused in one line', async () => {
    const { status, stderr } = await run([`--volume=${folder}:/data:rshared`], 'true');
    expect(status).to.not.equal(0);
    expect(stderr).to.match(/rshared|shared mount/);
  });
});
