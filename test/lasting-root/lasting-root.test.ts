/** What changes in the root of a Linux guest changes in the bundle's rootfs. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type Draft, Playground, type Result } from '../support/bundle.ts';

const CHANGES = join(import.meta.dirname, 'changes.pl');
const PERL = '/usr/lib/x86_64-linux-gnu/perl-base';
const COUNT = 1500;

/** The first of those that we may use. */
function onOneProcessor(): readonly string[] {
  const allowed = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return ['taskset', '-c', allowed ?? '0'];
}

describe('a root that is written', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;

  beforeEach(() => {
    host = new Playground();
    rootfs = new Rootfs();
    rootfs.add('/usr/bin/perl');
    cpSync(PERL, rootfs.path(PERL), { recursive: true });
    copyFileSync(CHANGES, rootfs.path('/changes.pl'));
  });
  afterEach(async () => {
    rootfs.remove();
    await host.close();
  });

  const bundle = (words: readonly string[], change: (spec: Draft) => void = () => undefined): string =>
    rootfs.bundle(host, [...words], (spec) => {
      spec.root = { path: rootfs.folder, readonly: false };
      spec.annotations = {};
      spec.process.env = ['PATH=/usr/bin'];
      change(spec);
    });
  const run = (words: readonly string[], change?: (spec: Draft) => void): Promise<Result> =>
    host.runnc(['run', '-b', bundle(words, change), 'lasting']);
  const perl = (...words: readonly string[]): readonly string[] => ['/usr/bin/perl', '/changes.pl', ...words];
  const shell = (script: string): readonly string[] => ['/bin/busybox', 'sh', '-c', script];

  const lives = async (seed: number, change?: (spec: Draft) => void): Promise<void> => {
    mkdirSync(rootfs.path('/work'));
    execFileSync('perl', [CHANGES, 'change', '99', '300', rootfs.path('/work')]);
    const script = `/usr/bin/perl /changes.pl change ${seed} ${COUNT} /work && /usr/bin/perl /changes.pl list /work`;
    const said = await run(shell(script), change);
    expect(said.stderr).to.equal('');
    expect(said.status).to.equal(0);
    expect(said.stdout.split('\n').length).to.be.greaterThan(200);
    const kept = execFileSync('perl', [CHANGES, 'list', rootfs.path('/work')], { encoding: 'utf8' });
    expect(kept.split('\n')).to.deep.equal(said.stdout.split('\n'));
    expect(await run(perl('list', '/work'))).to.deep.equal(said);
  };

  for (const seed of [1, 2, 3]) {
    it(`is on the host what it was in the guest after random changes, and again at the next start: seed ${seed}`, () =>
      lives(seed));
  }

  /** So many of the host's descriptors has the file server, and those programs of their own. */
  const withDescriptors =
    (count: number) =>
    (spec: Draft): void => {
      spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: count, hard: count }];
    };

  it('is so too where the file server can hold a few files only', () => lives(4, withDescriptors(200)));

  it('can have more files renamed by link and unlink than the file server can hold', async () => {
    mkdirSync(rootfs.path('/work'));
    const script =
      'for (1 .. 1000) { my $n = $_; open my $f, ">", "/work/t$n" or die $!; print $f "$n\n"; close $f; link "/work/t$n", "/work/f$n" or die $!; unlink "/work/t$n" or die $! }';
    const done = await run(['/usr/bin/perl', '-e', script], withDescriptors(200));
    expect(done).to.deep.equal({ status: 0, stdout: '', stderr: '' });
    const names = readdirSync(rootfs.path('/work'));
    expect(names).to.have.lengthOf(1000);
    for (const name of names)
      expect(readFileSync(rootfs.path(`/work/${name}`), 'utf8')).to.equal(`${name.slice(1)}\n`);
  });

  it('makes thousands of names in a row where guest and server share a processor: each answer is there at once', async () => {
    const make = 'i=0; while [ $i -lt 5000 ]; do : > /work/$i; i=$((i + 1)); done; echo made';
    mkdirSync(rootfs.path('/work'));
    const call = host.start(['run', '-b', bundle(shell(make)), 'lasting'], { under: onOneProcessor() });
    expect(await call.end()).to.deep.equal({ status: 0, stdout: 'made\n', stderr: '' });
    expect(readdirSync(rootfs.path('/work'))).to.have.lengthOf(5000);
  });

  it('has the times on the host that it has in the guest, to the nanosecond', async () => {
    const times =
      'busybox stat -c "%n %y" /t /t/empty /t/full /t/folder /t/folder/in /t/link /t/fifo /t/emptied /t/gone';
    const make = [
      'busybox mkdir /t /t/folder /t/emptied /t/gone; : > /t/empty; echo x > /t/full; echo y > /t/folder/in',
      'busybox ln -s full /t/link; busybox mkfifo /t/fifo; : > /t/emptied/x; busybox mv /t/emptied/x /t/gone/x',
      'busybox rm /t/gone/x',
    ].join('; ');
    const { stdout, stderr } = await run(shell(`${make}; ${times}`));
    expect(stderr).to.equal('');
    const kept = stdout
      .trim()
      .split('\n')
      .map((line) => rootfs.path(line.split(' ')[0] ?? ''));
    expect(kept).to.have.lengthOf(9);
    const host = execFileSync('stat', ['-c', '%n %y', ...kept], { encoding: 'utf8' });
    expect(host.replaceAll(rootfs.folder, '').replaceAll(' +0000', '')).to.equal(
      stdout.replaceAll(' +0000', ''),
    );
  });

  it('tells whoever syncs, and standard error once, that the host has no room, and goes on in memory', async () => {
    const full = join(host.folder, 'full');
    mkdirSync(full);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=755', 'runnc-test', full]);
    try {
      execFileSync('cp', ['-a', `${rootfs.path('/usr/bin/busybox')}`, join(full, 'busybox')]);
      const fill =
        '/busybox dd if=/dev/zero of=/big bs=1M count=20 conv=fsync 2>&1 | /busybox grep -o "No space left on device"';
      const script = `${fill}; /busybox wc -c < /big; echo small > /small; /busybox cat /small`;
      const { status, stdout, stderr } = await run(['/busybox', 'sh', '-c', script], (spec) => {
        spec.root = { path: full, readonly: false };
        spec.process.cwd = '/';
      });
      expect(stdout).to.equal(`No space left on device\n${20 * 2 ** 20}\nsmall\n`);
      expect(stderr).to.match(
        /^runnc: not all changes of the container's root reach the bundle's rootfs \(error 28\)\n$/,
      );
      expect(status).to.equal(0);
    } finally {
      execFileSync('umount', [full]);
    }
  });

  it('goes on in memory when its server is killed: one line says so, who syncs is told, the host keeps what it had', async () => {
    mkdirSync(rootfs.path('/work'));
    const write =
      'trap go=on USR1; i=0; while [ $i -lt 4000 ]; do echo $i > /work/$i; i=$((i + 1)); [ $i != 1000 ] || { echo half; until [ "$go" ]; do busybox sleep 0.1; done; }; done';
    const script = `${write}; busybox dd if=/dev/zero of=/work/synced count=1 conv=fsync 2>&1 | busybox grep error; busybox cat /work/3999 /work/0`;
    const call = host.start(['run', '-b', bundle(shell(script)), 'lasting']);
    await call.prints('half');
    process.kill(serverPid(), 'SIGKILL');
    await host.runnc(['kill', 'lasting', 'USR1']);
    const { status, stdout, stderr } = await call.end();
    expect(status).to.equal(0);
    expect(stdout).to.match(/^half\n.*(Input\/output error|I\/O error)\n3999\n0\n$/);
    expect(stderr).to.match(/^runnc: the file server is gone: [^\n]*\n(runnc: not all changes [^\n]*\n)?$/);
    // All but what was on its way: up to 128 requests.
    const kept = readdirSync(rootfs.path('/work')).length;
    expect(kept).to.be.within(1000 - 128, 1000);
  });

  /** The file server of the one container. */
  function serverPid(): number {
    const pids = host.leftovers().flatMap((entry) => /^process (\d+)$/.exec(entry)?.slice(1) ?? []);
    const server = pids.find((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'runnc-files\n');
    if (server === undefined) throw new Error('there is no file server');
    return Number(server);
  }

  it('stays as it was on the host where the annotation says so, and where it is read-only', async () => {
    const script = 'echo x > /new && cat /new || echo refused';
    const memory = (spec: Draft): void => {
      spec.annotations = { 'io.runnc.rootfs': 'memory' };
    };
    const readonly = (spec: Draft): void => {
      spec.root = { path: rootfs.folder, readonly: true };
    };
    expect((await run(shell(script.replaceAll('cat', 'busybox cat')), memory)).stdout).to.equal('x\n');
    expect((await run(shell(script), readonly)).stdout).to.equal('refused\n');
    expect(existsSync(rootfs.path('/new'))).to.equal(false);
    const wrong = await run(shell('true'), (spec) => {
      spec.annotations = { 'io.runnc.rootfs': 'disk' };
    });
    expect(wrong.stderr).to.equal(
      'config.json: annotations[io.runnc.rootfs]: expected "lasting" or "memory", got "disk"\n',
    );
  });
});
