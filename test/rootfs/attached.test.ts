/** What a unikernel finds on its block device when the command runs it. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { Playground, type Result } from '../support/bundle.ts';
import { runtime } from '../support/paths.ts';
import { scratchFolder } from './fixture.ts';

describe('the block device of a unikernel', () => {
  const scratch = scratchFolder();
  let host: Playground;
  beforeEach(() => {
    host = new Playground();
  });
  afterEach(() => host.close());

  /** The bundle of a guest that prints /file of its rootfs. `fill`: what its image has besides. */
  const reader = (fill: (rootfs: string) => void, annotations: Record<string, string> = {}): string => {
    const bundle = host.bundle('iso', ['cat', '/file'], (spec) => {
      spec.annotations = annotations;
    });
    fill(join(bundle, 'rootfs'));
    return bundle;
  };
  const run = (bundle: string): Promise<Result> => host.runnc(['run', '-b', bundle, 'attached']);

  /** An ISO image of one file. */
  const writeImage = (path: string, content: string): void => {
    const folder = fs.mkdtempSync(join(scratch, 'tree-'));
    fs.writeFileSync(join(folder, 'file'), content);
    fs.mkdirSync(dirname(path), { recursive: true });
    execFileSync('xorriso', ['-as', 'mkisofs', '-quiet', '-R', '-o', path, folder], { stdio: 'ignore' });
  };
  const cachedOf = (bundle: string): unknown[] => {
    const listed = execFileSync(runtime, ['cache', 'ls', '--format', 'json'], { encoding: 'utf8' });
    return (JSON.parse(listed) as { source: string }[]).filter(({ source }) => source.startsWith(bundle));
  };

  it('is an image of its rootfs, made once', async () => {
    const bundle = reader((rootfs) => fs.writeFileSync(join(rootfs, 'file'), 'of the rootfs\n'));
    for (let start = 0; start < 2; start++) {
      expect(await run(bundle)).to.deep.equal({ status: 0, stdout: 'of the rootfs\n', stderr: '' });
    }
    expect(cachedOf(bundle)).to.have.length(1);
  });

  it('is the image that its rootfs carries, and none is made', async () => {
    const bundle = reader((rootfs) => {
      fs.writeFileSync(join(rootfs, 'file'), 'of the rootfs\n');
      writeImage(join(rootfs, '.runnc/rootfs.iso'), 'carried\n');
    });
    expect(await run(bundle)).to.deep.equal({ status: 0, stdout: 'carried\n', stderr: '' });
    expect(cachedOf(bundle)).to.deep.equal([]);
  });

  it('is the image that urunc’s annotation names inside the rootfs', async () => {
    const named = { 'com.urunc.unikernel.block': '/boot/disk.img' };
    const bundle = reader((rootfs) => writeImage(join(rootfs, 'boot/disk.img'), 'of urunc\n'), named);
    expect(await run(bundle)).to.deep.equal({ status: 0, stdout: 'of urunc\n', stderr: '' });
    expect(cachedOf(bundle)).to.deep.equal([]);
  });

  it('is a file of the bundle, made with the size that its annotation gives, and kept', async () => {
    const bundle = host.bundle('block', ['write', '2'], (spec) => {
      spec.annotations = { 'io.runnc.block.disk': 'disk.img,size=1m' };
    });
    expect(await run(bundle)).to.include({ status: 0, stderr: '' });
    const image = join(bundle, 'disk.img');
    const { size, blocks } = fs.statSync(image);
    expect(size).to.equal(2 ** 20);
    expect(blocks * 512).to.be.lessThan(2 ** 20);
    const written = fs.readFileSync(image);
    expect(written.subarray(1024, 1536).every((byte) => byte >= 0x61 && byte <= 0x7a)).to.equal(true);
    expect(written.subarray(0, 1024).every((byte) => byte === 0)).to.equal(true);
  });

  it('cannot be written if its annotation says so', async () => {
    const bundle = host.bundle('block', ['write', '0'], (spec) => {
      spec.annotations = { 'io.runnc.block.disk': 'disk.img,ro' };
    });
    fs.writeFileSync(join(bundle, 'disk.img'), Buffer.alloc(4096));
    const { status } = await run(bundle);
    expect(status).to.not.equal(0);
    expect(fs.readFileSync(join(bundle, 'disk.img')).every((byte) => byte === 0)).to.equal(true);
  });
});
