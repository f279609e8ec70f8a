import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RunncError } from '../../src/errors.ts';
import { buildErofs, buildIso } from '../../src/rootfs/build.ts';
import { openFolder, parseScan, scan, type TreeEntry } from '../../src/rootfs/tree.ts';
import type { OpenRootfsOptions, RootfsFormat, RootfsImage } from '../../src/rootfs/rootfs-image.ts';
import { filesBelow, isRoot, rejection, scratchFolder, withImage } from './fixture.ts';

const formats: readonly RootfsFormat[] = ['erofs', 'iso9660'];

describe('a hostile rootfs', function () {
  const scratch = scratchFolder();
  /** Stands on the host, outside of every rootfs, and must never be in an image. */
  const secret = `secret-${randomUUID()}`;
  const outside = join(scratch, 'outside');
  const secretFile = join(outside, 'shadow');

  before(() => {
    fs.mkdirSync(outside);
    fs.writeFileSync(secretFile, secret.repeat(100));
  });

  let count = 0;
  function fresh(format: RootfsFormat): OpenRootfsOptions & { cacheDir: string } {
    const folder = join(scratch, `test-${count++}`);
    fs.mkdirSync(join(folder, 'rootfs'), { recursive: true });
    return { rootfs: join(folder, 'rootfs'), format, cacheDir: join(folder, 'cache') };
  }

  for (const format of formats) {
    describe(`packed as ${format}`, () => {
      it('shows nothing of the host through links, /proc or devices', async function () {
        const options = fresh(format);
        const at = (name: string): string => join(options.rootfs, name);
        fs.symlinkSync(secretFile, at('file'));
        fs.symlinkSync(outside, at('folder'));
        fs.symlinkSync(`..${'/..'.repeat(40)}${secretFile}`, at('relative'));
        fs.symlinkSync('/proc/self/environ', at('environ'));
        fs.symlinkSync('/proc/self/root', at('root'));
        fs.symlinkSync('/etc', at('etc'));
        execFileSync('mkfifo', [at('fifo')]);
        if (isRoot) {
          execFileSync('mknod', [at('kmem'), 'c', '1', '1']);
          execFileSync('mknod', [at('disk'), 'b', '254', '0']);
        }
        await withImage(options, (image, { sizeBytes }) => {
          expect(fs.readFileSync(image).includes(secret)).to.equal(false);
          expect(sizeBytes).to.be.lessThan(200_000);
        });
      });

      it('may hold links by the thousand that lead in circles', async () => {
        const options = fresh(format);
        for (let i = 0; i < 5000; i++) {
          fs.symlinkSync(`link-${(i + 1) % 5000}`, join(options.rootfs, `link-${i}`));
        }
        await withImage(options, (_, { sizeBytes }) => expect(sizeBytes).to.be.greaterThan(0));
      });

      it('shows nothing of the host when files and folders are swapped for links meanwhile', async function () {
        this.timeout(120_000);
        const options = fresh(format);
        const at = (name: string): string => join(options.rootfs, name);
        // As long as what it is swapped for: a packer that read the wrong one would not even notice.
        const innocent = 'i'.repeat(fs.statSync(secretFile).size);
        for (let i = 0; i < 300; i++) {
          fs.mkdirSync(at(`d${i}`));
          fs.writeFileSync(at(`d${i}/shadow`), innocent);
          fs.writeFileSync(at(`f${i}`), innocent);
        }
        const swapper = await startSwapper(options.rootfs, secretFile, outside);
        const rootFd = openFolder(options.rootfs, 'the rootfs');
        const outcomes: string[] = [];
        try {
          for (let i = 0; i < 20; i++) {
            const folder = join(scratch, `${format}-${i}`);
            fs.mkdirSync(folder);
            outcomes.push(await buildAnyhow(rootFd, options.rootfs, format, folder));
            for (const file of filesBelow(folder)) {
              expect(fs.readFileSync(join(folder, file)).includes(secret), file).to.equal(false);
            }
          }
        } finally {
          await swapper.stop();
          fs.closeSync(rootFd);
        }
        expect(swapper.swaps()).to.be.greaterThan(1000);
        expect(outcomes, 'the swaps never met the reading').to.include('refused');
      });

      it('that somebody keeps writing to is refused', async () => {
        const options = fresh(format);
        for (let i = 0; i < 300; i++) {
          fs.mkdirSync(join(options.rootfs, `d${i}`));
          fs.writeFileSync(join(options.rootfs, `f${i}`), '');
        }
        const swapper = await startSwapper(options.rootfs, secretFile, outside);
        try {
          const error = await rejection(withImage(options, () => undefined));
          expect(error.message).to.match(/ changed while it was read: try again$| is being written to: stop/);
        } finally {
          await swapper.stop();
        }
      });

      it('that changes while it is read is an error, and nothing is kept of it', async () => {
        const options = fresh(format);
        for (let i = 0; i < 8; i++) {
          fs.writeFileSync(join(options.rootfs, `big${i}`), Buffer.alloc(16 * 2 ** 20, i));
        }
        const error = await rejection(
          withImage(
            { ...options, onProgress: () => fs.appendFileSync(join(options.rootfs, 'big7'), 'x') },
            () => undefined,
          ),
        );
        expect(error.message).to.match(/ changed while it was read: try again$/);
        expect(filesBelow(options.cacheDir)).to.deep.equal([]);
      });

      it('that changes once while it is read is read again', async () => {
        const options = fresh(format);
        for (let i = 0; i < 8; i++) {
          fs.writeFileSync(join(options.rootfs, `big${i}`), Buffer.alloc(16 * 2 ** 20, i));
        }
        let changes = 0;
        const onProgress = (): void => {
          if (changes++ === 0) fs.appendFileSync(join(options.rootfs, 'big7'), 'added late');
        };
        await withImage({ ...options, onProgress }, (path) => {
          expect(fs.readFileSync(path).includes('added late')).to.equal(true);
        });
        expect(changes).to.be.greaterThan(1);
      });

      it('that was written just now, and reaches the disk meanwhile, has not changed', async () => {
        const options = fresh(format);
        const fd = fs.openSync(join(options.rootfs, 'fragments'), 'w');
        // Scattered pieces: the file system needs blocks of its own for them once it writes them out.
        for (let i = 0; i < 5000; i++) fs.writeSync(fd, 'x', i * 10_000);
        let synced = false;
        await withImage(
          {
            ...options,
            onProgress: () => {
              if (!synced) fs.fsyncSync(fd);
              synced = true;
            },
          },
          () => undefined,
        );
        fs.closeSync(fd);
      });

      it('with a file that cannot be read is an error that names it', async function () {
        if (!isRoot) this.skip();
        const options = fresh(format);
        for (const name of ['one', 'two'])
          fs.writeFileSync(join(options.rootfs, name), name, { mode: 0o600 });
        fs.chmodSync(scratch, 0o755);
        fs.mkdirSync(options.cacheDir);
        fs.chownSync(options.cacheDir, 65_534, 65_534);
        const script = fileURLToPath(new URL('open-child.ts', import.meta.url));
        const words = [
          process.execPath,
          '--import',
          'tsx/esm',
          script,
          options.rootfs,
          format,
          options.cacheDir,
        ];
        const ran = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...words], {
          input: 'go\n',
          encoding: 'utf8',
        });

        expect(ran.status).to.equal(1);
        expect(ran.stderr).to.match(/RunncError: \/\S+\/one cannot be read: EACCES/);
        expect(filesBelow(options.cacheDir)).to.deep.equal([]);
      });
    });
  }

  it('nested too deep is refused by name', async () => {
    const options = fresh('erofs');
    // Paths of that length can only be made step by step.
    const script = 'cd "$1"; i=0; while [ $i -lt 520 ]; do mkdir d; cd d; i=$((i+1)); done';
    execFileSync('sh', ['-c', script, 'sh', options.rootfs]);
    const error = await rejection(withImage(options, () => undefined));
    expect(error.message).to.match(/is nested too deep: 512 folders at most$/);
  });

  it('with something mounted in it is refused by name', async function () {
    if (!isRoot) this.skip();
    const options = fresh('erofs');
    const inner = join(options.rootfs, 'proc');
    fs.mkdirSync(inner);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', inner]);
    try {
      const error = await rejection(withImage(options, () => undefined));
      expect(error.message).to.equal(
        `${inner} is mounted inside the rootfs ${options.rootfs}: unmount it first`,
      );
    } finally {
      execFileSync('umount', [inner]);
    }
  });

  it('that is not there, or is a file, is refused in one line', async () => {
    const options = fresh('erofs');
    const missing = await rejection(
      withImage({ ...options, rootfs: join(scratch, 'missing') }, () => undefined),
    );
    expect(missing.message).to.match(/^the rootfs .*\/missing does not exist/);
    const file = await rejection(withImage({ ...options, rootfs: secretFile }, () => undefined));
    expect(file.message).to.match(/^the rootfs .*\/shadow is not a folder$/);
  });

  describe('that carries its block image', () => {
    const carry = (rootfs: string, path: string, content: string): void => {
      fs.mkdirSync(join(rootfs, path, '..'), { recursive: true });
      fs.writeFileSync(join(rootfs, path), content);
    };
    const content = (options: OpenRootfsOptions): Promise<string> =>
      withImage(options, (image) => fs.readFileSync(image, 'utf8'));

    it('has it used as it is', async () => {
      for (const [format, path] of [
        ['iso9660', '.runnc/rootfs.iso'],
        ['erofs', '.runnc/rootfs.erofs'],
      ] as const) {
        const options = fresh(format);
        carry(options.rootfs, path, 'carried');
        expect(await content(options)).to.equal('carried');
        expect(fs.existsSync(options.cacheDir)).to.equal(false);
      }
    });

    it('has its segments found in it, if they can be', async () => {
      const options = fresh('erofs');
      const area = Buffer.alloc(0x3000);
      area.write('RUNNCSEG', 'latin1');
      area.writeUInt32LE(2, 8);
      area.writeUInt32LE(1, 16);
      const withSize = (sizeBytes: number): string => {
        area.writeUInt32LE(sizeBytes, 16);
        return Buffer.concat([Buffer.alloc(4096), area]).toString('latin1');
      };
      const found = (content: string): Promise<RootfsImage['segments']> => {
        carry(options.rootfs, '.runnc/rootfs.erofs', content);
        return withImage(options, (_, { segments }) => segments);
      };
      expect(await found(withSize(0x3000))).to.deep.equal({ offset: 4096, sizeBytes: 0x3000 });
      expect(await found(withSize(0x2000))).to.deep.equal({ offset: 4096, sizeBytes: 0x2000 });
      for (const sizeBytes of [0, 0x1001, 0x4000, 0xfffff000]) {
        expect(await found(withSize(sizeBytes)), String(sizeBytes)).to.equal(undefined);
      }
      expect(await found(withSize(0x3000).replace('RUNNC', 'XXXXX'))).to.equal(undefined);
      expect(await found('short')).to.equal(undefined);
    });

    const key = 'com.urunc.unikernel.block';
    it('is believed about urunc’s keys, plain or in base64', async () => {
      const options = fresh('iso9660');
      carry(options.rootfs, 'images/disk.img', 'urunc');
      for (const name of ['/images/disk.img', Buffer.from('/images/disk.img').toString('base64')]) {
        expect(await content({ ...options, annotations: { [key]: name } })).to.equal('urunc');
      }
      const json = JSON.stringify({ [key]: Buffer.from('images/disk.img').toString('base64') });
      fs.writeFileSync(join(options.rootfs, 'urunc.json'), json);
      expect(await content(options)).to.equal('urunc');
    });

    it('cannot name a file of the host', async () => {
      const options = fresh('iso9660');
      for (const name of [secretFile, `../../../../../../../..${secretFile}`]) {
        const error = await rejection(content({ ...options, annotations: { [key]: name } }));
        expect(error.message).to.match(
          /^com\.urunc\.unikernel\.block names .*shadow, which does not exist in the rootfs$/,
        );
      }
      fs.mkdirSync(join(options.rootfs, '.runnc'));
      fs.symlinkSync(secretFile, join(options.rootfs, '.runnc/rootfs.iso'));
      await withImage(options, (image) => expect(fs.readFileSync(image).includes(secret)).to.equal(false));
    });

    it('cannot make the runtime wait on a fifo or open a device', async () => {
      const options = fresh('iso9660');
      fs.mkdirSync(join(options.rootfs, '.runnc'));
      execFileSync('mkfifo', [join(options.rootfs, '.runnc/rootfs.iso')]);
      expect((await rejection(content(options))).message).to.equal(
        '/.runnc/rootfs.iso in the rootfs is not a regular file',
      );
    });

    it('gets one line about a urunc.json that is none', async () => {
      for (const [text, message] of [
        ['{', /urunc\.json in the rootfs is not JSON/],
        ['[]', undefined],
        ['null', /is not an object/],
        [`{"${key}":5}`, /is not a string/],
        [`{"${key}":"/plain"}`, /is not base64/],
        [' '.repeat(70_000), /more than 64 KiB/],
      ] as const) {
        const options = fresh('iso9660');
        fs.writeFileSync(join(options.rootfs, 'urunc.json'), text);
        if (message === undefined) await withImage(options, () => undefined);
        else expect((await rejection(content(options))).message).to.match(message);
      }
    });
  });
});

/** Builds without the checks that come before and after, as if nobody had noticed the swaps. */
async function buildAnyhow(
  rootFd: number,
  rootfs: string,
  format: RootfsFormat,
  folder: string,
): Promise<string> {
  const context = { toUid: (id: number) => id, toGid: (id: number) => id };
  for (;;) {
    let tree: TreeEntry;
    try {
      tree = parseScan(scan(rootFd, rootfs), rootFd, rootfs);
    } catch {
      continue; // swapped while it was looked at: no image is begun then
    }
    try {
      await (format === 'erofs'
        ? buildErofs(tree, folder, context, { segments: true })
        : buildIso(rootfs, tree, folder, context));
      return 'built';
    } catch (error) {
      expect(error).to.be.instanceOf(RunncError);
      return 'refused';
    }
  }
}

interface Swapper {
  readonly swaps: () => number;
  readonly stop: () => Promise<void>;
}

/** A thread that keeps putting links to the host in the place of files and folders, and takes them away again. */
async function startSwapper(rootfs: string, file: string, folder: string): Promise<Swapper> {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const code = `
    const { renameSync, symlinkSync } = require('node:fs');
    const { parentPort, workerData: { rootfs, aside, file, folder, state } } = require('node:worker_threads');
    symlinkSync(file, aside + '/file-link');
    symlinkSync(folder, aside + '/folder-link');
    const swap = (name, link) => {
      const place = rootfs + '/' + name;
      renameSync(place, aside + '/kept');
      renameSync(aside + '/' + link, place);
      renameSync(place, aside + '/' + link);
      renameSync(aside + '/kept', place);
    };
    parentPort.postMessage('started');
    for (let i = 0; Atomics.load(state, 0) === 0; i = (i + 7) % 300) {
      swap('d' + i, 'folder-link');
      swap('f' + i, 'file-link');
      Atomics.add(state, 1, 2);
    }
  `;
  const aside = `${rootfs}-aside`;
  fs.mkdirSync(aside);
  const worker = new Worker(code, { eval: true, workerData: { rootfs, aside, file, folder, state } });
  const ended = once(worker, 'exit');
  await once(worker, 'message');
  return {
    swaps: () => Atomics.load(state, 1),
    stop: async () => {
      Atomics.store(state, 0, 1);
      await ended;
    },
  };
}
