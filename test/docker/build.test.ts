/** Dockerfiles built by us and by a real dockerd, by its classic builder and by its BuildKit: the same files and settings. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { loadArchive } from '../../src/image/archive-load.ts';
import type { RunConfig } from '../../src/image/descriptor.ts';
import { ImageStore } from '../../src/image/store.ts';
import { run, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { type Files, readDockerArchive } from '../support/image-files.ts';
import { runtime } from '../support/paths.ts';

type Builder = 'classic' | 'buildkit';

interface Shape {
  readonly name: string;
  readonly lines: readonly string[];
  /** Flags that both know. */
  readonly args?: readonly string[];
  /** Those that can build it; default: both. */
  readonly builders?: readonly Builder[];
}

/** The one that has BuildKit in itself; newer ones need a plugin. */
const CLIENT = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker';

/** What BuildKit gives an image from scratch. */
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const shapes: readonly Shape[] = [
  {
    name: 'several stages, one of them for nothing, a target in the middle',
    lines: [
      ...['FROM scratch AS sources', 'COPY src /src', 'FROM scratch AS unused', 'COPY nothing /'],
      ...['FROM base AS tools', 'COPY --from=sources /src/a.txt /tools/'],
      ...['FROM scratch AS result', 'COPY --from=tools /tools /opt/tools', 'COPY --from=sources /src /all'],
      ...['FROM base', 'COPY nothing /'],
    ],
    args: ['--target=result'],
    builders: ['buildkit'],
  },
  {
    name: 'several stages',
    lines: [
      ...[
        'FROM base AS one',
        'COPY --chown=5:6 src /src',
        'FROM base',
        'COPY --from=one /src/a.txt /src/sub /x/',
      ],
      ...['COPY --from=0 /src /y'],
    ],
  },
  {
    name: 'patterns and several sources',
    lines: [
      ...['FROM scratch', 'COPY src/*.txt /texts/', 'COPY src/?.md src/[b-d].txt src/sub /mixed/'],
      ...['COPY *ignore* none* /dots/', 'COPY ["src/with blank", "/blanks here/"]'],
    ],
  },
  {
    name: 'ARG before FROM, in stages and from the command line',
    lines: [
      ...['ARG IMAGE=none', 'ARG VERSION=1', 'FROM ${IMAGE} AS one', 'ARG VERSION', 'ARG OWN=o-$VERSION'],
      ...['ENV V=$VERSION O=${OWN} N=${NOTHING:-default} P=${VERSION:+set} Q="q $V"', 'ENV V=2 W=$V X=\\$V'],
      ...['LABEL v="$V" w=$W', 'WORKDIR /work/${W}', 'COPY src/${V:+a}.txt ./$VERSION'],
    ],
    args: ['--build-arg=IMAGE=base', '--build-arg=VERSION=9'],
  },
  {
    name: 'owners by name and number',
    lines: [
      ...['FROM base', 'COPY --chown=alice:staff src /named', 'COPY --chown=70000:80000 src/a.txt /numbers/'],
      ...[
        'ARG who=alice',
        'COPY --chown=${who}:${who} src/a.txt /variable',
        'ADD --chown=alice:alice src /added/',
      ],
    ],
  },
  {
    name: 'owners of folders on the way',
    lines: [
      'FROM base',
      'COPY --chown=alice:staff src /named/deep',
      'USER alice',
      'WORKDIR /home/alice/x',
      'WORKDIR /etc',
    ],
    // The classic builder gives them to root.
    builders: ['buildkit'],
  },
  {
    name: 'archives',
    lines: [
      ...['FROM base', 'ADD plain.tar /plain', 'ADD packed.tgz packed.tar.xz packed.tar.bz2 /packed/'],
      ...['ADD packed.tgz /', 'ADD src/a.txt no-archive.gz /files/', 'COPY packed.tgz /kept/'],
    ],
  },
  {
    name: 'an archive over links and files of the base',
    lines: ['FROM base', 'ADD over.tar /', 'ADD over.tar /sub/dir/'],
  },
  {
    name: 'everything that a folder may hold',
    lines: ['FROM scratch', 'COPY odd /odd', 'COPY odd/link /followed', 'COPY odd/to-folder /folder'],
  },
  {
    name: 'folders over folders, files over files',
    lines: [
      ...['FROM base', 'COPY src /etc', 'COPY src/a.txt /etc/passwd', 'COPY src /dst/', 'COPY modes /dst'],
      ...[
        'COPY src/sub /dst/sub',
        'COPY src/a.txt /bin/',
        'COPY src/a.txt /to-file',
        'COPY private /private',
      ],
      ...['COPY src/a.txt /link-to-dir', 'COPY src/b.txt /link-to-dir/x/', 'COPY src/a.txt /to-nothing'],
      ...['COPY private /link-to-dir/y', 'COPY src /link-to-dir'],
    ],
  },
  {
    name: 'files over links in a folder',
    lines: [...['FROM base', 'COPY src/a.txt /links/', 'COPY src/b.txt src/c.md /links/']],
  },
  {
    name: '.dockerignore with exceptions',
    lines: ['FROM scratch', 'COPY . /all/'],
  },
  {
    name: 'ONBUILD',
    lines: ['FROM trigger', 'COPY src/b.txt ./b'],
  },
  {
    name: 'COPY --from an image',
    lines: ['FROM scratch', 'COPY --from=base /bin /etc/passwd /from/', 'COPY --from=base / /whole'],
  },
  {
    name: 'settings',
    lines: [
      ...[
        'FROM base',
        'MAINTAINER nobody',
        'ENV A=1 B="two words" C=three\\ words',
        'ENV OLD some  old form',
      ],
      ...['LABEL one=1 "two words"="x y" three=\'3\'', 'EXPOSE 80 443/tcp 53/udp', 'VOLUME /data "/odd"'],
      ...['VOLUME ["/j son", "/b"]', 'WORKDIR /a/../b', 'WORKDIR c', 'USER alice:staff', 'STOPSIGNAL SIGINT'],
      ...['HEALTHCHECK --interval=90s --timeout=5s --start-period=1m --retries=2 CMD check "a b"'],
      ...['SHELL ["/bin/sh", "-ec"]', 'CMD echo $A', 'ENTRYPOINT ["/bin/echo", "x y"]', 'ONBUILD RUN echo'],
    ],
  },
  {
    name: 'commands: the shell form, and what ENTRYPOINT leaves of a base',
    lines: [
      ...['FROM trigger AS first', 'CMD ["own"]', 'ENTRYPOINT run it', 'FROM first', 'ENTRYPOINT ["other"]'],
      ...['HEALTHCHECK NONE', '# comment', 'LABEL a=b \\', '  # inside', '  c=d'],
    ],
  },
  {
    name: 'another escape character',
    lines: ['# escape=`', 'FROM base', 'ENV P=c:\\x `', '  Q=`"', 'COPY src/a.txt `', '  /x'],
  },
  {
    name: 'labels and arguments of the command line',
    lines: ['FROM base', 'ARG HTTP_PROXY', 'LABEL a=1 b=2'],
    args: ['--label=b=3', '--label=c=x=y', '--build-arg=HTTP_PROXY=http://x'],
  },
];

describe('building images, beside dockerd', function () {
  this.timeout(120_000);
  let docker: Dockerd;
  let folder: string;
  let context: string;

  before(async () => {
    docker = await Dockerd.start({ defaultRuntime: 'runc' });
    folder = mkdtempSync(join(tmpdir(), 'runnc-build-docker-'));
    context = join(folder, 'context');
    fillContext();
    await makeBase();
  });

  after(async () => {
    await docker.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(path: string, content = `${path}\n`, mode = 0o644): void {
    mkdirSync(dirname(join(context, path)), { recursive: true });
    writeFileSync(join(context, path), content);
    chmodSync(join(context, path), mode);
  }

  function fillContext(): void {
    for (const name of [
      'src/a.txt',
      'src/b.txt',
      'src/c.md',
      'src/sub/d.txt',
      'src/with blank',
      'modes/sub/e',
    ]) {
      file(name);
    }
    file('modes/setuid', 'x', 0o4755);
    file('modes/private', 'x', 0o600);
    file('private/deep/file');
    chmodSync(join(context, 'private'), 0o700);
    chmodSync(join(context, 'private/deep'), 0o750);
    mkdirSync(join(context, 'modes/sticky'));
    chmodSync(join(context, 'modes/sticky'), 0o1777);
    file('odd/file');
    mkdirSync(join(context, 'odd/empty/deeper'), { recursive: true });
    symlinkSync('file', join(context, 'odd/link'));
    symlinkSync('/nowhere/at/all', join(context, 'odd/dangling'));
    symlinkSync('empty', join(context, 'odd/to-folder'));
    linkSync(join(context, 'odd/file'), join(context, 'odd/hard'));
    execFileSync('mkfifo', [join(context, 'odd/pipe')]);
    file('odd/ümläut ☃');
    file(`odd/${'long'.repeat(30)}/${'name'.repeat(30)}`);
    file('odd/old');
    utimesSync(join(context, 'odd/old'), 1e9, 1e9);
    file('no-archive.gz', 'no gzip at all');
    for (const [name, flag] of [
      ['plain.tar', ''],
      ['packed.tgz', 'z'],
      ['packed.tar.xz', 'J'],
      ['packed.tar.bz2', 'j'],
    ]) {
      const args = [
        '--owner=3',
        '--group=4',
        `-c${flag ?? ''}f`,
        join(context, name ?? ''),
        'src',
        'odd/hard',
        'odd/file',
      ];
      execFileSync('tar', ['-C', context, ...args]);
    }
    const over = join(folder, 'over');
    mkdirSync(join(over, 'link-to-dir'), { recursive: true });
    mkdirSync(join(over, 'etc'));
    writeFileSync(join(over, 'link-to-dir/in'), 'x');
    writeFileSync(join(over, 'etc/passwd'), 'over\n');
    writeFileSync(join(over, 'to-file'), 'over\n');
    symlinkSync('etc', join(over, 'new-link'));
    execFileSync('tar', ['-C', over, '--owner=0', '--group=0', '-cf', join(context, 'over.tar'), '.']);
    file('ignored/a.log');
    file('ignored/keep/b.log');
    file('ignored/keep/c.txt');
    file('deep/er/x.tmp');
    file('deep/er/y.txt');
    file(
      '.dockerignore',
      ['# comment', 'ignored', '!ignored/keep', '**/*.tmp', 'd*.gz', '!odd/*', ''].join('\n'),
    );
  }

  /** Images that both builders begin with. */
  async function makeBase(): Promise<void> {
    const root = join(folder, 'base');
    for (const name of ['bin', 'etc', 'usr/lib', 'sub/dir']) mkdirSync(join(root, name), { recursive: true });
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
    for (const applet of ['sh', 'echo', 'rm', 'ln'])
      linkSync(join(root, 'bin/busybox'), join(root, 'bin', applet));
    writeFileSync(
      join(root, 'etc/passwd'),
      'root:x:0:0::/:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n',
    );
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nalice:x:1001:\nstaff:x:50:alice\n');
    symlinkSync('usr/lib', join(root, 'link-to-dir'));
    symlinkSync('etc/passwd', join(root, 'to-file'));
    symlinkSync('etc/made', join(root, 'to-nothing'));
    mkdirSync(join(root, 'links'));
    for (const name of ['a.txt', 'b.txt']) symlinkSync('../etc/group', join(root, 'links', name));
    symlinkSync('../etc/none', join(root, 'links/c.md'));
    symlinkSync('../usr', join(root, 'links/sub'));
    await importImage('base', root, []);
    await importImage('trigger', root, [
      ...['WORKDIR /app', 'CMD ["base"]', 'ONBUILD COPY src/a.txt ./', 'ONBUILD LABEL triggered=yes'],
    ]);
  }

  async function importImage(name: string, root: string, changes: readonly string[]): Promise<void> {
    const tar = join(folder, 'root.tar');
    execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', tar, '.']);
    await docker.docker('import', ...changes.map((change) => `--change=${change}`), tar, name);
    await docker.docker('save', '--output', tar, name);
    const store = await ImageStore.open(join(folder, 'images'));
    for (const { descriptor } of await loadArchive(store, createReadStream(tar), tar)) {
      await store.tag(name, descriptor);
    }
    store.release();
  }

  interface Built {
    readonly files: Files;
    readonly config: RunConfig;
  }

  async function buildWithDocker({ args = [] }: Shape, dockerfile: string, builder: Builder): Promise<Built> {
    const tag = `built-${builder}`;
    const { status, stdout, stderr } = await run(
      CLIENT,
      [
        ...docker.client,
        'build',
        '--network=none',
        '--no-cache',
        ...args,
        '-t',
        tag,
        '-f',
        dockerfile,
        context,
      ],
      { env: { ...process.env, DOCKER_BUILDKIT: builder === 'buildkit' ? '1' : '0' } },
    );
    expect(status, `${stdout}${stderr}`).to.equal(0);
    const archive = join(folder, `${builder}.tar`);
    await docker.docker('save', '--output', archive, tag);
    return read(archive);
  }

  async function buildWithRunnc({ args = [] }: Shape, dockerfile: string): Promise<Built> {
    const archive = join(folder, 'runnc.tar');
    const options = [`--store=${join(folder, 'images')}`, `--output=type=docker,dest=${archive}`, '--quiet'];
    await succeed(runtime, ['build', ...options, ...args, '--file', dockerfile, context]);
    return read(archive);
  }

  async function read(archive: string): Promise<Built> {
    const { files, config } = await readDockerArchive(archive);
    return { files: normalized(files), config: settings(config.config ?? {}) };
  }

  for (const shape of shapes) {
    for (const builder of shape.builders ?? (['classic', 'buildkit'] as const)) {
      it(`${shape.name}: as ${builder}`, async () => {
        const dockerfile = join(context, 'Dockerfile');
        writeFileSync(dockerfile, `${shape.lines.join('\n')}\n`);
        utimesSync(dockerfile, 1e9, 1e9);
        const theirs = await buildWithDocker(shape, dockerfile, builder);
        const ours = await buildWithRunnc(shape, dockerfile);
        expect(ours.config).to.deep.equal(theirs.config);
        expect(asBuiltBy(builder, ours.files)).to.deep.equal(theirs.files);
      });
    }
  }
});

/** Where they differ from each other, and we are with the other one. */
function asBuiltBy(builder: Builder, files: Files): Files {
  const entries = Object.entries(files);
  return Object.fromEntries(
    builder === 'buildkit'
      ? // Its client does not send them.
        entries.filter(([, line]) => !line.startsWith('p'))
      : // Giving a file its owner takes the bit away.
        entries.map(([path, line]) => [path, line.replace(/^-4(?=\d{3} )/, '-')]),
  );
}

/** Hard links by what they lead to: which of several names comes first is no difference. */
function normalized(files: Files): Files {
  const result: Record<string, string> = {};
  for (const path of Object.keys(files).sort()) {
    const line = files[path] ?? '';
    const [, target] = /^h\d+ \d+:\d+ (.*)$/s.exec(line) ?? [];
    result[path] = target === undefined ? line : (files[target] ?? line);
  }
  return result;
}

/** Only what is set; what docker writes where nothing is. */
function settings(config: RunConfig): RunConfig {
  const isEmpty = (value: unknown): boolean =>
    value === null ||
    value === '' ||
    (typeof value === 'object' && Object.keys(value as object).length === 0);
  const known = [
    ...['User', 'ExposedPorts', 'Env', 'Entrypoint', 'Cmd', 'Volumes', 'WorkingDir', 'Labels', 'StopSignal'],
    ...['Healthcheck', 'Shell', 'OnBuild'],
  ];
  const entries = Object.entries({
    ...config,
    Env: (config.Env ?? []).filter((variable) => variable !== DEFAULT_PATH),
    WorkingDir: config.WorkingDir === '/' ? '' : config.WorkingDir,
  });
  return Object.fromEntries(
    entries.filter(([name, value]) => known.includes(name) && value !== undefined && !isEmpty(value)),
  );
}
