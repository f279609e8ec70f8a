/** What the installed runtime does with the rootfs of an image that it has seen before, by strace. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { type Draft, Playground, until } from '../support/bundle.ts';
import { run } from '../support/command.ts';
import { runtime } from '../support/paths.ts';
import { isRoot } from './fixture.ts';
import { OverlayStore } from './overlay-store.ts';

interface Opened {
  readonly path: string;
  /** With O_PATH nothing can be read. */
  readonly readable: boolean;
}

describe('the second container of an image', () => {
  let host: Playground;
  let image: Rootfs;
  let store: OverlayStore;

  before(function () {
    if (!isRoot) this.skip();
    host = new Playground();
    image = new Rootfs();
    for (let i = 0; i < 200; i++) image.write(`/usr/share/folder-${i % 20}/file-${i}`, `content ${i}`);
    store = new OverlayStore(host.folder);
  });
  after(async () => {
    store.unmount();
    image.remove();
    await host.close();
  });

  const bundle = (root: string): string =>
    image.bundle(host, ['/usr/bin/busybox', 'true'], (spec: Draft) => {
      spec.root = { path: root };
    });

  async function start(root: string): Promise<void> {
    expect(await host.runnc(['run', '-b', bundle(root), 'first'])).to.include({ status: 0, stderr: '' });
  }

  /** What `create` opens below these folders. */
  async function openedByCreate(root: string, ...below: string[]): Promise<Opened[]> {
    const trace = join(host.folder, 'trace');
    const words = ['-f', '-y', '-qq', '-o', trace, '-e', 'trace=open,openat,openat2,creat,execve'];
    const create = [runtime, '--root', host.root, 'create', '-b', bundle(root), 'second'];
    // It ends with the last process that it follows, which is the container's.
    const traced = run('strace', [...words, ...create]);
    const state = async (): Promise<string> => (await host.runnc(['state', 'second'])).stdout;
    await until(async () => (await state()).includes('"created"'), 'it is created');
    const started = await host.runnc(['start', 'second']);
    expect(started).to.include({ status: 0, stderr: '' });
    expect((await traced).status).to.equal(0);
    await host.runnc(['delete', 'second']);
    return fs
      .readFileSync(trace, 'latin1')
      .split('\n')
      .flatMap((line) => {
        const path = / = \d+<(\/.*)>$/.exec(line)?.[1];
        if (path === undefined || !below.some((folder) => path.startsWith(`${folder}/`))) return [];
        return [{ path, readable: !line.includes('O_PATH') }];
      });
  }

  const files = (opened: readonly Opened[]): string[] =>
    opened.filter(({ path, readable }) => readable && fs.lstatSync(path).isFile()).map(({ path }) => path);

  /** To know what kind of guest runs it, and as whom. */
  const known = (root: string): string[] => [
    `${root}/usr/bin/busybox`,
    `${root}/etc/passwd`,
    `${root}/etc/group`,
  ];

  it('of Docker reads nothing of it but the head of its program and its accounts, and lists none of its folders', async () => {
    const layer = store.layer((folder) => execFileSync('cp', ['-a', `${image.folder}/.`, folder]));
    await start(store.container([layer]).rootfs);
    const { rootfs } = store.container([layer]);
    const opened = await openedByCreate(rootfs, rootfs, layer);
    expect(files(opened).filter((path) => !known(rootfs).includes(path))).to.deep.equal([]);
    expect(opened.filter(({ path }) => path.startsWith(layer))).to.deep.equal([]);
  });

  /** System calls of `create` that are about its rootfs, its image or the mounts. */
  async function callsOfCreate(root: string): Promise<number> {
    const trace = join(host.folder, 'calls');
    const create = [runtime, '--root', host.root, 'create', '-b', bundle(root), 'counted'];
    // Its main thread alone: what the container's process does is another matter. That holds the output open until its end.
    const traced = run('strace', ['-y', '-qq', '-o', trace, ...create]);
    const state = async (): Promise<string> => (await host.runnc(['state', 'counted'])).stdout;
    await until(async () => (await state()).includes('"created"'), 'it is created');
    expect(await host.runnc(['delete', '--force', 'counted'])).to.include({ status: 0, stderr: '' });
    expect((await traced).status).to.equal(0);
    const about = (line: string): boolean => /\/overlay2\/|\/runnc\/cache\b|\/mountinfo/.test(line);
    return fs.readFileSync(trace, 'latin1').split('\n').filter(about).length;
  }

  it('of Docker takes as many system calls as one of a small image, and few', async () => {
    const layer = (files: number): string =>
      store.layer((folder) => {
        execFileSync('cp', ['-a', `${image.folder}/.`, folder]);
        for (let i = 0; i < files; i++) fs.writeFileSync(join(folder, `file-${i}`), '');
      });
    const counts: number[] = [];
    for (const files of [0, 3000]) {
      const made = layer(files);
      await start(store.container([made]).rootfs);
      counts.push(await callsOfCreate(store.container([made]).rootfs));
    }
    const [small = 0, large = 0] = counts;
    // The text of the mounts is read in pieces; other tests' mounts come and go.
    expect(large).to.be.within(small - 5, small + 5);
    expect(small).to.be.within(30, 160);
  });

  it('of a plain bundle lists its folders, and reads none of its other files', async () => {
    await start(image.folder);
    const opened = await openedByCreate(image.folder, image.folder);
    expect(files(opened).filter((path) => !known(image.folder).includes(path))).to.deep.equal([]);
    expect(opened.map(({ path }) => path)).to.include(`${image.folder}/usr/share/folder-7`);
  });
});
