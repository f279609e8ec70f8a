/** The same random life of a root under two runtimes, and what Docker has of it afterwards. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { run, succeed } from '../support/command.ts';
import type { Dockerd } from '../support/dockerd.ts';

const LIFE = join(import.meta.dirname, 'programs/life.pl');
const PERL_BASE = '/usr/lib/x86_64-linux-gnu/perl-base';
export const PLACES_IMAGE = 'lives:latest';
/** Folders of the image that can be lived in; a container has one for each of its seeds. */
export const PLACES = 10;

/** What is known of a life afterwards, by lines. */
export interface Life {
  /** What came of each operation, and how the tree looked from inside at the end. */
  readonly said: readonly string[];
  readonly diff: readonly string[];
  /** The tree as docker export has it. */
  readonly exported: readonly string[];
  /** The container's own layer, with whiteouts; empty where the storage driver has none. */
  readonly layer: readonly string[];
}

/** Makes the image, of which lives() are. */
export async function makePlaces(docker: Dockerd): Promise<void> {
  const rootfs = new Rootfs();
  try {
    for (const name of ['cat', 'head', 'mkdir', 'seq', 'sh'])
      symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
    rootfs.add('/usr/bin/perl');
    cpSync(PERL_BASE, rootfs.path(PERL_BASE), { recursive: true });
    copyFileSync(LIFE, rootfs.path('/life.pl'));
    for (let place = 0; place < PLACES; place++)
      execFileSync('perl', [LIFE, 'make', rootfs.path(`/place${String(place)}`)]);
    const tar = join(docker.folder, 'places.tar');
    await succeed('tar', ['-C', rootfs.folder, '-cf', tar, '.']);
    await docker.docker('import', '--change=ENV PATH=/usr/bin', tar, PLACES_IMAGE);
    rmSync(tar);
  } finally {
    rootfs.remove();
  }
}

/** A container of `runtime` that lives by these seeds, `count` operations each. It has ended. */
export async function live(
  docker: Dockerd,
  runtime: string,
  seeds: readonly number[],
  count: number,
): Promise<{ readonly id: string; readonly life: Life }> {
  const lives = seeds.map((seed, i) => `perl /life.pl live ${seed} ${count} /place${i}`);
  const id = await docker.docker(
    ...['create', '--network=none', '--runtime', runtime, PLACES_IMAGE, 'sh', '-c'],
    [...lives, look(seeds.length)].join(' && '),
  );
  const { status, stdout, stderr } = await docker.try(['start', '--attach', id]);
  if (status !== 0 || stderr !== '')
    throw new Error(`${runtime}: status ${status}, standard error "${stderr}"`);
  const diff = (await docker.docker('diff', id)).split('\n').sort();
  const layer = await docker.try(['inspect', '--format', '{{.GraphDriver.Data.UpperDir}}', id]);
  return {
    id,
    life: {
      said: stdout.split('\n'),
      diff,
      exported: await listExport(docker, id, seeds.length),
      layer: layer.stdout.startsWith('/') ? list(layer.stdout.trim()) : [],
    },
  };
}

/** Prints how the first places look, from inside. */
export function look(places: number): string {
  return `for i in $(seq 0 ${places - 1}); do echo place $i; perl /life.pl list /place$i || exit 1; done`;
}

async function listExport(docker: Dockerd, id: string, places: number): Promise<readonly string[]> {
  const folder = join(docker.folder, 'exported');
  mkdirSync(folder);
  try {
    const script = `docker "$@" | tar -x --numeric-owner -C ${folder}`;
    const { status, stderr } = await run('bash', [
      ...['-o', 'pipefail', '-c', script, 'export'],
      ...[...docker.client, 'export', id],
    ]);
    if (status !== 0) throw new Error(`docker export: ${stderr}`);
    return Array.from({ length: places }, (_, i) => list(join(folder, `place${String(i)}`))).flat();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function list(folder: string): readonly string[] {
  const text = execFileSync('perl', [LIFE, 'list', folder], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  return text.trimEnd().split('\n');
}
