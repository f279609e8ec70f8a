/** A folder of an ordinary user's, in a container of theirs. */
import { expect } from 'chai';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { templateSpec } from '../../src/oci/spec-template.ts';
import { Playground } from '../support/bundle.ts';

/** Any ordinary user; without subordinate ids, only its own uid is there to map. */
const USER = { uid: 65534, gid: 65534 };

describe('a volume of an ordinary user', () => {
  const host = new Playground();
  after(() => host.close());

  it('is read and written as far as the rights of the user go', async () => {
    const folders = ['state', 'cache', 'volume', 'volume/sub', 'bundle/rootfs/bin'].map((name) =>
      join(host.folder, name),
    );
    for (const folder of folders) fs.mkdirSync(folder, { recursive: true });
    fs.copyFileSync('/bin/busybox', join(host.folder, 'bundle/rootfs/bin/busybox'));
    fs.writeFileSync(join(host.folder, 'volume/given'), 'given\n');
    fs.writeFileSync(join(host.folder, 'volume/closed'), 'closed\n', { mode: 0o600 });
    for (const name of [
      '',
      'state',
      'cache',
      'volume',
      'volume/given',
      'bundle',
      'bundle/rootfs',
      'bundle/rootfs/bin',
    ])
      fs.chownSync(join(host.folder, name), USER.uid, USER.gid);
    const spec = structuredClone(templateSpec({ rootless: USER }));
    const script = `cd /data; cat given; stat -c '%u %g' given sub; echo made > made; mv made moved; cat closed; : > sub/no`;
    const config = {
      ...spec,
      process: { ...spec.process, terminal: false, args: ['/bin/busybox', 'sh', '-c', script] },
      mounts: [
        ...(spec.mounts ?? []),
        { destination: '/data', type: 'bind', source: join(host.folder, 'volume'), options: ['rbind', 'rw'] },
      ],
    };
    fs.writeFileSync(join(host.folder, 'bundle/config.json'), JSON.stringify(config));
    const { status, stdout, stderr } = await host.runnc(
      ['run', '-b', join(host.folder, 'bundle'), 'volumes-user'],
      {
        ...USER,
        env: {
          PATH: '/usr/bin:/bin',
          XDG_RUNTIME_DIR: host.folder,
          XDG_CACHE_HOME: join(host.folder, 'cache'),
        },
      },
    );
    // Root's files are nobody's in the user namespace, and closed to its root.
    expect(stdout).to.equal('given\n0 0\n65534 65534\n');
    expect(stderr.match(/Permission denied/g), stderr).to.have.length(2);
    expect(status).to.equal(1);
    const { uid, gid } = fs.statSync(join(host.folder, 'volume/moved'));
    expect({ uid, gid }).to.deep.equal(USER);
  }).timeout(120_000);
});
