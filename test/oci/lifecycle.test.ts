import { expect } from 'chai';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Playground, until } from '../support/bundle.ts';

describe('the life of a container', () => {
  let host: Playground;

  beforeEach(() => {
    host = new Playground();
  });
  afterEach(async () => {
    await host.close();
  });

  it('goes from created over running to stopped, and ends with delete', async () => {
    const bundle = host.bundle('time', ['forever'], (spec) => {
      spec.annotations = { 'org.example.key': 'value' };
    });
    const pidFile = join(host.folder, 'pid');
    const call = await host.create('life', bundle, '--pid-file', pidFile);
    const created = await host.state('life');
    expect(created).to.include({
      id: 'life',
      status: 'created',
      bundle,
      rootfs: `${bundle}/rootfs`,
      owner: 'root',
    });
    expect(created.annotations).to.deep.equal({ 'org.example.key': 'value' });
    expect(created.ociVersion).to.match(/^1\./);
    expect(Date.parse(String(created.created))).to.be.closeTo(Date.now(), 60_000);
    expect(readFileSync(pidFile, 'latin1')).to.equal(String(created.pid));
    expect(call.stdout).to.equal('');

    expect(await host.runnc(['start', 'life'])).to.deep.equal({ status: 0, stdout: '', stderr: '' });
    await call.prints('waiting');
    const running = await host.state('life');
    expect(running).to.include({ status: 'running', pid: created.pid });

    expect((await host.runnc(['kill', 'life', 'KILL'])).status).to.equal(0);
    await host.reaches('life', 'stopped');
    expect((await host.state('life')).pid).to.equal(0);

    expect(await host.runnc(['delete', 'life'])).to.include({ status: 0, stderr: '' });
    expect(host.leftovers()).to.deep.equal([]);
    expect(await host.runnc(['state', 'life'])).to.include({
      status: 1,
      stderr: 'container does not exist\n',
    });
  });

  it('ends with SIGTERM too, although the program is process 1 of its namespace', async () => {
    await host.create('term', host.bundle('time', ['forever']));
    await host.runnc(['start', 'term']);
    await host.runnc(['kill', 'term']);
    await host.reaches('term', 'stopped');
  });

  it('can end before it is started', async () => {
    await host.create('early', host.bundle('hello'));
    expect((await host.runnc(['delete', 'early'])).status).to.equal(0);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('ends whole when somebody has put a folder into its own', async () => {
    await host.create('guest', host.bundle('hello'));
    mkdirSync(join(host.root, 'guest/left/behind'), { recursive: true });
    expect(await host.runnc(['delete', 'guest'])).to.include({ status: 0, stderr: '' });
    expect(existsSync(join(host.root, 'guest'))).to.equal(false);
  });

  it('cannot be started twice, nor after its end', async () => {
    const bundle = host.bundle('time', ['forever']);
    await host.create('once', bundle);
    await host.runnc(['start', 'once']);
    expect(await host.runnc(['start', 'once'])).to.include({
      status: 1,
      stderr: 'cannot start an already running container\n',
    });
    await host.runnc(['kill', 'once', '9']);
    await host.reaches('once', 'stopped');
    expect(await host.runnc(['start', 'once'])).to.include({
      status: 1,
      stderr: 'cannot start a container that has stopped\n',
    });
    expect(await host.runnc(['kill', 'once'])).to.include({ status: 1, stderr: 'container not running\n' });
    expect((await host.runnc(['kill', '--all', 'once', '9'])).status).to.equal(0);
  });

  it('cannot be deleted while it runs, unless by force', async () => {
    await host.create('busy', host.bundle('time', ['forever']));
    await host.runnc(['start', 'busy']);
    const refused = await host.runnc(['delete', 'busy']);
    expect(refused).to.include({
      status: 1,
      stderr: 'cannot delete container busy that is not stopped: running\n',
    });
    expect((await host.state('busy')).status).to.equal('running');
    expect(await host.runnc(['delete', '--force', 'busy'])).to.include({ status: 0, stderr: '' });
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('is paused and resumed, and a paused one can be killed', async () => {
    await host.create('rest', host.bundle('time', ['forever']));
    await host.runnc(['start', 'rest']);
    expect((await host.runnc(['resume', 'rest'])).stderr).to.equal('container not paused\n');
    expect((await host.runnc(['pause', 'rest'])).status).to.equal(0);
    expect((await host.state('rest')).status).to.equal('paused');
    expect((await host.runnc(['start', 'rest'])).stderr).to.equal(
      'cannot start a container in the paused state\n',
    );
    expect((await host.runnc(['resume', 'rest'])).status).to.equal(0);
    expect((await host.state('rest')).status).to.equal('running');
    await host.runnc(['pause', 'rest']);
    await host.runnc(['kill', 'rest', 'KILL']);
    await host.reaches('rest', 'stopped');
    expect((await host.runnc(['pause', 'rest'])).stderr).to.equal(
      'container not running or created: stopped\n',
    );
  });

  it('ends with delete --force without a freeze: what is dying cannot be frozen, and was waited for', async () => {
    await host.create('quick', host.bundle('time', ['forever']));
    await host.runnc(['start', 'quick']);
    const trace = join(host.folder, 'writes');
    const under = ['strace', '-f', '-qq', '-o', trace, '-e', 'trace=write,rmdir'];
    expect(await host.runnc(['delete', '--force', 'quick'], { under })).to.include({ status: 0, stderr: '' });
    const text = readFileSync(trace, 'utf8');
    expect(text).to.include('rmdir(').and.not.include('FROZEN');
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('of a paused container ends with delete --force', async () => {
    await host.create('frozen', host.bundle('time', ['forever']));
    await host.runnc(['start', 'frozen']);
    await host.runnc(['pause', 'frozen']);
    expect((await host.runnc(['delete', '--force', 'frozen'])).status).to.equal(0);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('is not begun twice under one id', async () => {
    const bundle = host.bundle('time', ['forever']);
    await host.create('same', bundle);
    const again = await host.runnc(['create', '--bundle', host.bundle('hello'), 'same']);
    expect(again).to.include({ status: 1, stderr: 'container with id exists: same\n' });
    expect((await host.state('same')).status).to.equal('created');
  });

  it('is shared by two that do not know of each other: one cgroup, the second is refused and the first lives', async () => {
    const path = `${host.cgroupParent}/shared`;
    const change = (spec: { linux: { cgroupsPath?: string } }): void => {
      spec.linux.cgroupsPath = path;
    };
    await host.create('first', host.bundle('time', ['forever'], change));
    const second = await host.runnc(['create', '--bundle', host.bundle('hello', [], change), 'second']);
    expect(second.status).to.equal(1);
    expect((await host.state('first')).status).to.equal('created');
    expect(await host.runnc(['state', 'second'])).to.include({ status: 1 });
  });

  it('is not confused by another process that got the pid of a dead one', async () => {
    await host.create('reuse', host.bundle('time', ['forever']));
    const file = join(host.root, 'reuse', 'state.json');
    const record = JSON.parse(readFileSync(file, 'utf8')) as { pid: number };
    await host.runnc(['kill', 'reuse', '9']);
    await host.reaches('reuse', 'stopped');
    // As if the kernel had given the number to us.
    writeFileSync(file, JSON.stringify({ ...record, pid: process.pid }));
    expect(await host.state('reuse')).to.include({ status: 'stopped', pid: 0 });
    expect((await host.runnc(['kill', 'reuse', '9'])).stderr).to.equal('container not running\n');
    expect((await host.runnc(['delete', '--force', 'reuse'])).status).to.equal(0);
  });

  it('leaves nothing when the id is already gone', async () => {
    expect(await host.runnc(['delete', '--force', 'never'])).to.include({ status: 0, stderr: '' });
    expect(await host.runnc(['delete', 'never'])).to.include({
      status: 1,
      stderr: 'container does not exist\n',
    });
    // What a create that was killed at once leaves.
    mkdirSync(join(host.root, 'half'), { recursive: true });
    expect((await host.runnc(['state', 'half'])).stderr).to.equal('container does not exist\n');
    expect((await host.runnc(['list', '-q'])).stdout).to.equal('');
    expect((await host.runnc(['delete', '--force', 'half'])).status).to.equal(0);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('goes on when the process that created it is killed, and with its standard output where it was', async () => {
    const call = await host.create('orphan', host.bundle('hello'));
    expect(existsSync(`/proc/${String(call.child.pid)}`)).to.equal(false);
    await host.runnc(['start', 'orphan']);
    await call.prints('Hello');
  });

  it('gives each sandbox a uid of its own that is not root', async () => {
    const uids = new Set<number>();
    for (const id of ['a', 'b', 'c']) {
      await host.create(id, host.bundle('time', ['forever']));
      const status = readFileSync(`/proc/${String((await host.state(id)).pid)}/status`, 'utf8');
      uids.add(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]));
    }
    expect(uids.size).to.equal(3);
    expect(Math.min(...uids)).to.be.greaterThan(65535);
  });

  it('is listed, as a table, as JSON, by ids, and its processes too', async () => {
    expect((await host.runnc(['list'])).stdout).to.match(/^ID +PID +STATUS +BUNDLE +CREATED +OWNER\n$/);
    expect((await host.runnc(['list', '--format', 'json'])).stdout).to.equal('[]\n');
    const bundle = host.bundle('time', ['forever']);
    await host.create('one', bundle);
    await host.create('two', host.bundle('hello'));
    const { pid } = await host.state('one');
    expect((await host.runnc(['list', '-q'])).stdout).to.equal('one\ntwo\n');
    const list = JSON.parse((await host.runnc(['list', '--format=json'])).stdout) as { id: string }[];
    expect(list.map(({ id }) => id)).to.deep.equal(['one', 'two']);
    expect(list[0]).to.include({ pid, status: 'created', bundle });
    expect((await host.runnc(['list'])).stdout.split('\n')[1]).to.match(
      new RegExp(`^one +${String(pid)} +created +${bundle} +\\S+Z +root$`),
    );
    expect((await host.runnc(['ps', '--format', 'json', 'one'])).stdout).to.equal(`[${String(pid)}]\n`);
    const table = (await host.runnc(['ps', 'one'])).stdout.split('\n');
    expect(table[0]).to.include('PID');
    expect(table[1]).to.include(String(pid));
    expect(table).to.have.length(3);
    expect((await host.runnc(['ps', 'one', '-e', '-o', 'pid,comm'])).stdout).to.match(
      /PID\s+COMMAND\n\s*\d+ \S+\n$/,
    );
  });

  it('is counted by events and bounded by update', async () => {
    await host.create('stats', host.bundle('time', ['forever']));
    await host.runnc(['start', 'stats']);
    const stats = JSON.parse((await host.runnc(['events', '--stats', 'stats'])).stdout) as {
      type: string;
      id: string;
      data: { memory: { usage: { limit: number; usage: number } }; pids: { current: number } };
    };
    expect(stats).to.include({ type: 'stats', id: 'stats' });
    expect(stats.data.pids.current).to.equal(1);
    expect(stats.data.memory.usage.usage).to.be.greaterThan(0);
    const limit = async (): Promise<number> => {
      const { stdout } = await host.runnc(['events', '--stats', 'stats']);
      return (JSON.parse(stdout) as typeof stats).data.memory.usage.limit;
    };
    expect((await host.runnc(['update', '--memory', '600m', 'stats'])).stderr).to.equal('');
    expect(await limit()).to.equal(600 * 2 ** 20);
    const resources = JSON.stringify({ memory: { limit: 700 * 2 ** 20 } });
    expect((await host.runnc(['update', '--resources', '-', 'stats'], { input: resources })).stderr).to.equal(
      '',
    );
    expect(await limit()).to.equal(700 * 2 ** 20);
    const wrong = await host.runnc(['update', '-r', '-', 'stats'], { input: '{"memory":{"limit":"1g"}}' });
    expect(wrong).to.include({ status: 1 });
    expect(wrong.stderr).to.match(/^standard input: memory\.limit: expected bytes.*\n$/);
    expect((await host.runnc(['update', '--memory', 'much', 'stats'])).stderr).to.match(
      /^--memory: expected bytes/,
    );
  });

  it('is told by events until its end', async () => {
    await host.create('watch', host.bundle('time', ['forever']));
    await host.runnc(['start', 'watch']);
    const events = host.start(['events', '--interval', '20ms', 'watch']);
    await until(() => Promise.resolve(events.stdout.split('\n').length > 3), 'three events are printed');
    await host.runnc(['kill', 'watch', '9']);
    const { status, stdout } = await events.end();
    expect(status).to.equal(0);
    for (const line of stdout.trim().split('\n'))
      expect(JSON.parse(line)).to.include({ type: 'stats', id: 'watch' });
  });

  it('hides the program that the image does not have behind the words that callers know', async () => {
    const bundle = host.bundle('hello');
    const expectations: readonly (readonly [string, RegExp])[] = [
      ['/nope', /^exec: "\/nope": stat "\/nope": no such file or directory\n$/],
      ['nope', /^exec: "nope": executable file not found in \$PATH\n$/],
      ['/', /is a directory: permission denied/],
      ['/text', /permission denied: the file is not executable/],
      ['../../../hello.sp', /no such file or directory/],
      ['/link', /no such file or directory/],
    ];
    writeFileSync(join(bundle, 'rootfs', 'text'), 'x', { mode: 0o644 });
    symlinkSync('/etc/hostname', join(bundle, 'rootfs', 'link'));
    const config = join(bundle, 'config.json');
    const spec = JSON.parse(readFileSync(config, 'utf8')) as { process: { args: string[] } };
    for (const [program, message] of expectations) {
      spec.process.args = [program];
      writeFileSync(config, JSON.stringify(spec));
      const result = await host.runnc(['create', '--bundle', bundle, 'none']);
      expect(result.stderr).to.match(message);
      expect(result.status).to.equal(1);
      expect(host.leftovers()).to.deep.equal([]);
    }
    // What looks like leaving the rootfs stays in it.
    spec.process.args = ['../../../../hello.spt'];
    writeFileSync(config, JSON.stringify(spec));
    expect((await host.runnc(['run', '--bundle', bundle, 'inside'])).stdout).to.include('Hello');
    rmSync(join(bundle, 'rootfs', 'link'));
    symlinkSync('/hello.spt', join(bundle, 'rootfs', 'link'));
    spec.process.args = ['/link'];
    writeFileSync(config, JSON.stringify(spec));
    expect((await host.runnc(['run', '--bundle', bundle, 'inside'])).stdout).to.include('Hello');
  });
});
