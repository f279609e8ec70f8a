import { expect } from 'chai';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { templateSpec } from '../../src/oci/spec-template.ts';
import { run } from '../support/command.ts';
import { runtime } from '../support/paths.ts';
import { type CallOptions, Playground, until } from '../support/bundle.ts';

/** Any ordinary user; without subordinate ids, only its own uid is there to map. */
const USER = { uid: 65534, gid: 65534 };

describe('an ordinary user', () => {
  let host: Playground;
  let asUser: CallOptions;

  beforeEach(() => {
    host = new Playground();
    chownSync(host.folder, USER.uid, USER.gid);
    mkdirSync(host.root);
    chownSync(host.root, USER.uid, USER.gid);
    asUser = { ...USER, env: { PATH: '/usr/bin:/bin', XDG_RUNTIME_DIR: host.folder } };
  });
  afterEach(async () => {
    await host.close();
  });

  const bundle = (guest: string, args: readonly string[] = []): string =>
    host.bundle(guest, args, (spec) => {
      Object.assign(spec, structuredClone(templateSpec({ rootless: USER })));
      spec.process = { ...spec.process, terminal: false, args: [`/${guest}.spt`, ...args] };
    });

  it('runs a container in a user namespace, and nothing is left', async () => {
    const result = await host.runnc(['run', '-b', bundle('hello'), 'mine'], asUser);
    expect(result).to.deep.equal({ status: 0, stdout: 'Hello from a unikernel\n', stderr: '' });
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('has the rootfs as an ISO image, with the owners of its user namespace', async () => {
    const path = bundle('iso', ['list']);
    writeFileSync(join(path, 'rootfs/file'), 'content');
    for (const name of ['', 'file', 'iso.spt']) chownSync(join(path, 'rootfs', name), USER.uid, USER.gid);
    const cache = join(host.folder, 'cache');
    mkdirSync(cache);
    chownSync(cache, USER.uid, USER.gid);
    const env = { ...asUser.env, XDG_CACHE_HOME: cache };
    const { status, stdout, stderr } = await host.runnc(['run', '-b', path, 'mine'], { ...asUser, env });
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    expect(
      stdout
        .split('\n')
        .map((line) => line.split(' ', 3).join(' '))
        .sort(),
    ).to.deep.equal(['', '/ 40755 0:0', '/file 100644 0:0', '/iso.spt 100755 0:0']);
    const verified = await run(runtime, ['cache', 'verify'], { ...USER, env });
    expect(verified.stdout).to.match(/^[0-9a-f]{12} ok\n$/);
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('has the whole life of a container', async () => {
    const path = bundle('time', ['forever']);
    for (const args of [
      ['create', '-b', path, 'mine'],
      ['start', 'mine'],
    ]) {
      expect(await host.runnc(args, asUser)).to.include({ status: 0, stderr: '' });
    }
    const state = async (): Promise<{ status: string; pid: number; owner: string }> =>
      JSON.parse((await host.runnc(['state', 'mine'], asUser)).stdout) as {
        status: string;
        pid: number;
        owner: string;
      };
    const { status, pid, owner } = await state();
    expect({ status, owner }).to.deep.equal({ status: 'running', owner: 'nobody' });
    expect((await host.runnc(['ps', '-f', 'json', 'mine'], asUser)).stdout).to.equal(`[${String(pid)}]\n`);
    expect((await host.runnc(['kill', 'mine'], asUser)).status).to.equal(0);
    await until(async () => (await state()).status === 'stopped', 'it is stopped');
    expect((await host.runnc(['delete', 'mine'], asUser)).stderr).to.equal('');
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('keeps its containers in XDG_RUNTIME_DIR by default', async () => {
    const own = { ...asUser, env: { XDG_RUNTIME_DIR: host.folder } };
    const result = await run(runtime, ['list'], own);
    expect(result).to.include({ status: 0, stderr: '' });
    expect(await run(runtime, ['list'], { ...USER, env: {} })).to.include({
      status: 1,
      stderr: 'XDG_RUNTIME_DIR is not set: set it or give --root\n',
    });
  });

  it('is told what to write into config.json for it', async () => {
    const path = host.bundle('hello');
    const { status, stderr } = await host.runnc(['run', '-b', path, 'mine'], asUser);
    expect(status).to.equal(1);
    expect(stderr).to.equal(
      'config.json: linux.namespaces: a user other than root needs a user namespace ("runnc spec --rootless" writes one)\n',
    );
    expect(host.leftovers()).to.deep.equal([]);
  });
});
