/** An ISO image of ours, mounted by Linux's own iso9660 in a virtual machine, and the tree it was made of. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { isRoot, makeAwkwardTree, scratchFolder, withImage } from '../rootfs/fixture.ts';
import { runInVm } from '../support/vm.ts';

/**
 * Lists the folder it runs in: name, mode, owner, time of change and, as far as the kind has it, links, device, size,
 * target and content. The same busybox runs it here and there.
 */
const LIST = `
  each() { busybox find . "$@" -print0 | LC_ALL=C busybox sort -z; }
  each -type d | busybox xargs -0 busybox stat -c '%n %f %u:%g %Y'
  each ! -type d ! -type f | busybox xargs -0 busybox stat -c '%N %f %u:%g %Y %h %t:%T'
  each -type f | busybox xargs -0 busybox stat -c '%n %f %u:%g %Y %h %s'
  each -type f | busybox xargs -0 busybox sha256sum
`;

describe('an ISO image, to Linux', function () {
  this.timeout(240_000);
  const scratch = scratchFolder();
  const tree = join(scratch, 'tree');

  it('is what was packed, entry by entry', async function () {
    if (!isRoot) this.skip();
    makeAwkwardTree(tree);
    const options = { rootfs: tree, format: 'iso9660', cacheDir: join(scratch, 'cache') } as const;
    const { output, status } = await withImage(options, (image) =>
      runInVm({
        modules: ['loop', 'isofs'],
        files: { '/image': image },
        script: `mkdir /mnt; mount -t iso9660 -o loop,ro /image /mnt && cd /mnt || exit 1\n${LIST}`,
      }),
    );
    const expected = execFileSync('busybox', ['sh', '-c', LIST], { cwd: tree, encoding: 'utf8' });
    expect(status).to.equal(0);
    // Linux's reader cuts names that are longer than 253 bytes, and of a device number it takes 8 bits for the minor (fs/isofs/rock.c);
    // other readers find both as they were (test/rootfs/iso.test.ts).
    const told = (line: string): boolean => !/\/(n{50,}|dev\/large)/.test(line);
    const [packed, found] = [expected, output].map((text) => new Set(text.split('\n').filter(told))) as [
      Set<string>,
      Set<string>,
    ];
    expect(packed.size).to.be.greaterThan(1500);
    expect([...packed].filter((line) => !found.has(line))).to.deep.equal([]);
    expect([...found].filter((line) => !packed.has(line))).to.deep.equal([]);
  });
});
