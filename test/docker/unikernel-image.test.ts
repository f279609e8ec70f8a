/** Images of unikernels, built by us, loaded into a dockerd and run there: what the image says of itself reaches the runtime. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ImageIndex, ImageManifest } from '../../src/image/descriptor.ts';
import { run, succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { GREETING } from '../support/images.ts';
import { readDockerArchive } from '../support/image-files.ts';
import { runtime, unikernel } from '../support/paths.ts';

describe('an image of a unikernel', function () {
  this.timeout(120_000);
  let docker: Dockerd;
  let folder: string;
  let context: string;

  before(async () => {
    docker = await Dockerd.start();
    folder = mkdtempSync(join(tmpdir(), 'runnc-unikernel-'));
  });

  beforeEach(() => {
    context = mkdtempSync(join(folder, 'context-'));
  });

  afterEach(() => docker.removeAll());

  after(async () => {
    await docker.stop();
    rmSync(folder, { recursive: true });
  });

  const archive = (): string => join(folder, 'image.tar');

  /** Builds, and loads what was built. */
  async function build(name: string, ...args: readonly string[]): Promise<void> {
    const output = `--output=type=docker,dest=${archive()}`;
    await succeed(runtime, ['build', `--store=${folder}/images`, '-q', output, '-t', name, ...args, context]);
    await docker.docker('load', '--quiet', '--input', archive());
  }

  const start = (name: string, ...args: readonly string[]): ReturnType<Dockerd['try']> =>
    docker.try(['run', '--rm', '--network=none', name, ...args]);

  it('needs no Dockerfile, and runs', async () => {
    await build('hello', '--unikernel', unikernel('hello'));
    const { status, stdout } = await start('hello');
    expect({ status, greets: stdout.includes(GREETING) }).to.deep.equal({ status: 0, greets: true });
    const { files, config } = await readDockerArchive(archive());
    expect(Object.keys(files).sort()).to.deep.equal(['hello.spt', 'urunc.json']);
    expect(config.config?.Entrypoint).to.deep.equal(['/hello.spt']);
    expect(await docker.inspect('hello', '.Config.Entrypoint')).to.equal('[/hello.spt]');
  });

  it('gets the arguments of CMD, or those that are given', async () => {
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCMD ["of", "the image"]\n');
    await build('args', '--unikernel', unikernel('args'));
    expect((await start('args')).stdout).to.contain('of the image');
    expect((await start('args', 'given')).stdout).to.contain('given');
  });

  it('carries its files as a block image if it reads one', async () => {
    mkdirSync(join(context, 'sub'));
    writeFileSync(join(context, 'sub/greeting'), 'from the image\n');
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM scratch\nCOPY --chown=7:8 sub /sub\nCMD ["cat", "/sub/greeting"]\n',
    );
    await build('files', '--unikernel', unikernel('iso'));
    expect(await start('files')).to.deep.equal({ status: 0, stdout: 'from the image\n', stderr: '' });
    const listed = (await start('files', 'list')).stdout;
    expect(listed).to.match(/^\/sub\/greeting \S+ 7:8 /m);
    // Neither itself nor the unikernel is in it.
    expect(listed).not.to.match(/runnc|iso\.spt/);
    expect(await docker.inspect('files', '.Config.Labels')).to.equal('map[io.runnc.block-image:iso]');

    // An image from it has other files: what is carried is made anew, or is gone.
    writeFileSync(join(context, 'more'), 'and more\n');
    writeFileSync(join(context, 'Dockerfile'), 'FROM files\nCOPY more /sub/greeting\n');
    for (const [args, isCarried] of [
      [[], true],
      [['--rootfs=none'], false],
    ] as const) {
      await build('derived', ...args);
      expect(Object.keys((await readDockerArchive(archive())).files).includes('.runnc/rootfs.iso')).to.equal(
        isCarried,
      );
      expect(await start('derived')).to.deep.equal({ status: 0, stdout: 'and more\n', stderr: '' });
    }
  });

  it('says what runnc and urunc want to know', async () => {
    await build('says', '--unikernel', unikernel('hello'), '--annotation', 'io.runnc.guest=solo5');
    const { files } = await readDockerArchive(archive());
    const json = (path: string): Record<string, string> =>
      JSON.parse((files[path] ?? '').replace(/^\S+ \S+ \d+ /, '')) as Record<string, string>;
    expect(json('.runnc/annotations.json')).to.deep.equal({ 'io.runnc.guest': 'solo5' });
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\n');
    const layout = join(folder, 'layout');
    await succeed(runtime, [
      ...['build', `--store=${folder}/images`, '-q', '-o', `type=oci,dest=${layout}`],
      ...['--unikernel', unikernel('net'), '--annotation', 'org.example=x', context],
    ]);
    const read = (path: string): unknown => JSON.parse(readFileSync(join(layout, path), 'utf8'));
    const [entry] = (read('index.json') as ImageIndex).manifests;
    const { annotations = {} } = read(`blobs/${entry?.digest.replace(':', '/') ?? ''}`) as ImageManifest;
    expect(annotations).to.include({
      'io.runnc.unikernel.abi': 'spt/2',
      'com.urunc.unikernel.hypervisor': 'spt',
      'com.urunc.unikernel.binary': '/net.spt',
      'org.example': 'x',
    });
    expect(JSON.parse(annotations['io.runnc.unikernel.manifest'] ?? '')).to.deep.include({
      type: 'solo5.manifest',
      devices: [{ name: 'net', type: 'NET_BASIC' }],
    });
  });

  it('tells the runtime by its annotations what it is', async () => {
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCMD ["one", "two"]\n');
    await build('rumprun', '--unikernel', unikernel('args'), '--annotation', 'io.runnc.guest=rumprun');
    expect((await start('rumprun')).stdout).to.contain('"cmdline":"/args.spt one two"');
  });

  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['--unikernel', '/nowhere.spt'], '--unikernel /nowhere.spt: cannot be opened'],
    [['--unikernel', '/bin/busybox'], 'not a Solo5 unikernel'],
    [['--annotation', 'io.runnc.block.x=/etc/shadow'], 'an image may not ask for that'],
  ];
  for (const [args, message] of wrong) {
    it(`${args.join(' ')} is refused`, async () => {
      writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\n');
      const { status, stderr } = await run(runtime, [
        'build',
        `--store=${folder}/images`,
        '-q',
        ...args,
        context,
      ]);
      expect(stderr).to.contain(message);
      expect(status).to.equal(1);
    });
  }
});
