/**
 * A CPU without FSGSBASE and a kernel other than the one developed on: a guest sets the base of its thread-local storage by
 * arch_prctl there, a call that the filter allows only then. The same programs run here, natively, for comparison.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Linkage, Rootfs } from '../linux-programs/rootfs.ts';
import { Playground } from '../support/bundle.ts';
import { needs, runtime } from '../support/paths.ts';
import { runInVm } from '../support/vm.ts';

const LINKAGES: readonly Linkage[] = ['static', 'static-pie', 'dynamic', 'musl-static', 'musl-dynamic'];

const LINUX: readonly (readonly string[])[] = [
  ...LINKAGES.map((linkage) => [`hello-${linkage}`, 'an argument']),
  ['hello-go'],
  ['threads'],
  ['threads-musl'],
  ['vectors'],
  ['probe', 'exit', '7'],
  ['busybox', 'sh', '-c', 'echo $((6 * 7)); exit 3'],
];
const SOLO5: readonly (readonly [string, string, number])[] = [
  ['hello', 'Hello from a unikernel\n', 0],
  ['tls', 'PASS', 0],
  ['exit', '', 255],
];

// -smap: QEMU 7.2 lets iretq of ring 3 read its stack as the kernel would, which SMAP forbids.
for (const cpu of ['max,-smap', 'max,-smap,-fsgsbase']) {
  describe(`Linux 6.1 on the CPU ${cpu}`, function () {
    this.timeout(600_000);
    let rootfs: Rootfs;
    const sections = new Map<string, string>();

    before(() => {
      needs(runtime);
      const host = new Playground();
      rootfs = new Rootfs();
      const folder = mkdtempSync(join(tmpdir(), 'runnc-fsgsbase-'));
      try {
        for (const linkage of LINKAGES) rootfs.compile('hello.c', linkage, `hello-${linkage}`);
        rootfs.compile('hello.go', 'go', 'hello-go');
        rootfs.compile('threads.c', 'static');
        rootfs.compile('threads.c', 'musl-static', 'threads-musl');
        rootfs.compile('vectors.c', 'dynamic');
        rootfs.compile('probe.c', 'dynamic');
        const bundles = join(folder, 'bundles');
        mkdirSync(bundles);
        const names: string[] = [];
        const add = (made: string): void => {
          const name = String(names.length);
          names.push(name);
          cpSync(made, join(bundles, name), { recursive: true });
        };
        for (const args of LINUX) {
          add(
            rootfs.bundle(host, args, (spec) => {
              spec.root = { path: '/rootfs' };
              delete spec.linux.cgroupsPath;
            }),
          );
        }
        for (const [guest] of SOLO5) {
          add(
            host.bundle(guest, guest === 'exit' ? ['abort'] : [], (spec) => {
              delete spec.linux.cgroupsPath;
            }),
          );
        }
        const { output } = runInVm({
          cpu,
          memoryMiB: 3072,
          timeoutMs: 580_000,
          programs: {
            '/runnc': runtime,
            '/usr/bin/mkfs.erofs': '/usr/bin/mkfs.erofs',
            '/usr/bin/xorriso': '/usr/bin/xorriso',
          },
          files: { '/bundles': bundles, '/rootfs': rootfs.folder },
          script: `
            dmesg -n 1
            export PATH=/bin:/usr/bin
            echo "== cpu"; grep -c -w fsgsbase /proc/cpuinfo; uname -r
            for name in ${names.join(' ')}; do
              echo "== $name"
              /runnc run --bundle /bundles/$name c$name </dev/null >/tmp/out 2>&1; status=$?; cat /tmp/out; echo "status=$status"
            done
          `,
        });
        for (const part of output.split(/^== /m).slice(1)) {
          const end = part.indexOf('\n');
          sections.set(part.slice(0, end), part.slice(end + 1));
        }
      } finally {
        rmSync(folder, { recursive: true });
        rmSync(host.folder, { recursive: true });
      }
    });
    after(() => {
      rootfs.remove();
    });

    it('has FSGSBASE or not, as it is called', () => {
      expect(sections.get('cpu')).to.match(!cpu.includes('-fsgsbase') ? /^[1-9]\d*\n6\.1\./ : /^0\n6\.1\./);
    });

    for (const [i, args] of LINUX.entries()) {
      it(`runs the Linux program ${args.join(' ')} as this machine does`, async () => {
        const { status, stdout, stderr } = await rootfs.native(args);
        expect(sections.get(String(i))).to.equal(`${stdout}${stderr}status=${String(status)}\n`);
      });
    }

    for (const [i, [guest, text, status]] of SOLO5.entries()) {
      it(`runs the unikernel ${guest}`, () => {
        const said = sections.get(String(LINUX.length + i));
        expect(said)
          .to.contain(text)
          .and.match(new RegExp(`status=${String(status)}\\n$`));
      });
    }
  });
}
