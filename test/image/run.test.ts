/** `runnc run IMAGE` and the verbs of the store, as their users call them. */
import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type CallOptions, Playground, type Result } from '../support/bundle.ts';
import { run as runProgram } from '../support/command.ts';
import { GREETING, writeImage } from '../support/images.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { onTerminal } from '../support/terminal.ts';
import { runtime } from '../support/paths.ts';

describe('runnc run IMAGE', function () {
  this.timeout(120_000);
  const host = new Playground();
  const store = join(host.folder, 'images');
  const containers = (): string[] =>
    existsSync(host.root) ? readdirSync(host.root).filter((name) => !name.startsWith('@')) : [];

  before(async () => {
    const linux = join(host.folder, 'linux.tar');
    await writeLinuxArchive(linux, { name: 'linux:1', config: { WorkingDir: '/work' } });
    await verb('load', '--input', linux);
    const probes = join(host.folder, 'probes.tar');
    await writeImage(probes);
    await verb('load', '-q', '-i', probes);
  });
  afterEach(async () => {
    for (const id of containers()) await host.runnc(['delete', '--force', id]);
  });
  after(() => host.close());

  /** Its output; it must succeed. */
  async function verb(name: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await host.runnc([name, '--store', store, ...args]);
    expect(status, stderr).to.equal(0);
    return stdout;
  }

  const run = (args: readonly string[], options: CallOptions = {}): Promise<Result> =>
    host.runnc(['run', '--store', store, ...args], options);

  async function prints(args: readonly string[], options: CallOptions = {}): Promise<string> {
    const { status, stdout, stderr } = await run(['--rm', ...args], options);
    expect(status, stderr).to.equal(0);
    return stdout;
  }

  it('runs what the image says, or what is given', async () => {
    expect(await prints(['linux:1'])).to.equal('from the image\n');
    expect(await prints(['linux:1', 'echo', '-n', '--rm', '$HOME'])).to.equal('--rm $HOME');
    expect(await prints(['--entrypoint', 'echo', 'linux:1', 'a', 'b'])).to.equal('a b\n');
    expect(await prints(['probes'])).to.contain(GREETING);
    expect(containers()).to.deep.equal([]);
  });

  it('hands on the exit status, and says 125, 126 and 127 as docker does', async () => {
    expect((await run(['--rm', 'linux:1', 'sh', '-c', 'exit 7'])).status).to.equal(7);
    expect((await run(['--rm', '--pull', 'never', 'nothing'])).status).to.equal(125);
    expect((await run(['--rm', 'linux:1', '/etc/motd'])).status).to.equal(126);
    expect((await run(['--rm', 'linux:1', '/not/there'])).status).to.equal(127);
    expect(containers()).to.deep.equal([]);
  });

  it('gives the program the environment of the image, the user and the folder that are asked for', async () => {
    const env = await prints(
      ['-e', 'A=1', '-eB=2', '--env', 'FROM=user', '-e', 'OURS', '-e', 'NOT_SET', 'linux:1', 'env'],
      {
        env: { ...process.env, OURS: 'host' },
      },
    );
    expect(env.split('\n')).to.include.members([
      'PATH=/bin',
      'A=1',
      'B=2',
      'FROM=user',
      'OURS=host',
      'HOME=/root',
    ]);
    expect(env).not.to.contain('NOT_SET');
    expect(await prints(['linux:1', 'pwd'])).to.equal('/work\n');
    expect(await prints(['-w', '/etc', 'linux:1', 'pwd'])).to.equal('/etc\n');
    expect(await prints(['-u', 'alice', 'linux:1', 'id'])).to.contain(
      'uid=1000(alice) gid=1001(alice) groups=',
    );
    expect(await prints(['-u', '12:34', 'linux:1', 'id'])).to.contain('uid=12 gid=34');
    expect(
      await prints(['--hostname', 'here', 'linux:1', 'sh', '-c', 'hostname; cat /etc/hostname']),
    ).to.equal('here\nhere\n');
    expect(await prints(['--name', 'store-name', 'linux:1', 'cat', '/etc/hosts'])).to.contain(
      '127.0.1.1\tstore-name',
    );
  });

  it('gives standard input only to who asks for it', async () => {
    expect(await prints(['-i', 'linux:1', 'cat'], { input: 'hello' })).to.equal('hello');
    expect(await prints(['linux:1', 'cat'], { input: 'hello' })).to.equal('');
  });

  it('gives a terminal', async () => {
    const command = ['--root', host.root, 'run', '--store', store, '--rm', '-it', 'linux:1'];
    const { stdout } = await onTerminal(runtime, [...command, 'sh', '-c', 'tty; echo $TERM']);
    expect(stdout).to.contain('/dev/pts/0').and.contain('xterm');
    const typed = await onTerminal(
      runtime,
      [...command, 'sh', '-c', 'echo ready; cat; exit 9'],
      'typed\r\x04',
      'ready',
    );
    expect(typed.stdout).to.equal('ready\r\ntyped\r\ntyped\r\n');
    expect(typed.status).to.equal(9);
  });

  it('lets the root be written, for this container alone, or not', async () => {
    expect(await prints(['linux:1', 'sh', '-c', 'echo x > /etc/motd; cat /etc/motd'])).to.equal('x\n');
    expect(await prints(['linux:1'])).to.equal('from the image\n');
    const { status, stderr } = await run([
      '--rm',
      '--read-only',
      'linux:1',
      'sh',
      '-c',
      'echo x > /etc/motd',
    ]);
    expect(status).not.to.equal(0);
    expect(stderr).to.contain('Read-only file system');
  });

  it('mounts folders of the host', async () => {
    const shared = join(host.folder, 'shared');
    mkdirSync(shared);
    writeFileSync(join(shared, 'file'), 'of the host\n');
    expect(await prints(['-v', `${shared}:/data:ro`, 'linux:1', 'cat', '/data/file'])).to.equal(
      'of the host\n',
    );
    expect(
      await prints(['-v', `./shared:/data:ro`, 'linux:1', 'cat', '/data/file'], { cwd: host.folder }),
    ).to.equal('of the host\n');
    expect(
      await prints(['-v', '/scratch', 'linux:1', 'sh', '-c', 'echo x > /scratch/y && cat /scratch/y']),
    ).to.equal('x\n');
  });

  it('lets folders and named volumes of the host be written', async () => {
    const shared = join(host.folder, 'written');
    mkdirSync(shared);
    await prints(['-v', `${shared}:/data`, 'linux:1', 'sh', '-c', 'echo of the guest > /data/new']);
    expect(readFileSync(join(shared, 'new'), 'utf8')).to.equal('of the guest\n');
    await prints(['-v', 'kept:/data', 'linux:1', 'sh', '-c', 'echo kept > /data/file']);
    expect(await prints(['-v', 'kept:/data', 'linux:1', 'cat', '/data/file'])).to.equal('kept\n');
  });

  it('keeps a container that is not to be removed, and starts one in the background', async () => {
    expect((await run(['--name', 'store-kept', 'linux:1'])).stdout).to.equal('from the image\n');
    expect((await host.state('store-kept')).status).to.equal('stopped');
    const again = await run(['--name', 'store-kept', 'linux:1']);
    expect([again.status, again.stderr.trim()]).to.deep.equal([125, 'container with id exists: store-kept']);

    const { status, stdout } = await run(['-d', '--name', 'store-background', 'linux:1', 'sleep', '1000']);
    expect([status, stdout]).to.deep.equal([0, 'store-background\n']);
    expect((await host.state('store-background')).status).to.equal('running');
    expect((await host.runnc(['exec', 'store-background', 'cat', '/etc/motd'])).stdout).to.equal(
      'from the image\n',
    );
    const listed = (await host.runnc(['list', '-q'])).stdout;
    expect(listed).to.equal('store-background\nstore-kept\n');
    expect((await host.runnc(['kill', 'store-background', 'KILL'])).status).to.equal(0);
    await host.reaches('store-background', 'stopped');
    for (const id of ['store-kept', 'store-background'])
      expect((await host.runnc(['delete', id])).status).to.equal(0);
    expect(containers()).to.deep.equal([]);
  });

  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      'published ports',
      ['-p8080:80', 'linux:1'],
      /^--publish: stand-alone a container has no network.*docker run --runtime=runnc -p/,
    ],
    [
      'a network that only engines have',
      ['--network', 'bridge', 'linux:1'],
      /^--network bridge: stand-alone there is "none"/,
    ],
    ['--rm in the background', ['-d', '--rm', 'linux:1'], /^--rm with --detach: there is no daemon/],
    ['a terminal in the background', ['-dt', 'linux:1'], /^--tty with --detach/],
    ['little memory', ['-m', '1m', 'linux:1'], /^--memory: expected a size of at least 6m/],
    ['no processor', ['--cpus', '0', 'linux:1'], /^--cpus: expected a number/],
    ['a relative volume', ['-v', '/tmp:data', 'linux:1'], /^--volume: expected an absolute path, got "data"/],
    ['an unknown option of a volume', ['-v', '/tmp:/data:rx', 'linux:1'], /there is no option "rx"/],
    ['a variable without a name', ['-e', '=x', 'linux:1'], /^--env: expected NAME=value/],
    ['a name that is none', ['--name', 'a/b', 'linux:1'], /^container id: expected letters/],
    ['an image name that is none', ['Linux'], /^image name "Linux": "Linux" must be lower case/],
    [
      'an image for another platform',
      ['--platform', 'linux/arm64', 'oci-archive:/not/there'],
      /^\/not\/there does not exist/,
    ],
    ['flags of images for a bundle', ['--bundle', '/tmp', '--rm', 'id'], /^--rm: is for images/],
  ];
  for (const [what, args, message] of refused) {
    it(`refuses ${what} in one line`, async () => {
      const { status, stderr } = await run(args);
      expect(status).to.be.oneOf([1, 125]);
      expect(stderr).to.match(message);
      expect(stderr.trim()).not.to.contain('\n');
      expect(containers()).to.deep.equal([]);
    });
  }

  it('still runs bundles: named, or in the working directory, with flags in any place', async () => {
    const bundle = host.bundle('hello');
    for (const args of [
      ['--bundle', bundle, 'store-b'],
      ['store-b', '--bundle', bundle],
      ['store-b', `-b=${bundle}`],
    ]) {
      expect((await host.runnc(['run', ...args])).stdout).to.contain(GREETING);
    }
    for (const args of [['store-b'], ['store-b', '--keep=false']]) {
      expect((await host.runnc(['run', ...args], { cwd: bundle })).stdout).to.contain(GREETING);
    }
    // An image is meant where only images have what is asked for.
    expect(await prints(['linux:1'], { cwd: bundle })).to.equal('from the image\n');
    expect((await run(['linux:1', 'echo', 'x'], { cwd: bundle })).stdout).to.equal('x\n');
  });

  it('runs an image from an archive or a layout, without its name', async () => {
    const file = join(host.folder, 'saved.tar');
    await verb('save', '--output', file, '--format', 'oci-archive', 'linux:1');
    const layout = join(host.folder, 'layout');
    mkdirSync(layout);
    const { succeed } = await import('../support/command.ts');
    await succeed('tar', ['-C', layout, '-xf', file]);
    for (const source of [
      `oci-archive:${file}`,
      `oci:${layout}`,
      `oci:${layout}:1`,
      `oci:${layout}:docker.io/library/linux:1`,
    ]) {
      const elsewhere = join(host.folder, 'elsewhere');
      const { stdout, stderr } = await host.runnc(['run', '--store', elsewhere, '--rm', source]);
      expect(stdout, stderr).to.equal('from the image\n');
      expect((await host.runnc(['images', '--store', elsewhere, '-q'])).stdout).to.equal('');
      rmSync(elsewhere, { recursive: true });
    }
  });

  it('reads layers of zstd, in several frames too', async () => {
    const file = join(host.folder, 'zstd.tar');
    const frame = (data: Buffer): Buffer => execFileSync('zstd', ['--quiet', '--stdout'], { input: data });
    const compress = (layer: Buffer): Buffer =>
      Buffer.concat([frame(layer.subarray(0, 1000)), frame(layer.subarray(1000))]);
    await writeLinuxArchive(file, { name: 'zstd:1', compress });
    await verb('load', '-i', file);
    expect(await prints(['zstd:1', 'cat', '/etc/layer'])).to.equal('two\n');
    expect(await verb('inspect', 'zstd:1')).to.contain('layer.v1.tar+zstd');
    await verb('rmi', 'zstd:1');
  });

  it('works for a user other than root, in folders of its own', async () => {
    const home = join(host.folder, 'home');
    mkdirSync(home);
    chownSync(home, 1000, 1000);
    const file = join(host.folder, 'for-user.tar');
    await writeLinuxArchive(file, {
      name: 'linux:1',
      entries: [
        { name: 'closed', type: 'directory', mode: 0o500 },
        { name: 'closed/in', content: 'x', mode: 0o400 },
        { name: 'null', type: 'character-device', devmajor: 1, devminor: 3 },
      ],
    });
    const env = { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home };
    const call = (...args: readonly string[]): Promise<Result> =>
      host.runnc(['--root', join(home, 'state'), ...args], { uid: 1000, gid: 1000, env });
    expect((await call('load', '-i', file)).stdout).to.equal('Loaded image: linux:1\n');
    const { stdout, stderr } = await call(
      'run',
      '--rm',
      'linux:1',
      'sh',
      '-c',
      'id -u; cat /closed/in; ls /null',
    );
    expect(stdout, stderr).to.equal('0\nx');
    expect(stderr).to.contain('device files are left out: only root can make them');
    expect((await call('rmi', 'linux:1')).status).to.equal(0);
    expect(readdirSync(join(home, '.cache/runnc/images/unpacked/entries'))).to.deep.equal([]);
  });

  it('takes nothing of an image that would name files of the host', async () => {
    const file = join(host.folder, 'evil.tar');
    const Labels = {
      'io.runnc.block.rootfs': '/etc/shadow',
      'io.runnc.strace': 'true',
      'io.runnc.profile': 'strict',
    };
    await writeLinuxArchive(file, { name: 'evil', config: { Labels } });
    await verb('load', '-i', file);
    expect((await run(['--name', 'store-evil', 'evil'])).stderr).to.equal('');
    const { annotations } = await host.state('store-evil');
    // The unpacked folder is everybody's who runs the image.
    expect(annotations).to.deep.equal({ 'io.runnc.profile': 'strict', 'io.runnc.rootfs': 'memory' });
    await verb('rmi', 'evil');
  });

  it('unpacks an image once, and again when its folder is damaged', async () => {
    const unpacked = join(store, 'unpacked/entries');
    rmSync(unpacked, { recursive: true, force: true });
    const unpack = async (): Promise<{ key: string; inode: number }> => {
      expect(await prints(['linux:1'])).to.equal('from the image\n');
      const [key = ''] = readdirSync(unpacked);
      return { key, inode: statSync(join(unpacked, key, 'rootfs')).ino };
    };
    const first = await unpack();
    expect(await unpack()).to.deep.equal(first);
    rmSync(join(unpacked, first.key, 'entry.json'));
    const second = await unpack();
    expect(second.key).to.equal(first.key);
    expect(readdirSync(join(unpacked, second.key)).sort()).to.deep.equal(['entry.json', 'lock', 'rootfs']);
  });

  it('a second time looks at none of its files but the program and the accounts', async () => {
    await prints(['linux:1']);
    const trace = join(host.folder, 'trace');
    const words = ['-f', '-y', '-qq', '-o', trace, '-e', 'trace=open,openat,openat2'];
    const command = ['--root', host.root, 'run', '--store', store, '--rm', 'linux:1', 'id'];
    const { status, stderr } = await runProgram('strace', [...words, runtime, ...command]);
    expect(status, stderr).to.equal(0);
    const [key = ''] = readdirSync(join(store, 'unpacked/entries'));
    const rootfs = join(store, 'unpacked/entries', key, 'rootfs');
    const opened = readFileSync(trace, 'latin1')
      .split('\n')
      .flatMap((line) => / = \d+<(\/.*)>$/.exec(line)?.[1] ?? [])
      .filter((path) => path.startsWith(`${rootfs}/`))
      .map((path) => path.slice(rootfs.length));
    expect(opened).to.include('/bin/busybox');
    expect(
      opened.filter((path) => !['/bin/busybox', '/etc/passwd', '/etc/group'].includes(path)),
    ).to.deep.equal([]);
  });

  it('shows, names and removes images', async () => {
    await verb('tag', 'linux:1', 'localhost:5000/team/app:2');
    const table = await verb('images');
    expect(table).to.match(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n/);
    expect(table).to.match(/^linux +1 +[0-9a-f]{12} +\d+ \w+ ago +[\d.]+MB$/m);
    expect(await verb('images', 'localhost:5000/team/app'))
      .to.contain('localhost:5000/team/app')
      .and.not.contain('probes');
    const [image] = JSON.parse(await verb('images', '-f', 'json', 'linux:1')) as {
      id: string;
      digest: string;
    }[];
    const [inspected] = JSON.parse(await verb('inspect', 'linux:1')) as Record<string, unknown>[];
    expect(inspected).to.deep.include({ Id: `sha256:${image?.id ?? ''}`, Architecture: 'amd64' });
    expect(inspected?.['RepoTags']).to.have.members(['linux:1', 'localhost:5000/team/app:2']);

    const id = image?.id.slice(0, 12) ?? '';
    const busy = await host.runnc(['rmi', '--store', store, id]);
    expect(busy.stderr).to.match(/has several names \(linux:1, localhost:5000\/team\/app:2\)/);
    expect(await verb('rmi', 'localhost:5000/team/app:2')).to.equal('Untagged: localhost:5000/team/app:2\n');
    expect(await prints(['linux:1'])).to.equal('from the image\n');
    await verb('tag', 'linux:1', 'last');
    expect(await verb('rmi', '--force', id)).to.contain(`Deleted: ${image?.digest ?? ''}`);
    expect(await verb('images', 'linux')).not.to.contain('linux');
    // Nothing of it is left, and the other image is whole.
    expect(await prints(['probes'])).to.contain(GREETING);
    expect(readdirSync(join(store, 'unpacked/entries'))).to.have.length(1);
    const none = await host.runnc(['rmi', '--store', store, 'linux:1']);
    expect([none.status, none.stderr]).to.deep.equal([
      1,
      'image "linux:1" does not exist in the store: see "runnc images"\n',
    ]);
  });

  it('offers the names of images to the shell', async () => {
    const { stdout } = await host.runnc(['__complete', '--', 'rmi', '--st']);
    expect(stdout).to.equal('--store\n');
  });
});
