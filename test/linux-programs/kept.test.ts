/** Programs that run at one address alone, executed again and again: their text stays where it is, and is theirs. */
import { expect } from 'chai';
import { Playground, type Draft, type Result } from '../support/bundle.ts';
import { Rootfs } from './rootfs.ts';

const MIB = 1024 * 1024;

describe('programs at fixed addresses, executed again', function () {
  this.timeout(120_000);
  let host: Playground;
  let rootfs: Rootfs;
  let calls = 0;

  before(() => {
    rootfs = new Rootfs();
    rootfs.add('/usr/bin/dash', '/usr/bin/sleep'); // which is position-independent: no place in the image is made for the others
    rootfs.compile('hello.c', 'static');
    rootfs.compile('probe.c', 'dynamic-nopie', 'probe-fixed');
    rootfs.compile('big.c', 'static', 'big');
    rootfs.compile('big.c', 'static', 'big-two');
    host = new Playground();
  });
  after(async () => {
    const leftovers = host.leftovers();
    await host.close();
    rootfs.remove();
    expect(leftovers).to.deep.equal([]);
  });

  const sh = (script: string, change?: (spec: Draft) => void): Promise<Result> =>
    host.runnc(['run', '-b', rootfs.bundle(host, ['dash', '-c', script], change), `kept-${String(calls++)}`]);

  /** Calls that trapped: each call site does once, until its program is copied again. */
  async function trapped(script: string): Promise<number> {
    const { status, stderr } = await sh(script, (spec) => {
      spec.annotations = { 'io.runnc.count-calls': 'true' };
    });
    expect(status, stderr).to.equal(0);
    return Number(/(\d+) of them trapped/.exec(stderr)?.[1]);
  }

  /** What three processes execute of the same files, by their own maps and by the host's. */
  it('and others share their text with all who run them', async () => {
    const { stdout } = await sh(`for program in sleep 'busybox sleep'; do
      $program 100 & a=$!; $program 100 & b=$!; until [ -s /tmp/$a ]; do busybox grep r-xp /proc/$a/maps | busybox grep -E 'sleep|busybox|libc' >/tmp/$a; done
      until [ -s /tmp/$b ]; do busybox grep r-xp /proc/$b/maps | busybox grep -E 'sleep|busybox|libc' >/tmp/$b; done
      busybox wc -l </tmp/$a; busybox cmp /tmp/$a /tmp/$b && echo same; kill $a $b; done`);
    expect(stdout).to.equal('2\nsame\n1\nsame\n');
  });

  it('are neither copied nor patched again', async () => {
    const MORE = 40;
    const times = (n: number): string =>
      `i=0; while [ $i -lt ${String(n)} ]; do busybox true; i=$((i + 1)); done`;
    // Sixteen each when they are; five are at places that are never patched.
    expect((await trapped(times(1 + MORE))) - (await trapped(times(1)))).to.be.lessThan(8 * MORE);
  });

  it('give way to others at their addresses, and find what is theirs afterwards', async () => {
    const script = `for i in 1 2 3; do hello-by-script $i; busybox echo $i; probe-fixed exit 5; echo $?; done
      busybox cat /usr/bin/probe-fixed | busybox sha256sum >/tmp/a; for i in 1 2 3 4; do hello $i | busybox cat; done; wait`;
    const { stdout, status } = await sh(script.replaceAll('hello-by-script', 'hello'));
    expect(stdout).to.equal(
      [1, 2, 3].map((i) => `hello\n${String(i)}\n${String(i)}\n5\n`).join('') +
        [1, 2, 3, 4].map((i) => `hello\n${String(i)}\n`).join(''),
    );
    expect(status).to.equal(0);
  });

  it('are what is in their files when they are executed', async () => {
    const { stdout, stderr } =
      await sh(`hello one; busybox cat /usr/bin/dash >/usr/bin/hello && hello -c 'echo two'
      probe-fixed exit 0; busybox rm /usr/bin/probe-fixed; busybox cp /usr/bin/big /usr/bin/probe-fixed; probe-fixed 1
      big 1; busybox mv /usr/bin/big-two /usr/bin/big; big 1; busybox true; echo >/usr/bin/busybox; echo end`);
    expect(stderr).to.equal('');
    expect(stdout).to.equal('hello\none\ntwo\nread 1 MiB\nread 1 MiB\nread 1 MiB\nend\n');
  });

  it('do not hold memory that others want', async () => {
    const little = (spec: Draft): void => {
      spec.linux.resources = { memory: { limit: 64 * MIB } };
    };
    const { stdout, status } = await sh(
      'big 30; big 30; big-two 30; hello >/dev/null; big 0 30; big-two 20 20',
      little,
    );
    expect(stdout).to.equal(
      'read 30 MiB\n'.repeat(3) + 'read 0 MiB\nwrote 30 MiB\nread 20 MiB\nwrote 20 MiB\n',
    );
    expect(status).to.equal(0);
  });
});
