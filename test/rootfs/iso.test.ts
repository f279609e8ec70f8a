import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeIso } from '../../src/rootfs/iso.ts';
import type { OpenRootfsOptions } from '../../src/rootfs/rootfs-image.ts';
import { needs, unikernel } from '../support/paths.ts';
import { dist, Tender } from '../unikernels/guest.ts';
import {
  copyTree,
  describeTree,
  filesBelow,
  isRoot,
  makeAwkwardTree,
  rejection,
  scratchFolder,
  sha256,
  withImage,
} from './fixture.ts';

describe('an ISO image of a rootfs', function () {
  const scratch = scratchFolder();
  const tree = join(scratch, 'tree');
  const options: OpenRootfsOptions = { rootfs: tree, format: 'iso9660', cacheDir: join(scratch, 'cache') };

  before(() => makeAwkwardTree(tree));

  const extracted = (name: string): string => {
    const folder = join(scratch, name);
    fs.mkdirSync(folder);
    return folder;
  };

  it('gives bsdtar every entry as it was', async function () {
    if (!isRoot) this.skip();
    const folder = extracted('bsdtar');
    await withImage(options, (image) => {
      execFileSync('bsdtar', ['-xpf', image, '--numeric-owner', '-C', folder]);
    });
    const described = { times: 'seconds', sockets: false } as const;
    // libarchive 3.6 loses bytes of a link's target where the records are split; osirrox below does not.
    // It makes a file of the socket, and the folder was there before.
    const told = (line: string): boolean => !/^\/(long-link|socket)? /.test(line);
    expect(describeTree(folder, described).filter(told)).to.deep.equal(
      describeTree(tree, described).filter(told),
    );
  });

  it('has the owners that the container sees, of every kind of file and name', async function () {
    if (!isRoot) this.skip();
    const folder = extracted('mapped');
    const ids = [
      { containerID: 0, hostID: 1, size: 1 },
      { containerID: 1, hostID: 0, size: 1 },
      { containerID: 7, hostID: 1234, size: 1 },
    ];
    await withImage({ ...options, uidMappings: ids, gidMappings: ids }, (image) => {
      execFileSync('bsdtar', ['-xpf', image, '--numeric-owner', '-C', folder]);
    });
    const described = { times: 'seconds', sockets: false } as const;
    const told = (line: string): boolean => !/^\/(long-link|socket)? /.test(line);
    const map = (id: string): number =>
      new Map([
        ['0', 1],
        ['1', 0],
        ['1234', 7],
      ]).get(id) ?? 65_534;
    const mapped = describeTree(tree, described).map((line) =>
      line.replace(/ (\d+):(\d+) /, (_, uid: string, gid: string) => ` ${map(uid)}:${map(gid)} `),
    );
    expect(describeTree(folder, described).filter(told)).to.deep.equal(mapped.filter(told));
  });

  it('gives xorriso every entry as it was', async function () {
    if (!isRoot) this.skip();
    const folder = join(scratch, 'osirrox');
    await withImage(options, (image) => {
      const words = ['-osirrox', 'on:device_files', '-indev', `stdio:${image}`, '-extract', '/', folder];
      execFileSync('xorriso', ['-no_rc', ...words], { stdio: 'ignore' });
    });
    // It extracts hard links as copies, and symlinks without times, the dangling ones without owner.
    const described = { times: 'none', links: false, sockets: false } as const;
    const told = (line: string): boolean => !line.startsWith('/dangling ');
    expect(describeTree(folder, described).filter(told)).to.deep.equal(
      describeTree(tree, described).filter(told),
    );
  });

  it('gives a unikernel every entry as it was', async () => {
    const kernel = unikernel('iso');
    const tender = join(dist, 'tender-spt');
    needs(kernel, tender);
    const listed = await withImage(options, (image) =>
      new Tender(tender).run({ options: ['--mem=16', `--block:rootfs=${image}`], kernel, args: ['list'] }),
    );
    expect(listed.stderr).to.equal('');
    expect(listed.end).to.equal(0);
    const lines = listed.stdout.toString('latin1').replace('/new\nline', '/new?line').trimEnd().split('\n');
    expect(lines.sort()).to.deep.equal(describeAsProbe(tree));
  });

  it('is the same byte for byte for an equal tree, whenever and in whatever order it was made', async () => {
    const folder = (name: string): string => {
      const path = join(scratch, name);
      fs.mkdirSync(path);
      return path;
    };
    const [first, second] = [folder('first'), folder('second')];
    await writeIso({ rootfs: tree, folder: first, owners: [] });
    const copy = join(scratch, 'copy');
    copyTree(tree, copy);
    await writeIso({ rootfs: copy, folder: second, owners: [] });
    expect(sha256(join(second, 'image'))).to.equal(sha256(join(first, 'image')));
  });

  it('fails with what to install where xorriso is missing, and leaves nothing', async function () {
    if (!isRoot) this.skip();
    const cacheDir = join(scratch, 'cache-without');
    // A namespace whose /usr/bin has what is needed but xorriso.
    const script = `
      set -e
      for name in unshare sh setpriv mount node; do
        : > "$1/$name"; mount --bind "$(readlink -f "$(command -v $name)")" "$1/$name"
      done
      shift_to=$1; shift
      mount --rbind "$shift_to" /usr/bin
      exec node "$@"`;
    const words = ['--import', 'tsx/esm', fileURLToPath(new URL('open-child.ts', import.meta.url))];
    const ran = spawnSync(
      'unshare',
      ['--mount', '--', 'sh', '-c', script, 'sh', extracted('bin'), ...words, tree, 'iso9660', cacheDir],
      { input: 'go\n', encoding: 'utf8' },
    );
    expect(ran.stderr).to.match(
      /RunncError: xorriso is missing: install it \(Debian: apt-get install xorriso\)\n/,
    );
    expect(filesBelow(cacheDir)).to.deep.equal([]);
  });

  it('fails with xorriso’s own reason, and leaves nothing', async () => {
    const impossible = join(scratch, 'impossible');
    fs.mkdirSync(impossible);
    // A component of a link's target that no file name can have.
    fs.symlinkSync('x'.repeat(1000), join(impossible, 'link'));
    const error = await rejection(withImage({ ...options, rootfs: impossible }, () => undefined));
    expect(error.message).to.match(
      /^xorriso failed \(status \d+\): .*Rock Ridge leaf name too long.*'\/link'/,
    );
    expect(fs.readdirSync(join(scratch, 'cache/tmp'))).to.deep.equal([]);
  });
});

/** As unikernels/iso prints a tree. */
function describeAsProbe(root: string): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    const full = Buffer.from(root + path, 'latin1');
    const stat = fs.lstatSync(full);
    const links = stat.isDirectory() ? 1 : stat.nlink;
    const line = [path === '' ? '/' : path, stat.mode.toString(8), `${stat.uid}:${stat.gid}`, String(links)];
    if (stat.isFile()) line.push(String(stat.size), fnv(fs.readFileSync(full)));
    if (stat.isSymbolicLink()) line.push(fs.readlinkSync(full, 'latin1'));
    lines.push(line.join(' ').replace('\n', '?'));
    if (stat.isDirectory()) for (const name of fs.readdirSync(full, 'latin1')) visit(`${path}/${name}`);
  };
  visit('');
  return lines.sort();
}

/** FNV-1a, 64 bits; in two halves, for a BigInt for every byte would take minutes. */
function fnv(data: Uint8Array): string {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of data) {
    low = (low ^ byte) >>> 0;
    // times 0x100000001b3
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return ((BigInt(high) << 32n) | BigInt(low)).toString(16);
}
