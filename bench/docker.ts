/** `docker run --rm --network none` of hello with runnc beside runc, under a dockerd of the bench's own. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Dockerd } from '../test/support/dockerd.ts';
import { type Bench, rounded } from './bench.ts';
import { benchObj, dist, measure } from './measure.ts';

const IMAGE = 'bench:latest';

export const dockerBench: Bench = {
  name: 'docker',
  what: '`docker run --rm --network none` of hello with runnc beside runc',
  async run() {
    const dockerd = await Dockerd.start();
    try {
      await importImage(dockerd);
      const command = (runtime: string, program: string): string[] => [
        ...['docker', ...dockerd.client, 'run', '--rm', '--network=none', `--runtime=${runtime}`],
        ...[IMAGE, program],
      ];
      const [runnc, runc] = measure([command('runnc', '/hello.spt'), command('runc', '/hello')], {
        runs: 24,
        warmups: 2,
      });
      if (runnc === undefined || runc === undefined) throw new Error('the timer returned too few rows');
      return rounded({
        runncMs: runnc.medianMs,
        runcMs: runc.medianMs,
        ratioToRunc: runnc.medianMs / runc.medianMs,
      });
    } finally {
      await dockerd.stop();
    }
  },
};

/** One image with both programs, so that all but the runtime is the same. */
async function importImage(dockerd: Dockerd): Promise<void> {
  const rootfs = join(dockerd.folder, 'bench-rootfs');
  mkdirSync(rootfs);
  copyFileSync(join(dist, 'unikernels/hello.spt'), join(rootfs, 'hello.spt'));
  copyFileSync(join(benchObj, 'hello'), join(rootfs, 'hello'));
  const archive = join(dockerd.folder, 'bench.tar');
  execFileSync('tar', ['-C', rootfs, '-cf', archive, '.']);
  await dockerd.docker('import', archive, IMAGE);
}
