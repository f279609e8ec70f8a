/** Linux images that carry their block image (`build --rootfs=…`): what is in it, and that it is used as it is. */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Playground, type Result } from '../support/bundle.ts';
import { writeLinuxArchive } from '../support/linux-image.ts';

const USER = 1000;

describe('an image with --rootfs', function () {
  this.timeout(120_000);
  const host = new Playground();
  /** Of a user of its own, whose cache nobody else fills. */
  let home: string;
  let context: string;

  before(async () => {
    home = mkdtempSync(join(host.folder, 'home-'));
    context = join(home, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM linux:1\nCOPY --chown=5:6 file /etc/\n');
    writeFileSync(join(context, 'file'), 'in the image\n');
    await writeLinuxArchive(join(home, 'linux.tar'), { name: 'linux:1' });
    chownSync(home, USER, USER);
    await succeeds('load', '-q', '-i', join(home, 'linux.tar'));
  });
  after(() => host.close());

  async function succeeds(...args: readonly string[]): Promise<Result> {
    const result = await host.runnc(['--root', join(home, 'state'), ...args], {
      uid: USER,
      gid: USER,
      env: { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home },
    });
    expect(result.status, result.stderr).to.equal(0);
    return result;
  }

  function cached(): string[] {
    const entries = join(home, '.cache/runnc/entries');
    return existsSync(entries) ? readdirSync(entries) : [];
  }

  async function build(kind: 'erofs' | 'iso' | 'none', ...args: readonly string[]): Promise<string> {
    const dest = join(home, `out-${kind}`);
    const output = `--output=type=dir,dest=${dest}`;
    await succeeds('build', '-q', `--rootfs=${kind}`, output, '--tag', `app:${kind}`, ...args, context);
    return dest;
  }

  it('=erofs runs from what it carries, with the owners that the layers say', async () => {
    const files = await build('erofs');
    const image = join(files, '.runnc/rootfs.erofs');
    execFileSync('fsck.erofs', [image], { stdio: 'ignore' });
    const [dumped, fromLayers] = ['/etc/file', '/etc/motd'].map((path) =>
      execFileSync('dump.erofs', [`--path=${path}`, image], { encoding: 'utf8' }),
    );
    expect(dumped).to.match(/Uid: 5 +Gid: 6 +Access: 0644/);
    expect(fromLayers).to.match(/Uid: 0 +Gid: 0 /);
    // What it carries is not in it once more.
    const top = execFileSync('dump.erofs', ['--ls', '--path=/', image], { encoding: 'utf8' });
    expect(top).to.match(/ etc$/m).and.not.contain('.runnc');
    const { stdout } = await succeeds('run', '--rm', 'app:erofs', 'cat', '/etc/file', '/etc/motd');
    expect(stdout).to.equal('in the image\nfrom the image\n');
    expect(cached()).to.deep.equal([]);
  });

  it('=iso has the files in an ISO image, which the Linux guest does without', async () => {
    const image = join(await build('iso'), '.runnc/rootfs.iso');
    const listed = execFileSync('bsdtar', ['-tvnf', image], { encoding: 'utf8' });
    expect(listed).to.match(/^-rw-r--r-- +\d+ 5 +6 +13 .* etc\/file$/m);
    expect(listed).not.to.contain('.runnc');
    const { stdout } = await succeeds('run', '--rm', 'app:iso', 'cat', '/etc/file');
    expect(stdout).to.equal('in the image\n');
    expect(cached()).to.have.length(1);
  });

  it('=none, or nothing said, carries nothing', async () => {
    expect(readdirSync(await build('none'))).not.to.include('.runnc');
    const dest = join(home, 'plain');
    await succeeds('build', '-q', `--output=type=dir,dest=${dest}`, context);
    expect(readdirSync(dest)).not.to.include('.runnc');
  });
});
