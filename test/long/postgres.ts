/**
 * PostgreSQL with its cluster on a volume: what it said was committed is there after the container was killed, its indexes
 * are whole, and the host's PostgreSQL reads the same. Needs Debian's postgresql-15.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Playground, type RunningCall } from '../support/bundle.ts';
import { Debian } from '../linux-programs/debian.ts';

const KILLS = Number(process.env['KILLS'] ?? 5);
/** PostgreSQL does not run as root, nor as a user without a name. */
const USER = Number(execFileSync('id', ['-u', 'postgres']).toString());
const BIN = '/usr/lib/postgresql/15/bin';
/** pg_ctl's own waiting believes what a killed one has left. */
const START = `
export PATH=${BIN}:$PATH PGHOST=/tmp PGUSER=postgres
[ -d /data/cluster ] || { initdb -D /data/cluster -A trust -U postgres > /dev/null; echo initialised; }
pg_ctl -D /data/cluster -o '-k /tmp -c listen_addresses= -c shared_buffers=16MB' -l /data/log start > /dev/null || cat /data/log
until psql -c 'select 1' > /tmp/ready 2>&1; do sleep 0.1; done`;
/** Says each number when it is committed. */
const INSERT = `${START}
psql -qc 'create table if not exists t(n serial primary key, s text)'
i=0; while [ $i -lt 100000 ]; do echo "insert into t(s) values (repeat('x', $i % 3000)) returning n;"; i=$((i+1)); done | stdbuf -oL psql -qAt`;
const CHECK = `${START}
psql -qAt <<EOF
create extension if not exists amcheck;
select 'index', bt_index_check('t_pkey', true);
select 'rows', count(*) from t;
EOF
pgbench -i -s 2 postgres > /dev/null 2>&1; pgbench -c 4 -t 200 postgres 2> /dev/null | grep processed
psql -qAt -c 'select sum(abalance) = (select sum(bbalance) from pgbench_branches) from pgbench_accounts' -c 'drop table pgbench_accounts'
pg_ctl -D /data/cluster -m fast stop > /dev/null`;

describe('PostgreSQL on a volume', function () {
  this.timeout(1_800_000);
  const host = new Playground();
  const volume = fs.mkdtempSync(join(host.folder, 'volume-'));
  let debian: Debian;
  let runs = 0;

  before(() => {
    debian = Debian.ofThisMachine(['bash', 'coreutils', 'dash', 'grep', 'postgresql-15']);
    fs.appendFileSync(
      debian.path('etc/passwd'),
      `postgres:x:${String(USER)}:${String(USER)}::/data:/bin/bash\n`,
    );
    fs.mkdirSync(debian.path('data'));
    fs.chmodSync(host.folder, 0o711);
    fs.chownSync(volume, USER, USER);
  });
  after(async () => {
    await host.close();
    debian.remove();
  });

  const start = (id: string, script: string): RunningCall =>
    host.start([
      'run',
      '--bundle',
      debian.bundle(host, ['/bin/bash', '-c', script], (spec) => {
        spec.process.user = { uid: USER, gid: USER };
        const mount = { destination: '/data', type: 'bind', source: volume, options: ['rbind', 'rw'] };
        spec.mounts = [...(spec.mounts ?? []), mount];
      }),
      id,
    ]);

  it(`keeps what it committed over ${String(KILLS)} kills, and passes its own checks`, async () => {
    let committed = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const id = `postgres-${String(runs++)}`;
      const call = start(id, INSERT);
      const goal = committed + 50 + kill * 37;
      while (committedOf(call) <= goal) {
        expect(call.child.exitCode, call.stdout + call.stderr).to.equal(null);
        await delay(10);
      }
      await host.runnc(['kill', id, 'KILL']);
      await call.end();
      await host.runnc(['delete', '--force', id]);
      committed = committedOf(call);
    }
    const { stdout, stderr, status } = await start('postgres-check', CHECK).end(600_000);
    // The file that says which process has the cluster is of the one that was killed.
    expect(stderr).to.match(/^(pg_ctl: another server might be running; trying to start server anyway\n)?$/);
    expect(status).to.equal(0);
    const [index, rows, processed, balanced] = stdout.trim().split('\n');
    expect([index, processed, balanced]).to.deep.equal([
      'index|',
      'number of transactions actually processed: 800/800',
      't',
    ]);
    // A sequence may leave numbers out when it is killed, never give one twice.
    expect(Number(rows?.split('|')[1])).to.be.at.least(KILLS * 50);
    const native = execFileSync(
      'setpriv',
      [
        `--reuid=${String(USER)}`,
        `--regid=${String(USER)}`,
        '--clear-groups',
        join(BIN, 'postgres'),
        '--single',
      ].concat(['-D', join(volume, 'cluster'), 'postgres']),
      {
        input: `select n from t where n = ${String(committed)};\nselect count(*) from t;\n`,
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    ).toString();
    expect(native).to.include(` = "${String(committed)}"`);
    expect(native).to.include(`count = "${rows?.split('|')[1] ?? ''}"`);
  });
});

/** The last number that was printed whole; 0: none. */
function committedOf({ stdout }: RunningCall): number {
  const number = Number(stdout.split('\n').at(-2));
  return Number.isInteger(number) ? number : 0;
}
