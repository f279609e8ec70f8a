/** What a container writes to its root is there at its next start, and Docker sees it. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { until } from '../support/bundle.ts';
import { succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { runtime } from '../support/paths.ts';
import { live, look, makePlaces } from './lives.ts';

const IMAGE = 'writable:latest';
const APPLETS =
  'cat chmod chown cp dd find head ln ls md5sum mkdir mkfifo mv rm rmdir sh sleep sort stat sync tail touch tr wc'.split(
    ' ',
  );

/** All there is to say about what CHANGES has touched, but for the sizes of folders. */
const LOOK = [
  'find /made /image -print0 | sort -z | xargs -0 stat -c "%n %F %a %u %g %h %Y %N"',
  'find /made /image -type f -print0 | sort -z | xargs -0 md5sum',
].join('; ');

/** Images that were made of containers in a folder. */
const imagesOf = (folder: string): readonly unknown[] => {
  const listed = execFileSync(runtime, ['cache', 'ls', '--format', 'json'], { encoding: 'utf8' });
  return (JSON.parse(listed) as { source: string }[]).filter(({ source }) => source.startsWith(folder));
};

describe('docker, with a root that is written', function () {
  this.timeout(120_000);
  let docker: Dockerd;

  before(async () => {
    docker = await Dockerd.start();
    const rootfs = new Rootfs();
    try {
      for (const name of [...APPLETS, 'xargs']) symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
      for (const name of ['kept', 'changed', 'removed', 'moved', 'cut']) {
        rootfs.write(`/image/${name}`, `${name} of the image\n`.repeat(1000));
      }
      rootfs.write('/image/folder/inside', 'inside\n');
      const tar = join(docker.folder, 'writable.tar');
      await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
      await docker.docker('import', '--change=ENV PATH=/usr/bin', tar, IMAGE);
      rmSync(tar);
    } finally {
      rootfs.remove();
    }
  });

  afterEach(() => docker.removeAll());

  after(async () => {
    const leftovers = docker.leftovers();
    await docker.stop();
    expect(leftovers).to.deep.equal([]);
  });

  const create = (script: string, options: readonly string[] = []): Promise<string> =>
    docker.docker('create', '--network=none', ...options, IMAGE, 'sh', '-c', script);
  /** Runs it to its end: what this start printed. */
  const start = async (id: string): Promise<string> => {
    const { status, stdout, stderr } = await docker.try(['start', '--attach', id]);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    return stdout;
  };
  const run = (options: readonly string[], script: string, image = IMAGE): Promise<string> =>
    docker.docker('run', '--rm', '--network=none', ...options, image, 'sh', '-c', script);

  const CHANGES = [
    'set -e; mkdir -p /made/a/b; echo one > /made/a/file; echo two >> /made/a/file',
    'ln /made/a/file /made/hard; ln -s a/file /made/soft; mkfifo /made/fifo',
    'chmod 4711 /made/a/file; chown 12:34 /made/a; chmod 1777 /made/a; touch -d @1000000000 /made/hard',
    'dd if=/dev/zero of=/made/sparse bs=1 count=1 seek=3000000 2>/dev/null',
    'dd if=/dev/urandom of=/made/large bs=64k count=40 2>/dev/null',
    'echo more >> /image/changed; rm /image/removed; mv /image/moved /made/from-image; head -c 100 /image/cut > /image/new',
    'mv /image/new /image/cut; mv /image/folder /made/a/b/folder; echo x > /made/a/b/folder/x',
    'mkdir /made/gone; echo gone > /made/gone/gone; rm -r /made/gone',
    'echo 1 > /made/swap; mv /made/swap /made/swapped; mkdir "/made/a name with spaces"',
  ].join('; ');

  it('keeps all that was done to it, for the next start, for diff and for commit', async () => {
    const id = await create(`if [ ! -d /made ]; then ${CHANGES}; fi; ${LOOK}`);
    const first = await start(id);
    expect(first.split('\n')).to.have.length.greaterThan(18);
    expect(await start(id)).to.equal(first);
    const diff = (await docker.docker('diff', id)).split('\n');
    expect(diff).to.include.members([
      'A /made/a/file',
      'A /made/fifo',
      'C /image/changed',
      'D /image/removed',
    ]);
    expect(diff.join('\n')).to.not.contain('gone');
    await docker.docker('commit', id, 'committed:latest');
    expect(await run([], `${LOOK}`, 'committed:latest')).to.equal(first.trimEnd());
  });

  it('is after a random life what it is under runc: for diff, export, commit and the next start', async () => {
    await makePlaces(docker);
    const seeds = [1001];
    const theirs = await live(docker, 'runc', seeds, 200);
    const ours = await live(docker, 'runnc', seeds, 200);
    for (const part of ['said', 'exported', 'diff', 'layer'] as const)
      expect(ours.life[part], part).to.deep.equal(theirs.life[part]);
    for (const { id } of [theirs, ours]) await docker.docker('commit', id, `lived:${id}`);
    const committed = await run(['--runtime=runc'], look(seeds.length), `lived:${theirs.id}`);
    for (const runtime of ['runc', 'runnc'])
      expect(await run([`--runtime=${runtime}`], look(seeds.length), `lived:${ours.id}`)).to.equal(committed);
  });

  it('can be copied out of while it runs, a moment after it was written, and when it has stopped', async () => {
    const id = await create('echo now > /out; sync; echo written; sleep 1000');
    await docker.docker('start', id);
    const copied = join(docker.folder, 'copied');
    await untilLogged(id, 'written');
    await docker.docker('cp', `${id}:/out`, copied);
    expect(readFileSync(copied, 'utf8')).to.equal('now\n');
    await docker.docker('stop', '--time=0', id);
    await docker.docker('cp', `${id}:/out`, copied);
    expect(readFileSync(copied, 'utf8')).to.equal('now\n');
  });

  it('has what was copied into it at its next start, also what was while it ran', async () => {
    const volume = '--volume=copied:/volume';
    const id = await create('cat /in /later 2>/dev/null || echo nothing; sleep 1000', [volume]);
    const said = async (text: string): Promise<void> => {
      await docker.docker('start', id);
      await untilLogged(id, text);
      await docker.docker('stop', '--time=0', id);
    };
    await said('nothing');
    const file = join(docker.folder, 'in');
    writeFileSync(file, 'from outside\n');
    await docker.docker('cp', file, `${id}:/in`);
    await docker.docker('start', id);
    await untilLogged(id, 'from outside');
    writeFileSync(file, 'while it ran\n');
    await docker.docker('cp', file, `${id}:/later`);
    await docker.docker('cp', file, `${id}:/volume/later`);
    expect((await docker.try(['exec', id, 'cat', '/later'])).status).to.equal(1);
    expect(await docker.docker('exec', id, 'cat', '/volume/later')).to.equal('while it ran');
    await docker.docker('stop', '--time=0', id);
    await said('from outside\nwhile it ran');
  });

  it('keeps what was synced when it is killed', async () => {
    const script =
      'if [ -e /log ]; then cat /log; exit; fi; i=0; while :; do i=$((i+1)); echo $i >> /log; sync; echo $i; done';
    const id = await create(script);
    await docker.docker('start', id);
    await untilLogged(id, '\n20\n');
    await docker.docker('kill', '--signal=KILL', id);
    await docker.docker('wait', id);
    const said = (await docker.docker('logs', id)).trim().split('\n').map(Number);
    const kept = (await start(id)).trim().split('\n').map(Number);
    // What was said was synced before; what was said last may not have been.
    expect(kept.slice(0, said.length)).to.deep.equal(said);
    expect(kept.length - said.length).to.be.within(0, 1);
  });

  it('keeps a file three times as large as its memory, and reads it again, without an image being made of it', async () => {
    const [bytes, images] = [300 * 2 ** 20, imagesOf(docker.folder).length];
    const script = [
      `if [ ! -e /huge ]; then head -c ${bytes} /dev/zero | tr "\\0" x > /huge; fi`,
      'echo end >> /huge; wc -c < /huge; tail -c 6 /huge; md5sum < /huge',
    ].join('; ');
    const expected = (starts: number): string => {
      const content = `(head -c ${bytes} /dev/zero | tr '\\0' x; yes end | head -n ${starts}) >`;
      const words = `cd "$1" && ${content} huge && wc -c < huge && tail -c 6 huge && md5sum < huge && rm huge`;
      return execFileSync('sh', ['-c', words, 'sh', docker.folder], { encoding: 'utf8' });
    };
    const id = await create(script, ['--memory=96m']);
    expect(await start(id)).to.equal(expected(1));
    expect(await start(id)).to.equal(expected(2));
    // The one of its layers, if no other container has had it made.
    expect(imagesOf(docker.folder).length - images).to.be.at.most(1);
  });

  it('keeps nothing, and has no server, where it is in memory alone or not to be written', async () => {
    const id = await create('if [ -e /x ]; then echo still; else echo x > /x; cat /x; fi', [
      '--annotation=io.runnc.rootfs=memory',
    ]).catch(() => undefined);
    // Docker 20.10 knows no annotations.
    if (id !== undefined) {
      expect(await start(id)).to.equal('x\n');
      expect(await start(id)).to.equal('x\n');
    }
    const readonly = await create('echo x 2>/dev/null > /x || echo refused', ['--read-only']);
    expect(await start(readonly)).to.equal('refused\n');
  });

  async function untilLogged(id: string, text: string): Promise<void> {
    await until(async () => `\n${await docker.docker('logs', id)}\n`.includes(text), `${id} prints ${text}`);
  }
});
