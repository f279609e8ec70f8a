/** Builds that are killed at any moment leave the store whole; one with a large context stays small. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { build } from '../../src/image/build/build.ts';
import { ImageStore } from '../../src/image/store.ts';
import { run, succeed } from '../support/command.ts';
import { runtime, unikernel } from '../support/paths.ts';

const MIB = 2 ** 20;

describe('runnc build', function () {
  this.timeout(120_000);
  let folder: string;
  let context: string;
  let images: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-build-kill-'));
    context = join(folder, 'context');
    images = join(folder, 'images');
    mkdirSync(context);
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const command = (...args: readonly string[]): string[] => [
    ...['build', '--store', images, '--progress', 'plain', '--tag', 'app', ...args, context],
  ];

  function fill(): void {
    for (let i = 0; i < 40; i++)
      writeFileSync(join(context, `file${String(i)}`), `${String(i)}\n`.repeat(10_000));
    const copies = Array.from({ length: 4 }, (_, i) => `COPY file${String(i)}* /${String(i)}/`);
    writeFileSync(join(context, 'Dockerfile'), ['FROM scratch', ...copies, ''].join('\n'));
  }

  /** What names lead to is whole, the next build works and finds what was made, and a prune leaves nothing else. */
  async function expectWhole(): Promise<void> {
    const store = await ImageStore.open(images);
    for (const { descriptor } of store.list()) expect(store.missingPart(descriptor)).to.equal(undefined);
    const { status, stderr } = await run(runtime, command('--unikernel', unikernel('iso')));
    expect(stderr).to.contain('naming to docker.io/library/app:latest');
    expect(status).to.equal(0);
    await store.prune();
    expect(readdirSync(join(images, 'tmp'))).to.deep.equal([]);
    expect(readdirSync(join(images, 'leases'))).to.deep.equal([]);
    expect(readdirSync(join(images, 'build/work'))).to.deep.equal([]);
    store.release();
  }

  it('killed after any line that it prints leaves the store whole', async () => {
    fill();
    for (let line = 1; ; line++) {
      rmSync(join(images, 'build/steps'), { recursive: true, force: true });
      const child = spawn(runtime, command('--unikernel', unikernel('iso')), {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const exited = once(child, 'exit');
      let text = '';
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.split('\n').length > line) child.kill('SIGKILL');
      });
      const [, signal] = (await exited) as [number | null, NodeJS.Signals | null];
      await expectWhole();
      if (signal === null) break;
    }
  });

  for (const step of ['blob-written', 'blob-placed', 'index-written', 'index-replaced']) {
    it(`killed at "${step}" leaves the store whole`, async () => {
      fill();
      const killed = await run(runtime, command(), {
        env: { ...process.env, RUNNC_FAULT: `runtime:${step}` },
      });
      expect(killed.status).to.equal(137);
      await expectWhole();
    });
  }

  it('takes no more than 150 MiB of memory for a context of 300', async () => {
    for (let i = 0; i < 5; i++) {
      writeFileSync(join(context, `part${String(i)}`), Buffer.alloc(MIB, i + 1));
      truncateSync(join(context, `part${String(i)}`), 60 * MIB);
    }
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
    const measure = `
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
    const peakKib = await succeed('python3', ['-c', measure, runtime, ...command()], { timeoutMs: 100_000 });
    expect(Number(peakKib)).to.be.lessThan(150 * 1024);
  });

  it('twice at once makes one image', async () => {
    fill();
    const digests = await Promise.all(
      [1, 2, 3].map(() => succeed(runtime, ['build', '--store', images, '-q', '--tag', 'app', context])),
    );
    expect(new Set(digests).size).to.equal(1);
  });

  it('as an ordinary user makes the image that root makes', async () => {
    fill();
    const store = await ImageStore.open(images);
    const { descriptor } = await build({
      store,
      context,
      dockerfile: { name: 'Dockerfile', text: 'FROM scratch\nCOPY --chown=5:6 file1 /\n' },
      openImage: () => Promise.reject(new Error('no image is needed')),
    });
    const layer = store.readManifest(descriptor).layers[0]?.digest;
    store.release();
    expect(layer).to.match(/^sha256:/);
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY --chown=5:6 file1 /\n');
    await succeed('chmod', ['755', folder]);
    const home = join(folder, 'home');
    mkdirSync(home);
    await succeed('chown', ['65534:65534', home]);
    const options = { uid: 65534, gid: 65534, env: { PATH: process.env['PATH'], HOME: home } };
    const out = `type=dir,dest=${home}/out`;
    await succeed(runtime, ['build', '--store', `${home}/images`, '-q', '-o', out, context], options);
    expect(readdirSync(join(home, 'out'))).to.deep.equal(['file1']);
  });
});
