/**
 * A Debian 12 of its own, by debootstrap: the everyday programs with Debian's Node.js, PostgreSQL, python3's own tests, and the
 * memory of an idle Node.js; each beside the same natively. MODULES chooses of python3's tests.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Debian } from '../linux-programs/debian.ts';
import { addPrograms, JAVA, NODE, SYSTEM, type Everyday } from '../linux-programs/everyday.ts';
import { Playground } from '../support/bundle.ts';

const PACKAGES = [
  ...[
    'adduser',
    'gcc',
    'libc6-dev',
    'libpython3.11-testsuite',
    'make',
    'nodejs',
    'npm',
    'openjdk-17-jre-headless',
    'perl',
  ],
  ...['postgresql', 'procps', 'python3', 'redis-server', 'sqlite3', 'sudo', 'tzdata'],
];
const MINUTE_MS = 60_000;

const POSTGRES = `cat >/tmp/pg.sh <<'END'
export PATH=/usr/lib/postgresql/15/bin:$PATH; cd /var/lib/postgresql
initdb -D db >/dev/null 2>&1; echo initdb $?
printf "listen_addresses = ''\\nunix_socket_directories = '/tmp'\\n" >>db/postgresql.conf
pg_ctl -D db -w -l log start >/dev/null; echo started $?
createdb -h /tmp x && pgbench -h /tmp -i -q x >/dev/null 2>&1; pgbench -h /tmp -c 4 -t 50 x 2>/dev/null | grep processed
psql -h /tmp -At x -c 'select 1 + 1, count(*) from pgbench_accounts' -c 'select count(*) from pgbench_history'
pg_ctl -D db -m fast stop >/dev/null; echo stopped $?; grep -c PANIC log
END
chown postgres /var/lib/postgresql; su postgres -c 'sh /tmp/pg.sh'; ipcs -m | grep -c postgres`;

const MORE: readonly Everyday[] = [
  { what: 'PostgreSQL: initdb, server, pgbench, stop', script: POSTGRES, says: /^2\|100000$/m },
  {
    what: 'sudo to another user',
    script: `adduser --disabled-password --gecos '' bob >/dev/null 2>&1; echo '127.0.0.1 guest' >>/etc/hosts; sudo -u bob id
      echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob; chmod 440 /etc/sudoers.d/bob; su bob -c 'sudo id -u; sudo -n -l | tail -1'`,
    says: /^0$/m,
  },
];

const MODULES = process.env['MODULES']?.split(' ') ?? [
  ...[
    'test_os',
    'test_io',
    'test_threading',
    'test_subprocess',
    'test_signal',
    'test_select',
    'test_selectors',
    'test_mmap',
  ],
  ...['test_tempfile', 'test_shutil', 'test_multiprocessing_fork', 'test_multiprocessing_spawn'],
  ...['test_multiprocessing_forkserver', 'test_multiprocessing_main_handling'],
];
/** Of the tests that pass natively. */
const SHARE_THAT_PASSES = 0.95;

/** By name, what the tests of a module said; only the last word of those that print something themselves. */
function results(log: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', group = '', said = ''] of log.matchAll(/^(\w+) \((test[\w.]*)\).*?\.\.\. (.*)$/gm))
    found.set(`${group}.${name}`, said);
  return found;
}

const passed = (said: string | undefined): boolean => said !== undefined && /^ok|ok$/.test(said.trim());

describe('a Debian of its own in the Linux guest', function () {
  this.timeout(60 * MINUTE_MS);
  let host: Playground;
  let debian: Debian;

  before(async () => {
    debian = await Debian.bootstrapped(PACKAGES);
    addPrograms(debian);
    host = new Playground();
  });
  after(async () => {
    const leftovers = host.leftovers();
    await host.close();
    debian.remove();
    expect(leftovers).to.deep.equal([]);
  });

  for (const { what, script, says } of [...NODE, ...JAVA, ...SYSTEM, ...MORE]) {
    it(what, async () => {
      const native = await debian.native(script);
      expect(native.stdout, native.stderr).to.match(says);
      expect(await debian.guest(host, script)).to.deep.equal(native);
    });
  }

  for (const module of MODULES) {
    it(`python3's ${module}`, async () => {
      const script = `cd /tmp && python3 -m test -v ${module} 2>&1`;
      const timeoutMs = 25 * MINUTE_MS;
      const native = results((await debian.native(script, { timeoutMs })).stdout);
      const guest = results((await debian.guest(host, script, { timeoutMs })).stdout);
      const names = [...native.keys()].filter((name) => passed(native.get(name)));
      const differ = names.filter((name) => !passed(guest.get(name)));
      console.log(
        `      ${module}: ${String(names.length)} pass natively, ${String(differ.length)} of them not in the guest`,
      );
      for (const name of differ) console.log(`        ${name}: ${guest.get(name) ?? 'not reached'}`);
      expect(names.length).to.be.greaterThan(0);
      expect(1 - differ.length / names.length, differ.join(', ')).to.be.at.least(SHARE_THAT_PASSES);
    });
  }

  it('an idle node is resident with at most 1.25 times what it is natively', async () => {
    const script = 'setInterval(() => undefined, 1e9); console.log("ready")';
    const bundle = debian.bundle(host, ['node', '-e', script]);
    const call = host.start(['run', '--bundle', bundle, 'idle']);
    await call.prints('ready');
    const { pid } = await host.state('idle');
    const inGuest = await settled(pid);
    await host.runnc(['kill', 'idle', 'KILL']);
    await call.end();
    // Natively by its own word, once the collector has nothing to do any more.
    const word =
      'setTimeout(() => console.log(require("fs").readFileSync("/proc/self/status", "utf8")), 3000)';
    const native = await debian.native(`node -e '${word}'`);
    const natively = Number(/^VmRSS:\s*(\d+)/m.exec(native.stdout)?.[1]);
    console.log(`      ${String(inGuest)} KiB, natively ${String(natively)} KiB`);
    expect(inGuest / natively).to.be.at.most(1.25);
  });
});

/** KiB resident of a process, when what it has read of its image is given back. */
async function settled(pid: number): Promise<number> {
  const resident = (): number =>
    Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]);
  let least = resident();
  for (let unchanged = 0; unchanged < 5;) {
    await delay(1000);
    const now = resident();
    unchanged = now < least ? 0 : unchanged + 1;
    least = Math.min(least, now);
  }
  return least;
}
