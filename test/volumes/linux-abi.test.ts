/**
 * The file-system cases of the conformance suite (test/linux-abi/cases) in a folder of the host: natively, and in the
 * Linux guest through the file server. Both are tmpfs, so that no file system's own ways count.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Playground } from '../support/bundle.ts';
import { fillData } from '../linux-abi/data.ts';
import { Tree, type Outcome } from '../linux-abi/guest.ts';
import { Rootfs } from '../linux-programs/rootfs.ts';

const CASES = join(import.meta.dirname, '../linux-abi/cases');

/** Cases that differ on a volume, and why. One that no longer does must be taken off: its test fails until then. */
const KNOWN_TO_DIFFER: Readonly<Record<string, string>> = {
  'path/rename_files': 'the root is another mount here: EXDEV comes before EBUSY',
  'path/mknod_types': 'a device would be the host’s: EPERM',
  'files/special_files': 'a device would be the host’s: EPERM',
  'files/attribute_rights': 'attributes of the spaces trusted and security are the host’s: EOPNOTSUPP',
  'access/times_change': 'a read at the end of the file does not reach the host, which would set atime',
  'files/seals': 'files of tmpfs alone know F_GET_SEALS',
  'mapping/fixed_over_a_file':
    'there is one address space: a page of a shared mapping cannot be at two places',
  'mapping/duplicate_shared':
    'there is one address space: a page of a shared mapping cannot be at two places',
  'mapping/punch_by_advice': 'MADV_REMOVE is not there yet: EINVAL',
};

const CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...['LINUX_IMMUTABLE', 'IPC_LOCK', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_ADMIN', 'SYS_NICE', 'SYS_RESOURCE'],
  ...['MKNOD', 'LEASE', 'SETFCAP'],
].map((name) => `CAP_${name}`);

const PROGRAMS = ['path', 'data', 'access', 'files', 'watch', 'mapping'];

describe('a volume does what a folder does natively', function () {
  this.timeout(300_000);
  const host = new Playground();
  const rootfs = new Rootfs();
  const volume = join(host.folder, 'volume');
  let tree: Tree;

  before(() => {
    fs.mkdirSync(volume);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'runnc-test', volume]);
    tree = new Tree();
    for (const folder of ['usr/bin', 'box', 'tmp', 'proc', 'dev', 'sys', 'data'])
      fs.mkdirSync(join(tree.folder, folder), { recursive: true });
    fillData(join(tree.folder, 'data'));
    fillData(rootfs.path('/data'));
    for (const program of PROGRAMS) {
      const output = join(tree.folder, 'usr/bin', program);
      execFileSync('gcc', [
        '-O1',
        '-static',
        '-w',
        '-o',
        output,
        join(CASES, `${program}.c`),
        '-lpthread',
        '-lm',
      ]);
      fs.copyFileSync(output, rootfs.path(`/usr/bin/${program}`));
    }
    fs.mkdirSync(rootfs.path('/box'));
  });
  after(async () => {
    execFileSync('umount', [volume]);
    tree.remove();
    rootfs.remove();
    await host.close();
  });

  const guest = async (program: string): Promise<Outcome> => {
    const box = join(volume, program);
    fs.mkdirSync(box);
    const bundle = rootfs.bundle(host, [`/usr/bin/${program}`], (spec) => {
      spec.process.capabilities = {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      };
      spec.mounts = [
        ...(spec.mounts ?? []),
        { destination: '/box', type: 'bind', source: box, options: ['rbind', 'rw'] },
      ];
    });
    return host.runnc(['run', '--bundle', bundle, `volumes-${program}`]);
  };

  for (const program of PROGRAMS) {
    describe(`${program}.c`, () => {
      let oracle: Outcome;
      let said: Outcome;

      before(async () => {
        oracle = await tree.native([`/usr/bin/${program}`]);
        said = await guest(program);
      });

      for (const name of casesOf(program)) {
        it(name.replaceAll('_', ' '), () => {
          const expected = linesOf(oracle, name);
          expect(expected.at(-1), `native: ${oracle.stderr}`).to.equal(`${name}| ends`);
          const reason = KNOWN_TO_DIFFER[`${program}/${name}`];
          if (reason === undefined) expect(linesOf(said, name), said.stderr).to.deep.equal(expected);
          else
            expect(
              linesOf(said, name),
              `no longer differs (${reason}): take it off the list`,
            ).not.to.deep.equal(expected);
        });
      }

      it('ends as it does natively', () => {
        expect(oracle.status, oracle.stderr).to.equal(0);
        expect(said.status, said.stderr).to.equal(0);
      });
    });
  }
});

/** The names in a program's table, in order. */
function casesOf(source: string): readonly string[] {
  const text = fs.readFileSync(join(CASES, `${source}.c`), 'utf8');
  const table = text.slice(text.indexOf('const struct test_case cases[]'));
  return [...table.matchAll(/CASE\((\w+)\)/g)].map((match) => match[1] ?? '');
}

function linesOf(outcome: Outcome, name: string): readonly string[] {
  return outcome.stdout.split('\n').filter((line) => line.startsWith(`${name}| `));
}
