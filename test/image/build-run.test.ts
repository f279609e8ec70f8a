/** RUN where the host is against it: other users than root, a full disk, kills and interrupts. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type CommandOptions, type CommandResult, run, succeed } from '../support/command.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';
import { runtime } from '../support/paths.ts';

const USER = 1000;

describe('RUN', function () {
  this.timeout(120_000);
  let folder: string;
  let archive: string;
  let images: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-build-run-'));
    execFileSync('chmod', ['755', folder]);
    archive = join(folder, 'linux.tar');
    await writeLinuxArchive(archive, { name: 'linux:1' });
  });
  beforeEach(() => {
    images = mkdtempSync(join(folder, 'images-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A context with this Dockerfile; root is its own state folder. */
  function command(lines: readonly string[], ...args: readonly string[]): string[] {
    const context = mkdtempSync(join(folder, 'context-'));
    execFileSync('chmod', ['755', context]);
    writeFileSync(
      join(context, 'Dockerfile'),
      `${['FROM docker-archive:' + archive, ...lines].join('\n')}\n`,
    );
    return ['build', '--store', images, '--progress', 'plain', ...args, context];
  }

  const build = (lines: readonly string[], options: CommandOptions = {}): Promise<CommandResult> =>
    run(runtime, command(lines, '--tag', 'app'), options);

  /** Nothing is left of a build, and what names lead to is whole. */
  async function expectWhole(options: CommandOptions = {}): Promise<void> {
    // Each is read; then what nobody needs is removed.
    const ids = await succeed(runtime, ['images', '--store', images, '--quiet'], options);
    for (const id of ids.split('\n').filter(Boolean)) {
      await succeed(runtime, ['save', '--store', images, '--output', `${images}.tar`, id], options);
    }
    await succeed(runtime, ['rmi', '--store', images, '--force', 'nothing'], options);
    for (const name of ['tmp', 'leases', 'build/work']) {
      expect(readdirSync(join(images, name)), name).to.deep.equal([]);
    }
  }

  describe('by a user other than root', () => {
    let home: string;
    const asUser = (): CommandOptions => ({
      uid: USER,
      gid: USER,
      env: { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home },
    });

    beforeEach(() => {
      home = mkdtempSync(join(folder, 'home-'));
      images = join(home, 'images');
      chownSync(home, USER, USER);
    });

    it('changes files as root does', async () => {
      const script =
        'id -u > /out; cat /etc/motd >> /out; mkdir /made; rm /etc/layer; cp -a /bin/busybox /made/copy';
      const { status, stderr } = await build([`RUN ${script}`], asUser());
      expect(status, stderr).to.equal(0);
      const look = ['run', '--store', images, '--rm', 'app', 'sh', '-c', 'cat /out; ls /made; ls /etc/layer'];
      const looked = await run(runtime, look, asUser());
      expect(looked.stdout).to.equal('0\nfrom the image\ncopy\n');
      expect(looked.stderr).to.contain('/etc/layer: No such file');
      await expectWhole(asUser());
    });

    it('fails where files get another owner, which it cannot keep', async () => {
      for (const lines of [['USER alice', 'RUN echo x > /tmp/x'], ['RUN busybox chown 5:6 /etc/motd']]) {
        const { status, stderr } = await build(lines, asUser());
        expect(stderr).to.match(
          /Dockerfile:\d: RUN .*: not all that the program changed can be kept: files of several users need root$/m,
        );
        expect(status).to.equal(1);
      }
      await expectWhole(asUser());
    });
  });

  it('fails when the disk is full, and leaves nothing', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'runnc-test', images]);
    try {
      const { status, stderr } = await build([
        'RUN busybox dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null',
      ]);
      expect(stderr).to.contain('not all that the program changed can be kept: no space left on the device');
      expect(status).to.equal(1);
      await expectWhole();
    } finally {
      execFileSync('umount', [images]);
    }
  });

  /** Of builds with this store. */
  async function containers(): Promise<readonly string[]> {
    const all = JSON.parse(await succeed(runtime, ['list', '--format', 'json'])) as {
      readonly id: string;
      readonly rootfs: string;
    }[];
    return all.filter(({ rootfs }) => rootfs.startsWith(`${images}/`)).map(({ id }) => id);
  }

  /** Until its RUN has printed that. */
  async function running(
    lines: readonly string[],
    text: string,
  ): Promise<{ kill: (signal: NodeJS.Signals) => void; ended: Promise<unknown>; stderr: () => string }> {
    const child = spawn(runtime, command(lines), { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'close');
    let stderr = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
        if (new RegExp(`^#\\d+ \\d+\\.\\d ${text}$`, 'm').test(stderr)) resolve();
      });
      child.once('close', () => reject(new Error(stderr)));
    });
    return { kill: (signal) => child.kill(signal), ended, stderr: () => stderr };
  }

  it('that is killed leaves a container that the next build removes', async () => {
    const { kill, ended } = await running(['RUN echo begun; touch /half; exec sleep 1000'], 'begun');
    kill('SIGKILL');
    await ended;
    expect(await containers()).to.have.length(1);
    expect((await build(['RUN echo x > /y'])).status).to.equal(0);
    expect(await containers()).to.deep.equal([]);
    await expectWhole();
  });

  for (const step of ['folder-made', 'launched', 'started', 'process-killed', 'uid-released']) {
    it(`whose runtime is killed at ${step} is carried out by the next build`, async () => {
      const lines = ['RUN echo x > /y', 'RUN cat /y > /z'];
      const env = { ...process.env, RUNNC_FAULT: `runtime:${step}` };
      expect((await build(lines, { env })).status).to.equal(137);
      const { status, stderr } = await build(lines);
      expect(status, stderr).to.equal(0);
      expect(await containers()).to.deep.equal([]);
      const look = ['run', '--store', images, '--rm', 'app', 'cat', '/z'];
      expect(await succeed(runtime, look)).to.equal('x');
      await expectWhole();
    });
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`ends with ${signal}, and nothing is left`, async () => {
      const build = await running(['RUN trap "" INT TERM; echo begun; while :; do sleep 1; done'], 'begun');
      build.kill(signal);
      await build.ended;
      expect(build.stderr()).to.match(/Dockerfile:2: RUN .*: interrupted$/m);
      expect(await containers()).to.deep.equal([]);
      await expectWhole();
    });
  }
});
