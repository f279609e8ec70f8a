/**
 * What the image of a rootfs costs at create, by the line that `runnc --debug create` writes: the first time beside
 * `tar -cf` of the same tree, and again for a container of the same Docker image and of the same plain bundle.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { makeDebianTree } from '../test/rootfs/debian-tree.ts';
import { OverlayStore } from '../test/rootfs/overlay-store.ts';
import { Playground } from '../test/support/bundle.ts';
import { runtime } from '../test/support/paths.ts';
import { type Bench, rounded } from './bench.ts';
import { median } from './measure.ts';

const FIRST_RUNS = 5;
const SECOND_RUNS = 25;
const PROGRAM = ['/usr/bin/perl', '-e', '1'];

export const rootfsBench: Bench = {
  name: 'rootfs',
  what: 'the image of a rootfs of 500 MB and 30,000 files: the first beside `tar -cf`, and found again',
  async run() {
    const host = new Playground();
    const rootfs = new Rootfs();
    const store = new OverlayStore(host.folder);
    const layer = store.layer(makeDebianTree);
    try {
      const [tar, first]: [number[], number[]] = [[], []];
      for (let run = 0; run < FIRST_RUNS; run++) {
        tar.push(tarMs(layer, join(host.folder, 'archive.tar')));
        first.push(await createMs(host, rootfs, layer));
        if (run < FIRST_RUNS - 1) removeCached(layer);
      }
      const plain = await repeated(() => createMs(host, rootfs, layer));
      removeCached(layer);
      await createMs(host, rootfs, store.container([layer]).rootfs);
      const docker = await repeated(() => createMs(host, rootfs, store.container([layer]).rootfs));
      return rounded({
        tarMs: middle(tar),
        firstMs: middle(first),
        firstRatioToTar: middle(first) / middle(tar),
        againPlainMs: middle(plain),
        againDockerMs: middle(docker),
      });
    } finally {
      store.unmount();
      removeCached(store.path);
      rootfs.remove();
      await host.close();
    }
  },
};

function tarMs(tree: string, archive: string): number {
  rmSync(archive, { force: true });
  const started = performance.now();
  execFileSync('tar', ['-cf', archive, '-C', tree, '.'], { stdio: 'ignore' });
  return performance.now() - started;
}

/** Milliseconds that one create spends on the image of the rootfs. */
async function createMs(host: Playground, rootfs: Rootfs, path: string): Promise<number> {
  const bundle = rootfs.bundle(host, PROGRAM, (spec) => {
    spec.root = { path };
  });
  const { status, stderr } = await host.runnc(['--debug', 'create', '--bundle', bundle, 'bench']);
  await host.runnc(['delete', '--force', 'bench']);
  const ms = /rootfs: .* in ([\d.]+) ms/.exec(stderr)?.[1];
  if (status !== 0 || ms === undefined) throw new Error(`create: exit status ${String(status)}: ${stderr}`);
  return Number(ms);
}

async function repeated(measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let run = 0; run < SECOND_RUNS; run++) values.push(await measure());
  return values;
}

function middle(values: readonly number[]): number {
  return median([...values].sort((a, b) => a - b));
}

/** The images of rootfs folders below a path. */
function removeCached(path: string): void {
  const list = execFileSync(runtime, ['cache', 'ls', '--format', 'json'], { encoding: 'utf8' });
  const keys = (JSON.parse(list) as { key: string; source: string }[])
    .filter(({ source }) => source.startsWith(path))
    .map(({ key }) => key);
  if (keys.length > 0) execFileSync(runtime, ['cache', 'rm', '--force', ...keys], { stdio: 'ignore' });
}
