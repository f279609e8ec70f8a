/** RUN in our sandbox, beside runc's under dockerd's classic builder: the same files in the end. */
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Builders } from '../support/builders.ts';
import { type CommandResult, succeed } from '../support/command.ts';
import { type Files } from '../support/image-files.ts';
import { runtime } from '../support/paths.ts';

const APPLETS = [
  ...[
    'sh',
    'cat',
    'chmod',
    'chown',
    'cp',
    'dd',
    'echo',
    'env',
    'false',
    'find',
    'grep',
    'head',
    'id',
    'ln',
    'ls',
  ],
  ...[
    'mkdir',
    'mkfifo',
    'mv',
    'pwd',
    'rm',
    'sed',
    'sort',
    'tar',
    'test',
    'touch',
    'tr',
    'true',
    'seq',
    'sleep',
  ],
];

describe('RUN', function () {
  this.timeout(180_000);
  let builders: Builders;

  before(async () => {
    builders = await Builders.start();
    writeFileSync(join(builders.context, 'file'), 'of the context\n');
    await makeBase();
  });
  after(() => builders.stop());

  async function makeBase(): Promise<void> {
    const root = join(builders.folder, 'base');
    for (const name of ['bin', 'etc', 'tmp', 'old/deep', 'usr/lib'])
      mkdirSync(join(root, name), { recursive: true });
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
    for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
    writeFileSync(
      join(root, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n',
    );
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nalice:x:1001:\nstaff:x:50:alice\n');
    for (const name of ['a', 'b', 'c', 'deep/d']) writeFileSync(join(root, 'old', name), `${name}\n`);
    linkSync(join(root, 'old/a'), join(root, 'old/a-too'));
    symlinkSync('old/a', join(root, 'link'));
    await builders.importImage('base', root);
  }

  const dockerfile = (lines: readonly string[]): string => {
    const path = join(builders.folder, 'Dockerfile');
    writeFileSync(path, `${lines.join('\n')}\n`);
    return path;
  };

  const build = (lines: readonly string[], ...args: readonly string[]): Promise<CommandResult> =>
    builders.tryRunnc(dockerfile(lines), args);

  const files = async (lines: readonly string[], ...args: readonly string[]): Promise<Files> =>
    withoutTimes((await builders.runnc(dockerfile(lines), args)).files);

  const filesOfDocker = async (lines: readonly string[], ...args: readonly string[]): Promise<Files> =>
    withoutTimes((await builders.docker('classic', dockerfile(lines), args)).files);

  const shapes: readonly (readonly [string, readonly string[], ...(readonly string[])])[] = [
    [
      'makes files, folders and links',
      ['RUN mkdir -p /x/y && echo hello > /x/y/z && ln -s z /x/y/l && ln /x/y/z /x/h'],
    ],
    [
      'changes, replaces and removes',
      [
        'RUN echo more >> /old/b && rm -r /old/deep && rm /link && mkdir /link && echo in > /link/in && mv /old/c /old/moved',
      ],
    ],
    [
      'removes and makes again',
      ['RUN rm -r /old && mkdir /old && echo new > /old/a && rm -r /old/a && touch /old/e'],
    ],
    [
      'changes modes and owners',
      ['RUN chmod 700 /old && chmod 4711 /old/b && chown 5:6 /old/deep && chown alice:staff /old/c'],
    ],
    [
      'keeps hard links together',
      ['RUN ln /old/a /old/third && echo x > /old/own && ln /old/own /old/own2 && rm /old/a-too'],
    ],
    [
      'makes special files',
      ['RUN mkfifo -m 640 /old/pipe && ln -s /nowhere /old/dangling && chmod 1777 /tmp'],
    ],
    [
      'has the variables, the user and the folder of the stage',
      [
        ...[
          'ARG ARGUMENT=from-arg',
          'ENV VARIABLE="from env"',
          'RUN chmod 1777 /tmp',
          'USER alice',
          'WORKDIR /tmp',
        ],
        ...['RUN (echo $ARGUMENT; echo $VARIABLE; echo $HOME; pwd; id) > /tmp/out'],
      ],
    ],
    [
      'runs the exec form, another shell and several after each other',
      [
        ...[
          'RUN ["touch", "/a b"]',
          'SHELL ["/bin/sh", "-ec"]',
          'RUN echo one > /one; test -f /one',
          'COPY file /copied',
        ],
        ...['RUN cat /one /copied > /both; rm /one', 'WORKDIR /made', 'RUN pwd > here'],
      ],
    ],
    [
      'does what scripts of packages do',
      [
        'RUN set -e; for i in $(seq 100); do mkdir -p /usr/lib/p$i; echo $i > /usr/lib/p$i/data; done; \\',
        '    mkdir -p /var/lib/pkg; find /usr/lib -type f | sort > /var/lib/pkg/list; \\',
        '    cp -a /usr/lib/p1 /usr/lib/p1.dpkg-new; mv /usr/lib/p1.dpkg-new /usr/lib/p101; rm -rf /usr/lib/p5*; \\',
        "    sed -i 's/alice/bob/' /etc/passwd; tar -C /usr/lib -cf /tmp/t.tar p1 p2; tar -C /tmp -xf /tmp/t.tar; rm /tmp/t.tar",
      ],
    ],
    [
      'takes stages along',
      ['RUN echo built > /result', 'FROM base', 'COPY --from=0 /result /from', 'RUN cat /from > /again'],
    ],
  ];
  for (const [what, lines, ...args] of shapes) {
    it(what, async () => {
      const all = ['FROM base', ...lines];
      const theirs = await filesOfDocker(all, ...args);
      expect(await files(all, ...args)).to.deep.equal(theirs);
    });
  }

  it('takes heredocs, as a script, for the shell and for another program', async () => {
    const built = await files([
      ...[
        'FROM base',
        'RUN <<EOF',
        'x=one',
        'echo $x > /one',
        'EOF',
        'RUN cat <<A > /two && echo >> /two',
        '$HOME',
        'A',
      ],
      ...['RUN <<E', '#!/bin/sh -e', 'echo "$0" > /three', 'E'],
    ]);
    expect(built).to.include({ one: '-644 0:0 one', two: '-644 0:0 /root', three: '-644 0:0 /dev/script' });
  });

  it('leaves nothing of the sandbox behind', async () => {
    const built = await files(['FROM base', 'RUN true', 'RUN ls -a / > /out']);
    expect(Object.keys(built)).not.to.include.members(['proc']);
    for (const name of ['proc', 'sys', 'dev', 'etc/hosts', 'etc/resolv.conf'])
      expect(built).not.to.have.property(name);
    expect(execFileSync('ls', [join(builders.images, 'build/work')]).toString()).to.equal('');
  });

  it('is remembered, and carried out anew when something before it has changed', async () => {
    const lines = ['FROM base', 'COPY file /f', 'RUN cat /f > /g', 'RUN cat /g > /h'];
    await files(lines);
    expect((await build(lines)).stderr.match(/CACHED/g)).to.have.length(3);
    writeFileSync(join(builders.context, 'file'), 'another\n');
    expect(await files(lines)).to.include({ h: '-644 0:0 another' });
    writeFileSync(join(builders.context, 'file'), 'of the context\n');
  });

  it('gives equal images for equal builds with SOURCE_DATE_EPOCH', async () => {
    const lines = ['FROM base', 'RUN echo x > /x && mkdir /y'];
    const digest = async (): Promise<string> =>
      succeed(
        runtime,
        [
          'build',
          `--store=${builders.images}`,
          '-q',
          '--no-cache',
          '--file',
          dockerfile(lines),
          builders.context,
        ],
        {
          env: { ...process.env, SOURCE_DATE_EPOCH: '1000000000' },
        },
      );
    expect(await digest()).to.equal(await digest());
  });

  it('mounts caches, stages and memory', async () => {
    const lines = (n: number): string[] => [
      ...['FROM base AS tools', 'RUN echo tool > /tool', 'FROM base'],
      `RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t --mount=from=tools,target=/tools \\`,
      `  echo ${String(n)} >> /cache/list && touch /t/gone && cat /cache/list /tools/tool > /out`,
    ];
    expect(await files(lines(1))).to.include({ out: '-644 0:0 1\ntool' });
    const built = await files(lines(2));
    expect(built).to.include({ out: '-644 0:0 1\n2\ntool' });
    expect(built).not.to.have.any.keys('cache/list', 't/gone', 'tools/tool');
  });

  it('that fails says what it printed, its status and its place; nothing is left', async () => {
    const { status, stderr } = await build(['FROM base', 'RUN echo going wrong; exit 3']);
    expect(stderr).to.match(/^#\d+ \d+\.\d going wrong$/m);
    expect(stderr).to.match(
      /Dockerfile:2: RUN echo going wrong; exit 3: the program ended with status 3: "going wrong"/,
    );
    expect(status).to.equal(1);
    expect((await build(['FROM scratch', 'RUN true'])).stderr).to.contain('exec: "/bin/sh"');
    expect((await build(['FROM base', 'RUN --network=host true'])).stderr).to.contain(
      'a build has no network',
    );
    expect((await build(['FROM base', 'RUN --mount=type=ssh,target=/x true'])).stderr).to.contain(
      'there are bind, cache',
    );
    expect((await build(['FROM base', 'RUN true'], '--platform=linux/arm64')).status).to.equal(1);
    expect(execFileSync('ls', [join(builders.images, 'build/work')]).toString()).to.equal('');
  });
});

/** Those are of the running. */
function withoutTimes(files: Files): Files {
  return Object.fromEntries(
    Object.entries(files).map(([path, line]) => [
      path,
      line.replace(/^(-\d+ \d+:\d+) \d+ ?/, '$1 ').trimEnd(),
    ]),
  );
}
