/** Dockerfiles of many shapes, for the comparison of our builds with those of a dockerd's two builders. */
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import type { RunConfig } from '../../src/image/descriptor.ts';
import { type Builder, Builders } from './builders.ts';
import type { Files } from './image-files.ts';

export interface Shape {
  readonly name: string;
  readonly lines: readonly string[];
  /** Flags that both know. */
  readonly args?: readonly string[];
  /** Those that can build it; default: both. */
  readonly builders?: readonly Builder[];
  /** In what the builders are known to differ: with both at every change. */
  readonly differs?: true;
}

/** What BuildKit gives an image from scratch. */
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const shapes: readonly Shape[] = [
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
    differs: true,
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
    differs: true,
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
    differs: true,
    lines: ['FROM scratch', 'COPY odd /odd', 'COPY odd/link /followed', 'COPY odd/to-folder /folder'],
  },
  {
    name: 'folders over folders, files over files',
    differs: true,
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
    differs: true,
    lines: ['FROM scratch', 'COPY . /all/'],
  },
  {
    name: 'ONBUILD',
    differs: true,
    lines: ['FROM trigger', 'COPY src/b.txt ./b'],
  },
  {
    name: 'COPY --from an image',
    lines: ['FROM scratch', 'COPY --from=base /bin /etc/passwd /from/', 'COPY --from=base / /whole'],
  },
  {
    name: 'settings',
    differs: true,
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

/** With the images and the context that the shapes are about. */
export async function startBuilders(): Promise<Builders> {
  const builders = await Builders.start();
  try {
    fillContext(builders);
    await makeBase(builders);
  } catch (error) {
    await builders.stop();
    throw error;
  }
  return builders;
}

/** The same files and settings by us and by that builder. */
export async function expectSame(
  builders: Builders,
  { lines, args }: Shape,
  builder: Builder,
): Promise<void> {
  const dockerfile = join(builders.context, 'Dockerfile');
  writeFileSync(dockerfile, `${lines.join('\n')}\n`);
  utimesSync(dockerfile, 1e9, 1e9);
  const theirs = await builders.docker(builder, dockerfile, args);
  const ours = await builders.runnc(dockerfile, args);
  expect(settings(ours.config)).to.deep.equal(settings(theirs.config));
  expect(asBuiltBy(builder, ours.files)).to.deep.equal(theirs.files);
}

function fillContext({ context, folder }: Builders): void {
  const file = (path: string, content = `${path}\n`, mode = 0o644): void => {
    mkdirSync(dirname(join(context, path)), { recursive: true });
    writeFileSync(join(context, path), content);
    chmodSync(join(context, path), mode);
  };
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
async function makeBase(builders: Builders): Promise<void> {
  const root = join(builders.folder, 'base');
  for (const name of ['bin', 'etc', 'usr/lib', 'sub/dir']) mkdirSync(join(root, name), { recursive: true });
  execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
  for (const applet of ['sh', 'echo', 'rm', 'ln'])
    linkSync(join(root, 'bin/busybox'), join(root, 'bin', applet));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nalice:x:1001:\nstaff:x:50:alice\n');
  symlinkSync('usr/lib', join(root, 'link-to-dir'));
  symlinkSync('etc/passwd', join(root, 'to-file'));
  symlinkSync('etc/made', join(root, 'to-nothing'));
  mkdirSync(join(root, 'links'));
  for (const name of ['a.txt', 'b.txt']) symlinkSync('../etc/group', join(root, 'links', name));
  symlinkSync('../etc/none', join(root, 'links/c.md'));
  symlinkSync('../usr', join(root, 'links/sub'));
  await builders.importImage('base', root);
  await builders.importImage('trigger', root, [
    ...['WORKDIR /app', 'CMD ["base"]', 'ONBUILD COPY src/a.txt ./', 'ONBUILD LABEL triggered=yes'],
  ]);
}

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
