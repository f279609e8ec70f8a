/** Folders and files of the host that a Linux guest reads and writes through the file server. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Mount } from '../../src/oci/spec.ts';
import { type Draft, Playground, type Result, until } from '../support/bundle.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';

describe('volumes of a Linux guest', function () {
  this.timeout(120_000);
  const host = new Playground();
  const rootfs = new Rootfs();
  let volume: string;
  let count = 0;

  beforeEach(() => {
    volume = join(host.folder, `volume-${String(count++)}`);
    fs.mkdirSync(volume);
  });
  after(async () => {
    await host.close();
    rootfs.remove();
  });

  const bind = (destination: string, source: string, ...options: readonly string[]): Mount => ({
    destination,
    type: 'bind',
    source,
    options: options.length === 0 ? ['rbind', 'rw', 'rprivate'] : options,
  });
  const sh = (script: string): string[] => ['/bin/busybox', 'sh', '-ec', script];
  const bundle = (
    script: string,
    mounts: readonly Mount[],
    change: (spec: Draft) => void = () => undefined,
  ): string =>
    rootfs.bundle(host, sh(script), (spec) => {
      spec.mounts = [...(spec.mounts ?? []), ...mounts];
      change(spec);
    });
  const run = async (
    script: string,
    mounts: readonly Mount[] = [bind('/data', volume)],
    change?: (spec: Draft) => void,
  ): Promise<Result> =>
    host.runnc(['run', '--bundle', bundle(script, mounts, change), `volumes-${String(count++)}`]);
  const printed = async (
    script: string,
    mounts?: readonly Mount[],
    change?: (spec: Draft) => void,
  ): Promise<string> => {
    const { status, stdout, stderr } = await run(script, mounts, change);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    return stdout;
  };

  it('show what the host has, and the host what the container wrote, with owners, modes and times', async () => {
    fs.writeFileSync(join(volume, 'given'), 'of the host\n', { mode: 0o640 });
    fs.chownSync(join(volume, 'given'), 123, 45);
    const script = `
      cd /data; cat given; stat -c '%a %u %g %s' given
      mkdir -p a/b; echo made > a/b/file; chown 7:8 a/b/file; chmod 4751 a/b/file; touch -d @1000000000 a/b/file
      ln a/b/file hard; ln -s a/b/file soft; cat soft; mkfifo fifo; mv given taken; : > empty; rm empty`;
    expect(await printed(script)).to.equal('of the host\n640 123 45 12\nmade\n');
    const made = fs.statSync(join(volume, 'a/b/file'));
    expect([made.mode & 0o7777, made.uid, made.gid, made.mtimeMs, made.nlink]).to.deep.equal([
      0o4751, 7, 8, 1e12, 2,
    ]);
    expect(fs.readlinkSync(join(volume, 'soft'))).to.equal('a/b/file');
    expect(fs.statSync(join(volume, 'fifo')).isFIFO()).to.equal(true);
    expect(fs.readdirSync(volume).sort()).to.deep.equal(['a', 'fifo', 'hard', 'soft', 'taken']);
  });

  it('give what a user makes to that user, from the first moment on', async () => {
    fs.chmodSync(volume, 0o777);
    const user = (spec: Draft): void => {
      spec.process.user = { uid: 1000, gid: 1001 };
    };
    await printed('cd /data; mkdir d; : > d/f; ln -s x l', undefined, user);
    for (const name of ['d', 'd/f', 'l']) {
      const { uid, gid } = fs.lstatSync(join(volume, name));
      expect([uid, gid], name).to.deep.equal([1000, 1001]);
    }
    fs.writeFileSync(join(volume, 'secret'), 'x', { mode: 0o600 });
    expect((await run('cat /data/secret', undefined, user)).stderr).to.include('Permission denied');
  });

  it('that are read-only show later changes, and cannot be changed', async () => {
    fs.writeFileSync(join(volume, 'file'), 'one\n');
    const script = `
      cat /data/file; echo ready; until [ -e /data/later ]; do sleep 0.1; done; cat /data/file
      for try in ': > /data/file' 'rm /data/file' 'mkdir /data/x' 'chmod 0 /data/file' 'touch /data/file'; do
        sh -c "$try" 2>/dev/null && echo "$try succeeded"; done; true`;
    const call = host.start([
      'run',
      '--bundle',
      bundle(script, [bind('/data', volume, 'bind', 'ro')]),
      'volumes-ro',
    ]);
    await call.prints('ready');
    fs.writeFileSync(join(volume, 'file'), 'two and more\n');
    fs.writeFileSync(join(volume, 'later'), '');
    expect((await call.end()).stdout).to.equal('one\nready\ntwo and more\n');
    expect(fs.readFileSync(join(volume, 'file'), 'utf8')).to.equal('two and more\n');
  });

  it('of single files are written through, also when others have an old name of theirs', async () => {
    const file = join(volume, 'config');
    fs.writeFileSync(file, 'before\n');
    expect(await printed('cat /etc/x; echo after > /etc/x', [bind('/etc/x', file)])).to.equal('before\n');
    expect(fs.readFileSync(file, 'utf8')).to.equal('after\n');
    expect((await run('rm /etc/x', [bind('/etc/x', file)])).stderr).to.include('busy');
  });

  it('have what is mounted in them if they are bound recursively', async () => {
    const inside = join(volume, 'inside');
    fs.mkdirSync(inside);
    execFileSync('mount', ['-t', 'tmpfs', 'runnc-test', inside]);
    try {
      fs.writeFileSync(join(inside, 'file'), '');
      expect(await printed('ls /data/inside; : > /data/inside/new')).to.equal('file\n');
      expect(fs.existsSync(join(inside, 'new'))).to.equal(true);
      expect(await printed('ls /data/inside', [bind('/data', volume, 'bind')])).to.equal('');
    } finally {
      execFileSync('umount', [inside]);
    }
  });

  it('are shared by containers, each of which sees at the next open what the other wrote', async () => {
    const turns = (own: string, other: string): string => `
      cd /data
      for n in 1 2 3 4 5; do
        echo "${own} $n" >> log; echo $n > ${own}.new; mv ${own}.new ${own}
        until [ "$(cat ${other} 2>/dev/null || echo 0)" -ge $n ]; do sleep 0.02; done
      done
      wc -l < log`;
    const mounts = [bind('/data', volume)];
    const [a, b] = await Promise.all([
      host.runnc(['run', '--bundle', bundle(turns('a', 'b'), mounts), 'volumes-a']),
      host.runnc(['run', '--bundle', bundle(turns('b', 'a'), mounts), 'volumes-b']),
    ]);
    expect([a.stderr, b.stderr]).to.deep.equal(['', '']);
    const lines = fs.readFileSync(join(volume, 'log'), 'utf8').trim().split('\n');
    expect(lines.sort()).to.deep.equal(
      ['a', 'b'].flatMap((who) => [1, 2, 3, 4, 5].map((n) => `${who} ${String(n)}`)),
    );
  });

  it('cost no process and no channel where there are none', async () => {
    await host.create('volumes-none', bundle('sleep 1000', []));
    const { pid } = await host.state('volumes-none');
    const group = fs
      .readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8')
      .split('\n')[0]
      ?.split(':')
      .slice(2)
      .join(':');
    const others = fs.readdirSync('/proc').filter((name) => {
      try {
        return (
          /^\d+$/.test(name) && fs.readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(`${group ?? '?'}\n`)
        );
      } catch {
        return false;
      }
    });
    expect(others).to.deep.equal([String(pid)]);
    await host.runnc(['delete', '--force', 'volumes-none']);
  });

  const serverOf = (pid: number): number | undefined => {
    const children = fs.readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  };

  it('end with the container, whichever process is killed', async () => {
    const script = 'echo ready; sleep 1000 & wait; cat /data/file';
    fs.writeFileSync(join(volume, 'file'), '');
    for (const victim of ['container', 'server'] as const) {
      const id = `volumes-${victim}`;
      const call = host.start(['run', '--bundle', bundle(script, [bind('/data', volume)]), id]);
      await call.prints('ready');
      const { pid } = await host.state(id);
      const server = serverOf(pid);
      if (server === undefined) throw new Error('there is no file server');
      process.kill(victim === 'container' ? pid : server, 'SIGKILL');
      if (victim === 'container') await host.reaches(id, 'stopped').catch(() => undefined);
      await host.runnc(['delete', '--force', id]);
      await call.end();
      await until(() => Promise.resolve(!fs.existsSync(`/proc/${String(server)}`)), 'the server is gone');
    }
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('leave nothing behind where init or the runtime is killed around the start of the server', async () => {
    for (const victim of ['init', 'runtime'])
      for (const step of ['file-server', 'root', 'report-created', 'exec']) {
        const id = `volumes-fault-${victim}-${step}`;
        const args = ['run', '--bundle', bundle('true', [bind('/data', volume)]), id];
        const { status } = await host.runnc(args, {
          env: { ...process.env, RUNNC_FAULT: `${victim}:${step}` },
        });
        expect(status, id).to.not.equal(0);
        await host.runnc(['delete', '--force', id]);
        expect(host.leftovers(), id).to.deep.equal([]);
      }
  });

  it('give I/O errors, and the reason once, when their server is killed', async () => {
    const script = 'echo ready; until [ -e /tmp/x ]; do cat /data/file || : > /tmp/x; sleep 0.05; done';
    fs.writeFileSync(join(volume, 'file'), '');
    const call = host.start(['run', '--bundle', bundle(script, [bind('/data', volume)]), 'volumes-eio']);
    await call.prints('ready');
    const server = serverOf((await host.state('volumes-eio')).pid);
    if (server !== undefined) process.kill(server, 'SIGKILL');
    const { stderr } = await call.end();
    expect(stderr).to.include('the file server is gone');
    expect(stderr).to.include('I/O error');
    await host.runnc(['delete', '--force', 'volumes-eio']);
  });

  it('see the ids of the container’s user namespace', async () => {
    fs.chownSync(volume, 100_000, 100_000);
    const mapped = (spec: Draft): void => {
      const ids = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.linux.namespaces = [...(spec.linux.namespaces ?? []), { type: 'user' }];
      spec.linux.uidMappings = ids;
      spec.linux.gidMappings = ids;
    };
    expect(
      await printed("stat -c '%u %g' /data; : > /data/f; chown 5:6 /data/f", undefined, mapped),
    ).to.equal('0 0\n');
    const { uid, gid } = fs.statSync(join(volume, 'f'));
    expect([uid, gid]).to.deep.equal([100_005, 100_006]);
  });

  it('that cannot be are refused before anything is made', async () => {
    const refused = async (mount: Mount, text: RegExp): Promise<void> => {
      const { status, stderr } = await run('true', [mount]);
      expect(status).to.equal(1);
      expect(stderr.trim().split('\n')).to.have.length(1);
      expect(stderr).to.match(text);
    };
    await refused(bind('/data', join(volume, 'none')), /the source .* does not exist/);
    await refused(bind('/data', volume, 'rbind', 'rshared'), /"rshared"/);
    expect(host.leftovers()).to.deep.equal([]);
  });
});
