import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { witnessPath } from './support.ts';

const root = join(import.meta.dirname, '..', '..');
const user = 61234;

describe('rootless: a container of an ordinary user', () => {
  let folder = '';
  before(() => {
    // An ordinary user may not be able to reach the checkout.
    folder = mkdtempSync(join(tmpdir(), 'runnc-rootless-'));
    chmodSync(folder, 0o755);
    const copy = (from: string, to: string): void => cpSync(from, join(folder, to), { recursive: true });
    for (const part of ['src', 'test/native', 'package.json', 'dist/init', 'dist/runnc.node'])
      copy(join(root, part), part);
    witnessPath();
    copy(join(root, 'build/test/native'), 'build/test/native');
    copy(realpathSync(join(root, 'node_modules/.bin/bun')), 'bun');
    chmodSync(join(folder, 'bun'), 0o755);
    mkdirSync(join(folder, 'tmp'));
    chmodSync(join(folder, 'tmp'), 0o777);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function run(plan: unknown, ...more: string[]): readonly string[] {
    const result = spawnSync(
      'setpriv',
      [
        ...['--reuid', String(user), '--regid', String(user), '--clear-groups', '--no-new-privs', '--'],
        ...[join(folder, 'bun'), join(folder, 'test/native/child.ts'), JSON.stringify(plan), ...more],
      ],
      {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], TMPDIR: join(folder, 'tmp'), HOME: join(folder, 'tmp') },
      },
    );
    expect(result.stderr).to.equal('');
    return result.stdout.trim().split('\n');
  }

  const all = ['user', 'pid', 'network', 'mount', 'ipc', 'uts', 'cgroup', 'time'].map((kind) => ({ kind }));
  function oneId(containerId: number): unknown {
    const map = [{ containerId, hostId: user, size: 1 }];
    return { uidMappings: map, gidMappings: map, denySetgroups: true };
  }

  for (const id of [0, 1000]) {
    for (const hook of [false, true]) {
      it(`lives and ends as id ${String(id)} of its user namespace${hook ? ', after a startContainer hook' : ''}`, () => {
        const plan = {
          namespaces: all,
          userNamespace: oneId(id),
          hostname: 'rootless',
          sysctls: [{ key: 'net.ipv4.ip_unprivileged_port_start', value: '0' }],
          timeOffsets: [{ clock: 'monotonic', seconds: 0, nanoseconds: 1 }],
          oomScoreAdj: 500,
          jail: { uid: id, gid: id, noPivot: false },
          hookCredentials: { uid: id, gid: id, additionalGids: [], umask: 0, capabilities: 0 },
        };
        const [, init, created, started, report = '{}', exited, ...rest] = run(
          plan,
          ...(hook ? ['hook'] : []),
        );
        expect(init).to.match(/^init \d+$/);
        expect([created, started, exited, rest]).to.deep.equal(['created', 'started', 'exited 0', []]);
        expect(JSON.parse(report)).to.include({
          pid: '1',
          uid: String(id),
          gid: String(id),
          dumpable: '0',
          nnp: '1',
          hostname: 'rootless',
          environment: '0',
          entries: '2',
          fds: '0,1,2',
          chroot: 'EPERM',
          'open /new': 'EROFS',
          'open ../../../etc/passwd': 'ENOENT',
        });
      });
    }
  }

  it('says what an ordinary user may not do without a user namespace', () => {
    const lines = run({ namespaces: [{ kind: 'pid' }, { kind: 'mount' }] });
    expect(lines.slice(1)).to.deep.equal(['error cannot make the namespaces: Operation not permitted']);
  });

  it('says which ids an ordinary user may not map', () => {
    const map = [{ containerId: 0, hostId: 0, size: 1 }];
    const lines = run({
      namespaces: all,
      userNamespace: { uidMappings: map, gidMappings: map, denySetgroups: true },
    });
    expect(lines.slice(1)).to.deep.equal([
      'error linux.uidMappings: the kernel refuses this map (EPERM): 0 0 1',
    ]);
  });
});
