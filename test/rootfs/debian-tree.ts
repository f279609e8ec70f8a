/** A tree like that of a Debian image, 30,000 files and 500 MB, of this machine's own files. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';

const MAX_ENTRIES = 30_000;
const MAX_MB = 500;
const FOLDERS = ['bin', 'lib/x86_64-linux-gnu', 'share/doc', 'share/perl', 'include', 'share', 'lib'];

/** Programs, libraries, documents; /usr/bin/perl runs in it. */
export function makeDebianTree(tree: string): void {
  let [entries, megabytes] = [0, 0];
  const libraries = join(tree, 'usr/lib/x86_64-linux-gnu');
  fs.mkdirSync(libraries, { recursive: true });
  // What programs need, whatever else has room.
  const needed = 'cp -a /usr/lib/x86_64-linux-gnu/ld-linux* /usr/lib/x86_64-linux-gnu/lib[cm]*.so* "$1"';
  execFileSync('sh', ['-c', needed, 'sh', libraries]);
  fs.symlinkSync('usr/lib', join(tree, 'lib'));
  fs.symlinkSync('usr/lib/x86_64-linux-gnu', join(tree, 'lib64'));
  for (const folder of FOLDERS) {
    fs.mkdirSync(join(tree, 'usr', folder), { recursive: true });
    for (const name of fs.readdirSync(join('/usr', folder))) {
      const to = join(tree, 'usr', folder, name);
      if (fs.existsSync(to)) continue;
      const { size, count } = measure(join('/usr', folder, name));
      // Nothing that would be most of the tree by itself.
      if (size > 100 || entries + count > MAX_ENTRIES || (megabytes > MAX_MB && size > count / 100)) continue;
      execFileSync('cp', ['-a', join('/usr', folder, name), to]);
      entries += count;
      megabytes += size;
    }
  }
}

function measure(path: string): { size: number; count: number } {
  const words = ['-c', 'du -sk "$1" | cut -f1; find "$1" | wc -l', 'sh', path];
  const [kibibytes = 0, count = 0] = execFileSync('sh', words, { encoding: 'utf8' }).split('\n').map(Number);
  return { size: kibibytes / 1024, count };
}
