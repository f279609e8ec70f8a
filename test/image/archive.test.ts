import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { RunncError } from '../../src/errors.ts';
import { writeArchiveFile } from '../../src/image/archive-file.ts';
import { loadArchive, type LoadOptions } from '../../src/image/archive-load.ts';
import { saveArchive } from '../../src/image/archive-save.ts';
import { mediaTypes } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { ImageStore } from '../../src/image/store.ts';
import { failureOf, putImage, StoreFolder } from '../support/image-store.ts';
import { linuxArchive } from '../support/linux-image.ts';
import { inPieces, makeTar, type TestEntry } from '../support/tar.ts';

describe('archives of images', () => {
  const folder = new StoreFolder();
  let store: ImageStore;
  let stores = 0;
  beforeEach(async () => (store = await folder.open(`store-${String(stores++)}`)));
  after(() => folder.close());

  async function read(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of source) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  const load = (archive: Buffer, options?: LoadOptions) =>
    loadArchive(store, inPieces(archive, 5000), 'the archive', options);

  for (const format of ['docker-archive', 'oci-archive'] as const) {
    it(`${format}: what is saved is loaded with the same digests and names, byte for byte each time`, async () => {
      const one = await putImage(store, { layers: [[{ name: 'a', content: 'x' }]] });
      const two = await putImage(store, {
        layers: [[{ name: 'a', content: 'x' }], [{ name: 'b', content: 'y' }]],
      });
      await store.tag('one:1', one);
      await store.tag('localhost:5000/two:2', two);
      await store.tag('two', two);
      const saved = await read(saveArchive(store, store.list(), format));
      expect(await read(saveArchive(store, store.list(), format))).to.deep.equal(saved);
      const names = execFileSync('tar', ['-t'], {
        input: saved,
        encoding: 'utf8',
      });
      expect(names.includes('manifest.json')).to.equal(format === 'docker-archive');

      store = await folder.open(`store-${String(stores++)}`);
      const images = await load(gzipSync(saved));
      expect(images).to.have.deep.members([
        { descriptor: one, references: ['docker.io/library/one:1'] },
        { descriptor: two, references: ['docker.io/library/two:latest', 'localhost:5000/two:2'] },
      ]);
      for (const { descriptor } of images) expect(store.missingPart(descriptor)).to.equal(undefined);
    });
  }

  it('goes to a file as a whole or not at all, and leaves a device what it is', async () => {
    const image = await putImage(store, { layers: [[{ name: 'a', content: 'x' }]] });
    const archive = (): AsyncIterable<Uint8Array> =>
      saveArchive(store, [{ descriptor: image }], 'docker-archive');
    const file = join(folder.folder, 'out.tar');
    writeFileSync(file, 'old');
    async function* broken(): AsyncGenerator<Uint8Array> {
      for await (const chunk of archive()) {
        yield chunk;
        throw new RunncError('INVALID', 'broken');
      }
    }
    expect(await failureOf(writeArchiveFile(file, broken()))).to.equal('broken');
    expect(readFileSync(file, 'utf8')).to.equal('old');
    await writeArchiveFile(file, archive());
    expect(readFileSync(file)).to.deep.equal(await read(archive()));
    const device = join(folder.folder, 'null');
    execFileSync('mknod', [device, 'c', '1', '3']);
    await writeArchiveFile(device, archive());
    expect(lstatSync(device).isCharacterDevice()).to.equal(true);
    expect(await failureOf(writeArchiveFile(folder.folder, archive()))).to.match(
      / cannot be written: EISDIR/,
    );
    expect(readdirSync(folder.folder).filter((name) => name.includes('partial'))).to.deep.equal([]);
  });

  it('an image for several platforms is saved and loaded whole', async () => {
    const amd = await putImage(store, { layers: [[{ name: 'a', content: 'x' }]] });
    const arm = await putImage(store, {
      layers: [[{ name: 'b', content: 'x' }]],
      platform: { os: 'linux', architecture: 'arm64' },
    });
    const index = await store.putJson(mediaTypes.index, {
      schemaVersion: 2,
      manifests: [
        { ...amd, platform: { os: 'linux', architecture: 'amd64' } },
        { ...arm, platform: { os: 'linux', architecture: 'arm64' } },
      ],
    });
    const saved = await read(
      saveArchive(store, [{ reference: 'docker.io/library/multi:1', descriptor: index }], 'docker-archive'),
    );
    store = await folder.open(`store-${String(stores++)}`);
    expect(await load(saved)).to.deep.equal([
      { descriptor: index, references: ['docker.io/library/multi:1'] },
    ]);
  });

  it('an index of which only our image is there stands for that one, as containerd exports it', async () => {
    const amd = await putImage(store, { layers: [[{ name: 'a', content: 'x' }]] });
    const missing = { mediaType: mediaTypes.manifest, digest: digestOf('arm'), size: 3 };
    const index = await store.putJson(mediaTypes.index, {
      schemaVersion: 2,
      manifests: [
        { ...missing, platform: { os: 'linux', architecture: 'arm64' } },
        { ...amd, platform: { os: 'linux', architecture: 'amd64' } },
      ],
    });
    const files = await Promise.all(
      readdirSync(join(store.folder, 'blobs/sha256')).map(async (hex) => ({
        name: `blobs/sha256/${hex}`,
        content: await read(store.readBlob(`sha256:${hex}`)),
      })),
    );
    const archive = await makeTar([
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [index] }) },
      ...files,
    ]);
    store = await folder.open(`store-${String(stores++)}`);
    const [image] = await load(archive);
    expect(image?.descriptor.digest).to.equal(amd.digest);
  });

  it("links inside an archive are looked up among its names, as docker's are meant", async () => {
    const layer = await makeTar([{ name: 'a', content: 'x' }]);
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [digestOf(layer), digestOf(layer)] },
    });
    const [image] = await load(
      await makeTar([
        { name: 'a/layer.tar', content: layer },
        { name: 'b/layer.tar', type: 'symlink', linkname: '../a/layer.tar' },
        { name: 'c.json', content: config },
        {
          name: 'manifest.json',
          content: JSON.stringify([
            { Config: 'c.json', RepoTags: null, Layers: ['a/layer.tar', 'b/layer.tar'] },
          ]),
        },
      ]),
    );
    expect(image?.references).to.deep.equal([]);
    expect(
      store.readManifest(image?.descriptor ?? { mediaType: '', digest: '', size: 0 }).layers,
    ).to.have.length(2);
  });

  const file = (name: string, content = ''): TestEntry => ({ name, content });
  const manifest = (value: unknown): TestEntry => file('manifest.json', JSON.stringify(value));
  const hex = 'a'.repeat(64);
  const hostile: readonly (readonly [string, readonly TestEntry[], RegExp])[] = [
    ['a name that climbs', [file('../x')], /entry "\.\.\/x" climbs by "\.\."/],
    ['an absolute name', [file('/etc/passwd')], /entry "\/etc\/passwd" has an absolute name/],
    [
      'a link out of it',
      [{ name: 'a/layer.tar', type: 'symlink', linkname: '../../etc/shadow' }],
      /"a\/layer\.tar" is a link that leads out of the archive/,
    ],
    [
      'an absolute link',
      [{ name: 'a', type: 'symlink', linkname: '/etc/shadow' }],
      /"a" is a link that leads out/,
    ],
    [
      'a hard link out of it',
      [{ name: 'a', type: 'link', linkname: '../b' }],
      /hard link whose target climbs/,
    ],
    ['a device', [{ name: 'a', type: 'block-device', devmajor: 8 }], /"a" is a special file/],
    ['a FIFO', [{ name: 'a', type: 'fifo' }], /"a" is a special file/],
    [
      'a blob that is not what its name says',
      [file(`blobs/sha256/${hex}`, 'x')],
      /sha256:a+: the content has another digest/,
    ],
    ['no image at all', [file('a', 'x')], /is no archive of images/],
    [
      'a huge document',
      [file('manifest.json', ' '.repeat(5_000_000))],
      /manifest\.json has 5000000 bytes, which is too much/,
    ],
    ['a document that is not JSON', [file('manifest.json', 'x')], /manifest\.json: .*JSON/],
    [
      'a document without its fields',
      [manifest([{ Layers: [] }])],
      /manifest\.json: \[0\]\.Config: is required/,
    ],
    [
      'a layer that is missing',
      [
        file('c', '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'),
        manifest([{ Config: 'c', Layers: ['../../etc/passwd'] }]),
      ],
      /is not complete: "\.\.\/\.\.\/etc\/passwd" is missing/,
    ],
    ['a configuration that is none', [file('c', '[]'), manifest([{ Config: 'c' }])], /c: expected an object/],
    [
      'a layer that is another one',
      [
        file('l', 'x'),
        file(
          'c',
          `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:${hex}"]}}`,
        ),
        manifest([{ Config: 'c', Layers: ['l'] }]),
      ],
      /"l": is not the layer that "c" names/,
    ],
    [
      'more layers than it says',
      [
        file('l', 'x'),
        file('c', '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'),
        manifest([{ Config: 'c', Layers: ['l'] }]),
      ],
      /is not the layer|has 1 layers, its configuration names 0/,
    ],
    [
      'a name that is none',
      [
        file('c', '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'),
        manifest([{ Config: 'c', RepoTags: ['A:1'] }]),
      ],
      /image name "A:1": "A" must be lower case/,
    ],
    [
      'an index of something else',
      [
        file('oci-layout', '{}'),
        file(
          'index.json',
          `{"schemaVersion":2,"manifests":[{"mediaType":"text/plain","digest":"sha256:${hex}","size":1}]}`,
        ),
      ],
      /is of the type "text\/plain", which is no image/,
    ],
    [
      'an index without its blobs',
      [
        file('oci-layout', '{}'),
        file(
          'index.json',
          `{"schemaVersion":2,"manifests":[{"mediaType":"${mediaTypes.manifest}","digest":"sha256:${hex}","size":1}]}`,
        ),
      ],
      /is not complete: sha256:a+ is missing/,
    ],
    [
      'no images in it',
      [file('oci-layout', '{}'), file('index.json', '{"schemaVersion":2,"manifests":[]}')],
      /has no images in it/,
    ],
  ];
  for (const [what, entries, message] of hostile) {
    it(`with ${what} is refused in one line, and nothing is left`, async () => {
      const text = await failureOf(load(await makeTar(entries)));
      expect(text)
        .to.match(message)
        .and.match(/^the archive: |^sha256/);
      expect(text).not.to.contain('\n');
      store.release();
      await store.prune();
      for (const name of ['tmp', 'blobs/sha256'])
        expect(readdirSync(join(store.folder, name))).to.deep.equal([]);
    });
  }

  it('that is cut off, or too large, is refused', async () => {
    const archive = await linuxArchive({ name: 'linux:1' });
    expect(await failureOf(load(archive.subarray(0, 1_000_000)))).to.match(
      /^the archive: is no tar archive or a damaged one/,
    );
    expect(await failureOf(load(gzipSync(archive).subarray(0, 100_000)))).to.match(
      /^the archive: damaged gzip data/,
    );
    expect(await failureOf(load(archive, { limits: { maxEntries: 2, maxBytes: 1e9 } }))).to.match(
      /has more than 2 entries/,
    );
    expect(await failureOf(load(archive, { limits: { maxEntries: 10, maxBytes: 1e6 } }))).to.match(
      /unpacks to more than/,
    );
    expect(await failureOf(load(Buffer.from('hello')))).to.match(/^the archive: is no/);
  });
});
