import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Files, readImage, type ReadImage } from '../../../test/support/image-files.ts';
import { makeTar, type TestEntry } from '../../../test/support/tar.ts';
import { RunncError } from '../../errors.ts';
import { openImage } from '../platform.ts';
import { ImageStore } from '../store.ts';
import { BuildCache } from './build-cache.ts';
import { build, type BuildOptions, type BuiltImage } from './build.ts';

describe('building images', () => {
  let folder: string;
  let context: string;
  let store: ImageStore;
  let steps: string[];
  let warnings: string[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-build-'));
    context = join(folder, 'context');
    mkdirSync(context);
    store = await ImageStore.open(join(folder, 'images'));
    steps = [];
    warnings = [];
  });

  afterEach(() => {
    store.release();
    rmSync(folder, { recursive: true });
  });

  /** Writes a file of the context. */
  function file(path: string, content = path, mode = 0o644): void {
    mkdirSync(dirname(join(context, path)), { recursive: true });
    writeFileSync(join(context, path), content);
    chmodSync(join(context, path), mode);
  }

  function buildImage(lines: readonly string[], options: Partial<BuildOptions> = {}): Promise<BuiltImage> {
    steps = [];
    return build({
      store,
      context,
      dockerfile: { name: 'Dockerfile', text: lines.join('\n') },
      openImage: async (name, platform) => {
        const found = await store.resolve(name);
        if (found === undefined) throw new RunncError('NOT_FOUND', `image ${name} does not exist`);
        return openImage(store, found, platform);
      },
      observer: {
        begin: (name) => ({
          bytes: () => undefined,
          output: () => undefined,
          cached: () => steps.push(`${name} CACHED`),
          done: () => steps.push(name),
          failed: () => steps.push(`${name} FAILED`),
        }),
      },
      onWarning: (message) => warnings.push(message),
      ...options,
    });
  }

  async function built(lines: readonly string[], options: Partial<BuildOptions> = {}): Promise<ReadImage> {
    return readImage(store, (await buildImage(lines, options)).descriptor);
  }

  async function files(...lines: readonly string[]): Promise<Files> {
    return (await built(['FROM scratch', ...lines])).files;
  }

  async function failure(...lines: readonly string[]): Promise<string> {
    try {
      await buildImage(lines);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('did not fail');
  }

  describe('COPY', () => {
    it('of a file gives it the name of the destination, or its own in a folder', async () => {
      file('a', 'text', 0o640);
      expect(await files('COPY a /x')).to.deep.equal({ x: '-640 0:0 text' });
      expect(await files('COPY a /x/y/')).to.deep.equal({
        x: 'd755 0:0',
        'x/y': 'd755 0:0',
        'x/y/a': '-640 0:0 text',
      });
      expect(await files('WORKDIR /w/z', 'COPY a .')).to.include({ 'w/z/a': '-640 0:0 text' });
      expect(await files('WORKDIR /w', 'COPY a b')).to.include({ 'w/b': '-640 0:0 text' });
      expect(await files('COPY a /')).to.deep.equal({ a: '-640 0:0 text' });
    });

    it('of a folder takes what is in it', async () => {
      file('d/a', 'a');
      file('d/sub/b', 'b', 0o600);
      mkdirSync(join(context, 'd/empty'), { mode: 0o700 });
      chmodSync(join(context, 'd'), 0o750);
      symlinkSync('../nowhere', join(context, 'd/link'));
      expect(await files('COPY d /x')).to.deep.equal({
        x: 'd755 0:0',
        'x/a': '-644 0:0 a',
        'x/empty': 'd700 0:0',
        'x/link': 'l777 0:0 ../nowhere',
        'x/sub': 'd755 0:0',
        'x/sub/b': '-600 0:0 b',
      });
      // A folder that is there keeps its own attributes, those inside do not.
      expect(await files('WORKDIR /x/sub', 'COPY d /x')).to.include({ x: 'd755 0:0', 'x/sub': 'd755 0:0' });
      expect(await files('COPY . /')).to.include({ d: 'd750 0:0', 'd/a': '-644 0:0 a' });
    });

    it('takes patterns and several sources', async () => {
      for (const name of ['a1.txt', 'a2.txt', 'b1.txt', '.hidden', 'sub/a3.txt', 'sub2/a4.txt']) file(name);
      const names = async (...lines: readonly string[]): Promise<string[]> =>
        Object.keys(await files(...lines)).sort();
      expect(await names('COPY a*.txt /')).to.deep.equal(['a1.txt', 'a2.txt']);
      expect(await names('COPY ?[1-2].txt /')).to.deep.equal(['a1.txt', 'a2.txt', 'b1.txt']);
      expect(await names('COPY [^a]*.txt /')).to.deep.equal(['b1.txt']);
      expect(await names('COPY sub*/*.txt /')).to.deep.equal(['a3.txt', 'a4.txt']);
      expect(await names('COPY b1.txt nothing* sub /x/')).to.deep.equal(['x', 'x/a3.txt', 'x/b1.txt']);
      expect(await names('COPY .h* /')).to.deep.equal(['.hidden']);
      expect(await names('COPY ["a1.txt", "sub/a3.txt", "/d 1/"]')).to.deep.equal([
        'd 1',
        'd 1/a1.txt',
        'd 1/a3.txt',
      ]);
    });

    it('gives owners and modes', async () => {
      file('d/a');
      expect(await files('COPY --chown=5:6 --chmod=710 d /x/y')).to.deep.equal({
        x: 'd755 5:6',
        'x/y': 'd755 5:6',
        'x/y/a': '-710 5:6 d/a',
      });
      file('etc/passwd', 'root:x:0:0::/:\nalice:x:7:8::/home/alice:/bin/sh\n');
      file('etc/group', 'staff:x:9:alice\n');
      expect(await files('COPY etc /etc', 'ARG WHO=alice', 'COPY --chown=$WHO d/a /x')).to.include({
        x: '-644 7:8 d/a',
      });
      expect(await files('COPY etc /etc', 'COPY --chown=alice:staff d/a /x')).to.include({
        x: '-644 7:9 d/a',
      });
      expect(await files('COPY --chown=2000000:3000000 d/a /x')).to.deep.equal({
        x: '-644 2000000:3000000 d/a',
      });
      expect(await failure('FROM scratch', 'COPY --chown=bob d/a /x')).to.equal(
        'Dockerfile:2: COPY --chown=bob d/a /x: the user "bob" does not exist in /etc/passwd of the stage',
      );
    });

    it('keeps a mode of 0, hard links, long names and all times', async () => {
      const long = `${'n'.repeat(120)}/${'ä'.repeat(110)}`;
      file('d/zero', 'z', 0);
      file(`d/${long}`, 'long');
      linkSync(join(context, 'd/zero'), join(context, 'd/other'));
      utimesSync(join(context, 'd/zero'), 5e9, 5e9);
      const image = await built(['FROM scratch', 'COPY d /']);
      expect(image.files).to.include({ other: '-0 0:0 z', zero: 'h0 0:0 other', [long]: '-644 0:0 long' });
      const layer = store.readManifest((await buildImage(['FROM scratch', 'COPY d /'])).descriptor).layers[0];
      const listed = execFileSync('tar', ['--full-time', '-tvzf', store.blobPath(layer?.digest ?? '')], {
        env: { TZ: 'UTC', PATH: process.env['PATH'] },
      }).toString();
      expect(listed).to.contain('2128-06-11 08:53:20 other');
    });

    it('follows links of the stage inside the stage', async () => {
      file('a');
      file('root/keep');
      symlinkSync('/usr/bin', join(context, 'root/bin'));
      symlinkSync('../../../../x', join(context, 'root/up'));
      expect(await files('COPY root /', 'COPY a /bin/', 'COPY a /up/')).to.include({
        bin: 'l777 0:0 /usr/bin',
        'usr/bin/a': '-644 0:0 a',
        'x/a': '-644 0:0 a',
      });
    });

    it('never follows a link out of the context', async () => {
      writeFileSync(join(folder, 'secret'), 'secret');
      symlinkSync('../secret', join(context, 'relative'));
      symlinkSync(join(folder, 'secret'), join(context, 'absolute'));
      symlinkSync('..', join(context, 'parent'));
      for (const source of ['relative', 'absolute', 'parent/secret', 'parent/../secret']) {
        expect(await failure('FROM scratch', `COPY ${source} /x`)).to.match(
          /does not exist in the build context$/,
        );
      }
      expect(await failure('FROM scratch', 'COPY ../secret /x')).to.contain('leads out of the build context');
      // The context itself is the top.
      symlinkSync('/a', join(context, 'inside'));
      file('a', 'text');
      expect(await files('COPY inside /x')).to.deep.equal({ x: '-644 0:0 text' });
    });

    it('leaves sockets out and takes fifos as they are', async () => {
      execFileSync('mkfifo', [join(context, 'pipe')]);
      execFileSync('python3', [
        '-c',
        `import socket; socket.socket(socket.AF_UNIX).bind("${join(context, 'sock')}")`,
      ]);
      expect(Object.keys(await files('COPY . /x'))).to.deep.equal(['x', 'x/pipe']);
      expect(warnings).to.deep.equal(['"sock" is a socket: it is left out']);
    });

    it('takes heredocs as files', async () => {
      expect(
        await files('ARG who=world', 'COPY <<one <<"two" /x/', 'hello $who \\$who', 'one', '$who', 'two'),
      ).to.deep.equal({
        x: 'd755 0:0',
        'x/one': '-644 0:0 hello world $who\n'.trimEnd(),
        'x/two': '-644 0:0 $who\n'.trimEnd(),
      });
      expect(await files('COPY <<E /etc/motd', 'E')).to.include({ 'etc/motd': '-644 0:0' });
    });

    it('--from takes from a stage, by name or number, and from an image, owners included', async () => {
      file('a', 'a');
      const stages = ['FROM scratch AS One', 'COPY --chown=1:2 a /a', 'FROM scratch'];
      for (const from of ['one', 'ONE', '0']) {
        expect((await built([...stages, `COPY --from=${from} /a /b`])).files).to.deep.equal({
          b: '-644 1:2 a',
        });
      }
      await store.tag('other', (await buildImage(stages.slice(0, 2))).descriptor);
      expect(await files('COPY --from=other a /b')).to.deep.equal({ b: '-644 1:2 a' });
      expect(await failure('FROM scratch', 'COPY --from=none a /b')).to.contain('image none does not exist');
      expect(await failure('FROM scratch', 'COPY --from=3 a /b')).to.contain('there is no such stage');
    });

    it('reads many files of many layers, links between them included', async () => {
      for (let i = 0; i < 50; i++) file(`d${String(i % 3)}/${String(i)}`);
      linkSync(join(context, 'd0/0'), join(context, 'd0/link'));
      const one = ['FROM scratch AS one', 'COPY d0 /d', 'COPY d1 /d', 'COPY d2 /d', 'COPY d0/0 /d/1'];
      const { files: copied } = await built([...one, 'FROM scratch', 'COPY --from=one /d /e']);
      expect(Object.keys(copied)).to.have.length(52);
      expect(copied).to.include({
        'e/1': '-644 0:0 d0/0',
        'e/49': '-644 0:0 d1/49',
        'e/link': 'h644 0:0 e/0',
      });
    });

    const wrong: readonly (readonly [string, string])[] = [
      ['COPY a', 'expected at least one source and a destination'],
      ['COPY nothing /x', '"nothing" does not exist in the build context'],
      ['COPY nothing* /x', 'nothing in the build context matches "nothing*"'],
      ['COPY a d /x', 'several sources need a folder: write the destination as /x/'],
      ['COPY [ab /x', '"[ab" is no valid pattern'],
      ['COPY --chmod=u+x a /x', '--chmod: expected an octal number such as 755, got "u+x"'],
      ['COPY --nope a /x', 'COPY: --nope is not supported: there are --from, --chown, --chmod, --link'],
      ['COPY --chown=:6 a /x', 'expected "user" or "user:group", got ":6"'],
      ['COPY ${a /x', 'unknown operator'],
      ['COPY --from=$x a /x', '--from takes no variables'],
    ];
    for (const [line, message] of wrong) {
      it(`${line} is refused with its place`, async () => {
        file('a');
        file('d/b');
        expect(await failure('FROM scratch', '', line))
          .to.match(/^Dockerfile:3: COPY /)
          .and.contain(message);
        expect(steps.at(-1)).to.match(/^\[2\/2\] COPY .* FAILED$/);
      });
    }

    it('does not put a file in the place of a folder, nor a folder in that of a file', async () => {
      file('a');
      file('d/a/b');
      expect(await failure('FROM scratch', 'COPY a /x/', 'COPY d /x/')).to.contain(
        '/x/a is a file: a folder',
      );
      expect(await failure('FROM scratch', 'COPY d /x/', 'COPY a /x/')).to.contain(
        '/x/a is a folder: a file',
      );
      symlinkSync('a', join(context, 'd/sub'));
      file('e/sub/x');
      expect(await failure('FROM scratch', 'COPY d /', 'COPY e /')).to.contain('/sub is a link: a folder');
      expect(await failure('FROM scratch', 'COPY a /a', 'COPY d/a/b /a/')).to.contain(
        '/a is there and no folder',
      );
    });
  });

  describe('.dockerignore', () => {
    it('keeps files out of the context, with exceptions', async () => {
      for (const name of ['a.log', 'b.txt', 'node_modules/x/y', 'docs/a.md', 'docs/README.md', 'sub/c.log']) {
        file(name);
      }
      const ignored = ['# comment', '**/*.log', 'node_modules', 'docs', '!docs/README.md', '', '!sub/c.log'];
      const image = await built(['FROM scratch', 'COPY . /'], { ignored: ignored.join('\n') });
      expect(Object.keys(image.files).sort()).to.deep.equal([
        ...['b.txt', 'docs', 'docs/README.md', 'sub', 'sub/c.log'],
      ]);
    });

    it('makes what it hides unknown', async () => {
      file('a');
      const lines = ['FROM scratch', 'COPY a /x'];
      expect(await buildImage(lines, { ignored: 'a' }).catch((error: Error) => error.message)).to.contain(
        'does not exist in the build context',
      );
    });
  });

  describe('ADD', () => {
    const archive = (name: string, args: readonly string[]): void => {
      execFileSync('tar', ['-C', context, '--owner=3', '--group=4', ...args, '-f', join(context, name), 'd']);
    };

    it('unpacks archives, whatever their compression', async () => {
      file('d/a', 'a');
      linkSync(join(context, 'd/a'), join(context, 'd/b'));
      archive('plain.tar', ['-c']);
      archive('x.tgz', ['-cz']);
      archive('x.bz2', ['-cj']);
      archive('anything', ['-cJ']);
      for (const name of ['plain.tar', 'x.tgz', 'x.bz2', 'anything']) {
        expect(await files(`ADD ${name} /x`), name).to.deep.equal({
          x: 'd755 0:0',
          'x/d': 'd755 3:4',
          'x/d/a': '-644 3:4 a',
          'x/d/b': 'h644 3:4 x/d/a',
        });
      }
      expect(await files('ADD --chown=7 x.tgz /x/')).to.include({ x: 'd755 7:7', 'x/d/a': '-644 7:7 a' });
    });

    it('copies what is no archive', async () => {
      file('d/a', 'a');
      archive('x.tgz', ['-cz']);
      file('half.gz', '\x1f\x8bno');
      execFileSync('gzip', ['-k', join(context, 'd/a')]);
      expect(Object.keys(await files('ADD d/a half.gz d/a.gz /x/'))).to.deep.equal([
        ...['x', 'x/a', 'x/a.gz', 'x/half.gz'],
      ]);
      expect(await files('COPY x.tgz /')).to.have.property('x.tgz');
      expect(await files('ADD d /y')).to.include({ 'y/a': '-644 0:0 a' });
    });

    it('lays an archive over what is there', async () => {
      file('root/bin/sh', 'old');
      symlinkSync('bin', join(context, 'root/sbin'));
      const entries: TestEntry[] = [
        { name: './', type: 'directory', mode: 0o711 },
        { name: 'sbin/x', content: 'x', mode: 0o755 },
        { name: 'bin/sh', content: 'new', mode: 0o755 },
        { name: 'l', type: 'symlink', linkname: '/etc' },
        { name: 'l/x', content: 'inside', mode: 0o644 },
      ];
      writeFileSync(join(context, 'a.tar'), await makeTar(entries));
      expect(await files('COPY root /', 'ADD a.tar /')).to.deep.equal({
        bin: 'd755 0:0',
        'bin/sh': '-755 0:0 new',
        'bin/x': '-755 0:0 x',
        etc: 'd755 0:0',
        'etc/x': '-644 0:0 inside',
        l: 'l777 0:0 /etc',
        sbin: 'l777 0:0 bin',
      });
    });

    const hostile: readonly (readonly [string, readonly TestEntry[], string])[] = [
      ['a name that climbs', [{ name: '../x' }], 'climbs by ".."'],
      ['an absolute name', [{ name: '/etc/passwd' }], 'has an absolute name'],
      [
        'a link that leads out',
        [{ name: 'd/l', type: 'symlink', linkname: '../../x' }],
        'is a link to "../../x", which leads out of the archive',
      ],
      ['a hard link that leads out', [{ name: 'l', type: 'link', linkname: '../x' }], 'climbs by ".."'],
      ['a hard link to nothing', [{ name: 'l', type: 'link', linkname: 'x' }], 'which is no file before it'],
      ['a device', [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }], 'is a device'],
      ['a name that removes', [{ name: '.wh.etc' }], 'would remove files of the image'],
      ['a folder where a file is', [{ name: 'a' }, { name: 'a/b' }], '/a is there and no folder'],
      [
        'a circle of links',
        [
          { name: 'a', type: 'symlink', linkname: 'b' },
          { name: 'b', type: 'symlink', linkname: 'a' },
          { name: 'a/x' },
        ],
        'too many symbolic links',
      ],
    ];
    for (const [what, entries, message] of hostile) {
      it(`refuses ${what}, and nothing is left`, async () => {
        writeFileSync(join(context, 'a.tar'), await makeTar(entries));
        const text = await failure('FROM scratch', 'ADD a.tar /');
        expect(text)
          .to.match(/^Dockerfile:2: ADD a\.tar \/: [^\n]*$/)
          .and.contain(message);
        expect([
          ...readdirSync(join(store.folder, 'tmp')),
          ...readdirSync(join(store.folder, 'blobs/sha256')),
        ]).to.be.empty;
      });
    }

    it('refuses an archive that is damaged', async () => {
      const tar = await makeTar([{ name: 'a', content: 'x'.repeat(5000) }]);
      writeFileSync(join(context, 'a.tar'), tar.subarray(0, 3000));
      expect(await failure('FROM scratch', 'ADD a.tar /')).to.contain(
        'a.tar: is no tar archive or a damaged one',
      );
    });

    it('refuses a few bytes that unpack to gigabytes', async () => {
      const blockBytes = 64 * 2 ** 20;
      const tar = await makeTar([{ name: 'zeros', content: 'x', pax: { size: String(8 * blockBytes) } }]);
      const block = gzipSync(Buffer.alloc(blockBytes), { level: 9 });
      const header = tar.subarray(0, tar.length - 2048);
      writeFileSync(
        join(context, 'bomb.tgz'),
        Buffer.concat([gzipSync(header), ...Array.from({ length: 8 }, () => block)]),
      );
      expect(await failure('FROM scratch', 'ADD bomb.tgz /')).to.match(
        /bomb\.tgz: its first \d+ bytes unpack to more than 268435456: refused$/,
      );
    });

    it('refuses a URL without a digest, and what is none', async () => {
      expect(await failure('FROM scratch', 'ADD https://x.invalid/a /')).to.contain(
        'needs --checksum=sha256:',
      );
      expect(await failure('FROM scratch', 'ADD --checksum=x https://x.invalid/a /')).to.contain(
        'expected "sha256:" and 64',
      );
      const digest = `sha256:${'0'.repeat(64)}`;
      expect(await failure('FROM scratch', `ADD --checksum=${digest} git@x.invalid:a /`)).to.contain(
        'only http and https',
      );
    });
  });

  describe('the configuration', () => {
    const config = async (...lines: readonly string[]): Promise<object> =>
      (await built(['FROM scratch', ...lines])).config.config ?? {};

    it('is what the instructions say', async () => {
      expect(
        await config(
          'ENV A=1 B="two words" C=a\\ b',
          'ENV OLD form of it',
          'ENV A=$A$A D=${A}',
          'LABEL x=y "a b"=\'c d\'',
          'USER 5:6',
          'WORKDIR /a/../b',
          'WORKDIR c',
          'EXPOSE 80 53/udp 7000-7002',
          'VOLUME /data /logs',
          'VOLUME ["/j son"]',
          'STOPSIGNAL SIGINT',
          'HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x',
          'SHELL ["/bin/bash", "-c"]',
          'ENTRYPOINT exec app',
          'CMD ["a", "b c"]',
          'ONBUILD COPY . /x',
        ),
      ).to.deep.equal({
        Env: ['A=11', 'B=two words', 'C=a b', 'OLD=form of it', 'D=1'],
        Labels: { x: 'y', 'a b': 'c d' },
        User: '5:6',
        WorkingDir: '/b/c',
        ExposedPorts: { '80/tcp': {}, '53/udp': {}, '7000/tcp': {}, '7001/tcp': {}, '7002/tcp': {} },
        Volumes: { '/data': {}, '/logs': {}, '/j son': {} },
        StopSignal: 'SIGINT',
        Healthcheck: { Test: ['CMD-SHELL', 'curl -f x'], Interval: 90e9, Timeout: 5e8, Retries: 3 },
        Shell: ['/bin/bash', '-c'],
        Entrypoint: ['/bin/bash', '-c', 'exec app'],
        Cmd: ['a', 'b c'],
        OnBuild: ['COPY . /x'],
      });
    });

    it('loses the command of a base image with a new ENTRYPOINT, not its own', async () => {
      const base = ['FROM scratch AS base', 'CMD ["base"]', 'FROM base'];
      const of = async (...lines: readonly string[]): Promise<object | undefined> =>
        (await built([...base, ...lines])).config.config;
      expect(await of('ENTRYPOINT ["e"]')).to.deep.equal({ Entrypoint: ['e'] });
      expect(await of('CMD ["own"]', 'ENTRYPOINT ["e"]')).to.deep.equal({ Entrypoint: ['e'], Cmd: ['own'] });
      expect(await of('HEALTHCHECK NONE')).to.deep.equal({ Cmd: ['base'], Healthcheck: { Test: ['NONE'] } });
    });

    it('has labels and annotations of the command line, a platform, an author, a history', async () => {
      file('a');
      const lines = ['FROM scratch', 'LABEL a=1 b=1', 'MAINTAINER me', 'COPY a /', 'CMD ["/a"]'];
      const image = await built(lines, {
        labels: { b: '2' },
        annotations: { 'org.example': 'x' },
        platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
        sourceDateEpoch: 86400,
      });
      expect(image.config.config?.Labels).to.deep.equal({ a: '1', b: '2' });
      expect(image.annotations).to.deep.equal({ 'org.example': 'x' });
      const { architecture, variant, author, created, history } = image.config;
      expect({ architecture, variant, author, created }).to.deep.equal({
        ...{ architecture: 'arm64', variant: 'v8', author: 'me', created: '1970-01-02T00:00:00Z' },
      });
      expect(history?.map(({ created_by, empty_layer = false }) => [created_by, empty_layer])).to.deep.equal([
        ['LABEL a=1 b=1', true],
        ['MAINTAINER me', true],
        ['COPY a /', false],
        ['CMD ["/a"]', true],
      ]);
    });

    const wrong: readonly (readonly [string, string])[] = [
      ['BOGUS x', 'there is no instruction "BOGUS"'],
      ['ENV', 'expected an argument'],
      ['ENV A', 'expected NAME=value, got "A"'],
      ['ENV A=1 B', 'expected NAME=value, got "B"'],
      ['EXPOSE 0', 'expected a port'],
      ['EXPOSE 80/x', 'expected a port'],
      ['STOPSIGNAL NOPE', 'unknown signal "NOPE"'],
      ['SHELL /bin/sh', 'expected a JSON array'],
      ['HEALTHCHECK --interval=1 CMD x', '--interval: expected a time'],
      ['HEALTHCHECK x', 'expected NONE, or CMD'],
      ['ONBUILD FROM x', 'FROM cannot be a trigger'],
      ['ARG 1=x', '"1" is no name'],
      ['USER --x', 'USER: --x is not supported'],
      ['FROM', 'expected FROM image'],
      ['FROM x AS', 'expected FROM image'],
      ['FROM ${NONE}', 'is empty'],
    ];
    for (const [line, message] of wrong) {
      it(`${line} is refused with its place`, async () => {
        expect(await failure('FROM scratch', line))
          .to.match(/^Dockerfile:2: /)
          .and.contain(message);
      });
    }
  });

  describe('stages', () => {
    it('are built if they are needed, in their order', async () => {
      file('a');
      const lines = [
        ...['FROM scratch AS unused', 'COPY a /unused'],
        ...['FROM scratch AS one', 'COPY a /one'],
        ...['FROM scratch AS two', 'COPY a /two'],
        ...['FROM two AS three', 'COPY --from=one / /from/'],
      ];
      expect(Object.keys((await built(lines)).files)).to.deep.equal(['two', 'from', 'from/one']);
      expect(steps).to.deep.equal([
        ...['[two 2/2] COPY a /two', '[one 2/2] COPY a /one', '[three 2/2] COPY --from=one / /from/'],
        'exporting the image',
      ]);
      expect(Object.keys((await built(lines, { target: 'ONE' })).files)).to.deep.equal(['one']);
      expect(Object.keys((await built(lines, { target: '2' })).files)).to.deep.equal(['two']);
      expect(await buildImage(lines, { target: 'nine' }).catch((error: Error) => error.message)).to.equal(
        '--target: the stage "nine" does not exist: there are unused, one, two, three',
      );
    });

    it('give ARG its scopes', async () => {
      const lines = [
        ...['ARG BASE=scratch', 'ARG V=global', 'ARG W=$V-w', 'FROM ${BASE} AS one', 'ENV A=$V'],
        ...['ARG V', 'ARG W=own', 'ENV B=$V C=$W', 'ENV V=env', 'ENV D=$V'],
        ...['FROM one', 'ARG W', 'ENV E=$W F=${V}', 'ARG TARGETARCH', 'ENV G=$TARGETARCH'],
      ];
      expect((await built(lines)).config.config?.Env).to.deep.equal([
        ...['A=', 'B=global', 'C=own', 'V=env', 'D=env', 'E=global-w', 'F=env', 'G=amd64'],
      ]);
      const buildArgs = new Map([
        ['W', 'given'],
        ['NOBODY', 'x'],
      ]);
      expect((await built(lines, { buildArgs })).config.config?.Env).to.include.members([
        'C=given',
        'E=given',
      ]);
      expect(warnings).to.deep.equal(['--build-arg NOBODY: no ARG of that name uses it']);
    });

    it('may be images of the store, with their triggers', async () => {
      file('a', 'a');
      const base = [
        'FROM scratch',
        'WORKDIR /app',
        'ENV X=y',
        'ONBUILD COPY a ./',
        'ONBUILD LABEL built=yes',
      ];
      await store.tag('base', (await buildImage(base)).descriptor);
      const image = await built(['FROM base', 'COPY a ./b']);
      expect(Object.keys(image.files)).to.deep.equal(['app', 'app/a', 'app/b']);
      expect(image.config.config).to.deep.equal({
        WorkingDir: '/app',
        Env: ['X=y'],
        Labels: { built: 'yes' },
      });
      expect(steps).to.deep.equal([
        ...['[1/2] FROM base', '[2/3] COPY a ./', '[3/3] COPY a ./b', 'exporting the image'],
      ]);
    });

    it('need a FROM', async () => {
      expect(await failure('ARG A', 'COPY a b', 'FROM scratch')).to.equal(
        'Dockerfile:2: COPY a b: there is no FROM before it',
      );
      expect(await failure('ARG A')).to.equal('Dockerfile: has no FROM');
      expect(await failure('FROM none')).to.equal('Dockerfile:1: FROM none: image none does not exist');
    });
  });

  describe('the cache', () => {
    const lines = ['FROM scratch', 'COPY a /a', 'WORKDIR /w', 'COPY d /d'];
    const cached = (): readonly boolean[] =>
      steps.filter((step) => step.startsWith('[')).map((step) => step.endsWith(' CACHED'));

    beforeEach(() => {
      file('a');
      file('d/b');
    });

    it('finds what was built, whatever the times of the files', async () => {
      const first = await buildImage(lines);
      expect(cached()).to.deep.equal([false, false, false]);
      expect(await buildImage(lines)).to.deep.equal(first);
      expect(cached()).to.deep.equal([true, true, true]);
      utimesSync(join(context, 'a'), 1, 1);
      expect(await buildImage(lines)).to.deep.equal(first);
    });

    it('goes by the contents, also of files changed a moment ago', async () => {
      await buildImage(lines);
      for (let i = 0; i < 20; i++) {
        writeFileSync(join(context, 'd/b'), `${String(i % 10)}`);
        expect((await built(lines)).files['d/b'], String(i)).to.equal(`-644 0:0 ${String(i % 10)}`);
      }
      chmodSync(join(context, 'a'), 0o755);
      await buildImage(lines);
      expect(cached()).to.deep.equal([false, false, false]);
    });

    it('does not go by what does not change files', async () => {
      await buildImage(lines);
      await buildImage([...lines.slice(0, 1), 'ENV A=b', 'LABEL x=y', ...lines.slice(1)]);
      expect(cached()).to.deep.equal([true, true, true]);
    });

    it('finds COPY --from by what is copied', async () => {
      const from = ['FROM scratch AS one', 'COPY d /', 'FROM scratch', 'COPY --from=one /b /x'];
      await buildImage(from);
      file('d/other');
      await buildImage(from);
      expect(cached()).to.deep.equal([false, true]);
    });

    it('is not asked with noCache, and then equal files give equal images', async () => {
      const first = await buildImage(lines);
      expect(await buildImage(lines, { noCache: true })).to.deep.equal(first);
      expect(cached()).to.deep.equal([false, false, false]);
    });

    it('notices that layers are gone, and what is damaged', async () => {
      const first = await buildImage(lines);
      const { digest = '' } = store.readManifest(first.descriptor).layers[1] ?? {};
      rmSync(store.blobPath(digest));
      expect(await buildImage(lines)).to.deep.equal(first);
      expect(cached()).to.deep.equal([true, false, true]);
      for (const kind of ['steps', 'layers', 'contexts']) {
        for (const name of readdirSync(join(store.folder, 'build', kind))) {
          writeFileSync(join(store.folder, 'build', kind, name), '{"layer":');
        }
      }
      expect(await buildImage(lines)).to.deep.equal(first);
    });

    it('survives a prune of the store, as far as it is not too large', async () => {
      const from = ['FROM scratch AS one', 'COPY d /', 'FROM scratch', 'COPY --from=one /b /x'];
      await buildImage(from);
      store.release();
      await store.prune();
      await buildImage(from);
      expect(cached()).to.deep.equal([true, true]);
      await new BuildCache(store).sweep(0);
      store.release();
      expect((await store.prune()).digests).to.have.length(4);
      await buildImage(from);
      expect(cached()).to.deep.equal([false, false]);
    });

    it('gives the same image in another store', async () => {
      const first = await buildImage(lines);
      store.release();
      store = await ImageStore.open(join(folder, 'other'));
      expect(await buildImage(lines)).to.deep.equal(first);
    });
  });

  it('SOURCE_DATE_EPOCH: no file is younger', async () => {
    file('d/a', 'a');
    const image = await buildImage(['FROM scratch', 'COPY d /d/'], { sourceDateEpoch: 1e9 });
    const [layer] = store.readManifest(image.descriptor).layers;
    const listed = execFileSync('tar', ['--full-time', '-tvzf', store.blobPath(layer?.digest ?? '')], {
      env: { TZ: 'UTC', PATH: process.env['PATH'] },
    }).toString();
    expect(listed.match(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g)).to.deep.equal([
      ...['2001-09-09 01:46:40', '2001-09-09 01:46:40'],
    ]);
  });
});
