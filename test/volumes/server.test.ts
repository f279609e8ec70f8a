/** The file server itself: hostile messages, races with its mounts, random use, and death at any moment. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { partPath } from '../../src/parts.ts';
import { Playground, type RunningCall } from '../support/bundle.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';
import {
  compileFaults,
  compileFsx,
  compileFuzzer,
  compileRacers,
  compileReaders,
  fuzz,
  hostileFolders,
  isState,
  SECRET,
} from './programs.ts';

describe('the file server', function () {
  this.timeout(120_000);
  const host = new Playground();
  const rootfs = new Rootfs();
  /** A tmpfs: what is written goes through the server all the same, and a disk's fsync is not what is tested. */
  const memory = fs.mkdtempSync('/dev/shm/runnc-test-');
  let volume: string;
  let count = 0;

  before(() => {
    compileFsx(rootfs.path('/usr/bin/fsx'));
    compileFaults(rootfs.path('/usr/bin/faults'));
    compileReaders(rootfs.path('/usr/bin/readers'));
    compileRacers(rootfs.path('/usr/bin/racers'));
    for (const name of ['sh', 'cat', 'ls', 'ln', 'mv', 'mkdir', 'seq', 'sleep'])
      fs.symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
  });
  beforeEach(() => {
    volume = join(memory, `volume-${String(count++)}`);
    fs.mkdirSync(volume);
  });
  after(async () => {
    await host.close();
    rootfs.remove();
    fs.rmSync(memory, { recursive: true });
  });

  const start = (id: string, args: readonly string[], ...others: readonly string[]): RunningCall => {
    const bundle = rootfs.bundle(host, args, (spec) => {
      spec.mounts = [
        ...(spec.mounts ?? []),
        ...[volume, ...others].map((source, i) => ({
          destination: i === 0 ? '/data' : `/other${String(i)}`,
          type: 'bind',
          source,
          options: ['rbind', 'rw'],
        })),
      ];
    });
    return host.start(['run', '--bundle', bundle, id]);
  };

  it('survives any messages, answers each, and leaves the world outside of its mounts alone', () => {
    const fuzzer = join(host.folder, 'fuzz');
    compileFuzzer(fuzzer);
    const folders = hostileFolders(join(memory, 'fuzzed'));
    for (const seed of [1, 2, 3]) fuzz(fuzzer, folders, seed, 5000);
    expect(folders.outside()).to.deep.equal(folders.before);
  });

  it('does what a file does, for random reads, writes, mappings and truncations', async () => {
    for (const seed of ['11', '12']) {
      const native = execFileSync(rootfs.path('/usr/bin/fsx'), [
        join(volume, 'native'),
        seed,
        '5000',
      ]).toString();
      const { stdout, stderr, status } = await start(`volumes-fsx-${seed}`, [
        'fsx',
        '/data/guest',
        seed,
        '5000',
      ]).end();
      expect({ stdout, stderr, status }).to.deep.equal({ stdout: native, stderr: '', status: 0 });
      expect(fs.readFileSync(join(volume, 'guest')).equals(fs.readFileSync(join(volume, 'native')))).to.equal(
        true,
      );
    }
  });

  it('gives large readers what the file has: several at once, on and on, in leaps, into bad memory', async () => {
    const file = join(volume, 'file');
    execFileSync(rootfs.path('/usr/bin/readers'), [file, 'make', '9000001']);
    expect(execFileSync(rootfs.path('/usr/bin/readers'), [file]).toString()).to.equal('read\n');
    const { stdout, stderr, status } = await start('volumes-readers', ['readers', '/data/file']).end();
    expect({ stdout, stderr, status }).to.deep.equal({ stdout: 'read\n', stderr: '', status: 0 });
  });

  it('keeps nobody waiting but the thread that touched what is to come from it', async () => {
    fs.writeFileSync(join(volume, 'file'), Buffer.alloc(1 << 20, 'x'));
    const call = start('volumes-faults', ['faults', '/data/file']);
    await call.prints('mapped');
    const { pid } = await host.state('volumes-faults');
    const server = Number(
      fs.readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').trim(),
    );
    process.kill(server, 'SIGSTOP');
    await host.runnc(['kill', 'volumes-faults', 'USR1']);
    await call.prints('others run');
    process.kill(server, 'SIGCONT');
    const { stdout, stderr, status } = await call.end();
    expect({ stdout, stderr, status }).to.deep.equal({
      stdout: 'mapped\nothers run\ntouched x\n',
      stderr: '',
      status: 0,
    });
  });

  it('has all that was written before the container was killed, and nothing that was not', async () => {
    for (const seed of ['21', '22', '23']) {
      const id = `volumes-killed-${seed}`;
      const call = start(id, ['fsx', '/data/file', seed, '1000000', 'crash']);
      await call.prints('kept');
      await delay(Number(seed) * 7);
      await host.runnc(['kill', id, 'KILL']);
      await call.end();
      await host.runnc(['delete', '--force', id]);
      const kept = Number(call.stdout.trim().split('\n').at(-1)?.split(' ')[1]);
      expect(kept).to.be.greaterThan(0);
      isState(rootfs.path('/usr/bin/fsx'), join(volume, 'file'), seed, kept);
    }
  });

  it('is not led out of its mount by links and folders that are exchanged under it', async () => {
    const outside = join(memory, 'elsewhere');
    fs.mkdirSync(outside);
    fs.writeFileSync(join(outside, 'secret'), 'SECRET\n');
    fs.mkdirSync(join(volume, 'folder'));
    fs.writeFileSync(join(volume, 'folder/secret'), 'inside\n');
    fs.symlinkSync(outside, join(volume, 'link'));
    fs.symlinkSync('..', join(volume, 'up'));
    fs.symlinkSync('folder', join(volume, 'd'));
    const script = `
      cat /data/d/secret; echo begins
      for n in $(seq 1500); do cat /data/d/secret /data/d/../d/secret /data/up/elsewhere/secret; done 2>/dev/null
      ls -a /data/..
      cd /data/folder; mv /data/folder /data/moved; cat ../../elsewhere/secret ../../../elsewhere/secret`;
    const call = start('volumes-race', ['sh', '-c', script]);
    await call.prints('begins');
    let running = true;
    const ended = call.end().finally(() => {
      running = false;
    });
    fs.unlinkSync(join(volume, 'd'));
    while (running) {
      for (const name of ['folder', 'link']) {
        if (fs.existsSync(join(volume, 'moved'))) break;
        fs.renameSync(join(volume, name), join(volume, 'd'));
        fs.renameSync(join(volume, 'd'), join(volume, name));
      }
      await delay(0);
    }
    const { stdout } = await ended;
    expect(stdout).to.not.include('SECRET');
    expect(stdout.split('\n')).to.include('inside');
    fs.rmSync(outside, { recursive: true });
  });

  it('is not led out of its mount by the guest’s own processes, which race with each other', async () => {
    const folders = hostileFolders(join(memory, 'raced'));
    volume = folders.mount;
    const { stdout, stderr } = await start('volumes-racers', ['racers', '/data', '5000', SECRET]).end();
    expect({ stdout, stderr }).to.deep.equal({ stdout: 'raced, and much was opened\n', stderr: '' });
    expect(folders.outside()).to.deep.equal(folders.before);
  });

  it('links no file of one mount into another, and makes no devices', async () => {
    const other = join(memory, 'other-volume');
    fs.mkdirSync(other);
    fs.writeFileSync(join(volume, 'file'), '');
    const script = `
      ln /data/file /other1/file; ln /data/file /tmp/file; mv /data/file /other1/ && ls /other1
      mknod /data/null c 1 3; mknod /data/disk b 8 0; echo ends`;
    const { stdout, stderr } = await start(
      'volumes-links',
      ['/bin/busybox', 'sh', '-c', script],
      other,
    ).end();
    expect(stdout).to.equal('file\nends\n');
    expect(stderr.match(/Invalid cross-device link|Cross-device link/gi)).to.have.length(2);
    expect(stderr.match(/Operation not permitted/g)).to.have.length(2);
  });

  it('has no capability and no call that it does not need', async () => {
    const call = start('volumes-jail', ['sh', '-c', 'echo ready; sleep 1000']);
    await call.prints('ready');
    const { pid } = await host.state('volumes-jail');
    const server = fs.readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').trim();
    const status = Object.fromEntries(
      fs
        .readFileSync(`/proc/${server}/status`, 'utf8')
        .split('\n')
        .map((line) => line.split(':\t')),
    ) as Record<string, string>;
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID
    expect([status['CapEff'], status['CapPrm'], status['CapBnd']]).to.deep.equal(
      Array<string>(3).fill('00000000000000db'),
    );
    expect([status['CapInh'], status['CapAmb']]).to.deep.equal(Array<string>(2).fill('0000000000000000'));
    expect([status['NoNewPrivs'], status['Seccomp']]).to.deep.equal(['1', '2']);
    expect(status['Uid']?.split('\t')[0]).to.not.equal('0');
    expect(fs.readdirSync(`/proc/${server}/root`)).to.deep.equal([]);
    const open = fs
      .readdirSync(`/proc/${server}/fd`)
      .map((fd) => fs.readlinkSync(`/proc/${server}/fd/${fd}`));
    expect(open.filter((path) => path.startsWith('/') && path !== '/dev/null').length).to.be.lessThan(4);
    await host.runnc(['delete', '--force', 'volumes-jail']);
    await call.end();
    expect(partPath('fileserver')).to.match(/fileserver$/);
  });
});
