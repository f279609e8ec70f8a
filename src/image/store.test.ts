import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Descriptor, mediaTypes } from './descriptor.ts';
import { findImage, openImage } from './platform.ts';
import { ImageStore } from './store.ts';

describe('the image store', () => {
  let folder: string;
  let store: ImageStore;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-store-'));
    store = await ImageStore.open(join(folder, 'images'));
  });
  afterEach(() => {
    store.release();
    rmSync(folder, { recursive: true });
  });

  const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

  async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const text of texts) yield await Promise.resolve(Buffer.from(text));
  }

  async function putImage(content: string, into = store): Promise<Descriptor> {
    const layer = await into.putBlob(chunks(content));
    const config = await into.putJson(mediaTypes.config, {
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    });
    const layers = [{ mediaType: mediaTypes.layer, ...layer }];
    return into.putJson(mediaTypes.manifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config,
      layers,
    });
  }

  const files = (name: string): string[] => readdirSync(join(store.folder, name)).sort();

  async function failure(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('did not fail');
  }

  describe('a blob', () => {
    it('is named by what it holds', async () => {
      const { digest, size } = await store.putBlob(chunks('hello ', 'world'));
      expect(digest).to.equal(digestOf('hello world'));
      expect(size).to.equal(11);
      expect(readFileSync(store.blobPath(digest), 'utf8')).to.equal('hello world');
    });

    const wrong: readonly (readonly [string, { digest?: string; size?: number }, string])[] = [
      ['another digest', { digest: digestOf('other') }, 'has another digest'],
      ['fewer bytes', { size: 12 }, 'ends after 11 of 12 bytes'],
      ['more bytes', { size: 10 }, 'is longer than the 10 bytes'],
    ];
    for (const [what, expected, message] of wrong) {
      it(`with ${what} is refused, and nothing is left`, async () => {
        expect(await failure(store.putBlob(chunks('hello ', 'world'), expected))).to.contain(message);
        expect([...files('tmp'), ...files('blobs/sha256')]).to.deep.equal([]);
      });
    }

    it('whose source fails leaves nothing', async () => {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield* chunks('hello');
        throw new Error('the line is dead');
      }
      expect(await failure(store.putBlob(failing()))).to.equal('the line is dead');
      expect([...files('tmp'), ...files('blobs/sha256')]).to.deep.equal([]);
    });

    it('whose transfer broke off is gone on with', async () => {
      const expected = { digest: digestOf('hello world'), size: 11 };
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* chunks('hello ');
        throw new Error('the line is dead');
      }
      await failure(store.resumeBlob(expected, broken));
      const offsets: number[] = [];
      await store.resumeBlob(expected, (offset) => {
        offsets.push(offset);
        return chunks('hello world'.slice(offset));
      });
      expect(offsets).to.deep.equal([6]);
      expect(await store.hasBlob(expected.digest, 11)).to.equal(true);
      expect(files('tmp')).to.deep.equal([]);
    });

    it('that begins wrong is not gone on with', async () => {
      const expected = { digest: digestOf('hello world'), size: 11 };
      const path = `tmp/${expected.digest.slice(7)}.part`;
      writeFileSync(join(store.folder, path), 'HELLO ');
      expect(await failure(store.resumeBlob(expected, () => chunks('world')))).to.contain('another digest');
      expect([...files('tmp'), ...files('blobs/sha256')]).to.deep.equal([]);
    });

    it('that two want at once is transferred once', async () => {
      const other = await ImageStore.open(store.folder);
      const expected = { digest: digestOf('hello'), size: 5 };
      let reads = 0;
      const read = (): AsyncIterable<Uint8Array> => {
        reads++;
        return chunks('hello');
      };
      await Promise.all([store.resumeBlob(expected, read), other.resumeBlob(expected, read)]);
      other.release();
      expect(reads).to.equal(1);
    });

    it('has no name that leads out of the store', () => {
      expect(() => store.blobPath('sha256:../../../etc/passwd')).to.throw('expected "sha256:"');
    });
  });

  describe('a name', () => {
    it('leads to its image, also by the beginning of its ids', async () => {
      const image = await putImage('one');
      await store.tag('app:1', image);
      expect(await store.resolve('docker.io/library/app:1')).to.deep.equal(image);
      const { manifest } = openImage(store, image);
      for (const digest of [image.digest, manifest.config.digest]) {
        expect((await findImage(store, digest.slice(7, 19)))?.descriptor).to.deep.equal(image);
        expect((await findImage(store, digest))?.descriptor).to.deep.equal(image);
      }
      expect(await findImage(store, 'app:2')).to.equal(undefined);
    });

    it('can be given only to what is whole', async () => {
      const image = await putImage('one');
      const { manifest } = openImage(store, image);
      rmSync(store.blobPath(manifest.layers[0]?.digest ?? ''));
      expect(await failure(store.tag('app', image))).to.contain(
        `${manifest.layers[0]?.digest ?? ''} does not exist`,
      );
      expect(store.list()).to.deep.equal([]);
    });

    it('goes to another image when that gets it', async () => {
      const [one, two] = [await putImage('one'), await putImage('two')];
      await store.tag('app', one);
      await store.tag('app', two);
      expect(await store.resolve('app')).to.deep.equal(two);
      store.release();
      await store.prune();
      expect(files('blobs/sha256')).to.have.length(3);
    });

    it('is not lost when many give names at once', async () => {
      const image = await putImage('one');
      const stores = await Promise.all([1, 2, 3, 4].map(() => ImageStore.open(store.folder)));
      await Promise.all(
        stores.flatMap((each, i) => [1, 2, 3].map((n) => each.tag(`app${String(i)}:${String(n)}`, image))),
      );
      expect(store.list()).to.have.length(12);
    });

    it('in a damaged index is an error that says where', async () => {
      writeFileSync(join(store.folder, 'index.json'), '{"schemaVersion":2,"manifests":[{"digest":1}]}');
      expect(await failure(store.resolve('app'))).to.match(
        /index\.json: manifests\[0\]\.mediaType: is required/,
      );
    });
  });

  describe('pruning', () => {
    it('removes what no name leads to, and what was left in the middle', async () => {
      const image = await putImage('one');
      await store.tag('app', image);
      await putImage('two');
      writeFileSync(join(store.folder, 'tmp/left'), 'x');
      store.release();
      const { digests, freedBytes } = await store.prune();
      expect(digests).to.have.length(3);
      expect(freedBytes).to.be.greaterThan(0);
      expect(files('tmp')).to.deep.equal([]);
      expect(openImage(store, image).config.os).to.equal('linux');
    });

    it('spares what another one is putting together, or has found there', async () => {
      const building = await ImageStore.open(store.folder);
      const image = await putImage('one', building);
      const pulling = await ImageStore.open(store.folder);
      store.release();
      expect((await store.prune()).digests).to.deep.equal([]);
      await pulling.hasBlob(digestOf('one'));
      building.release();
      expect((await store.prune()).digests).to.have.length(2);
      expect(await pulling.hasBlob(digestOf('one'))).to.equal(true);
      expect(await pulling.hasBlob(image.digest)).to.equal(false);
      pulling.release();
      expect((await store.prune()).digests).to.deep.equal([digestOf('one')]);
    });

    it('spares the whole image that somebody has looked up', async () => {
      await store.tag('app', await putImage('one'));
      const reading = await ImageStore.open(store.folder);
      await reading.resolve('app');
      await store.untag('app');
      store.release();
      expect((await store.prune()).digests).to.deep.equal([]);
      reading.release();
      expect((await store.prune()).digests).to.have.length(3);
    });

    it('spares a file that is being written', async () => {
      const writing = await ImageStore.open(store.folder);
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield* chunks('hello');
        store.release();
        await store.prune();
        yield* chunks(' world');
      }
      await writing.putBlob(slow(), { digest: digestOf('hello world') });
      writing.release();
    });
  });
});
