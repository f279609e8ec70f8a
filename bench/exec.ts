/** `exec` of busybox's true in a running container, by hand and by docker, with runnc beside runc. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dockerd } from '../test/support/dockerd.ts';
import { type Bench, rounded } from './bench.ts';
import { dist, measure, type Timing } from './measure.ts';

const IMAGE = 'bench:latest';
const RUNTIMES = ['runnc', 'runc'] as const;
type Runtime = (typeof RUNTIMES)[number];

export const execBench: Bench = {
  name: 'exec',
  what: '`runnc exec` and `docker exec` of true beside runc',
  async run() {
    const [runnc, runc] = byHand();
    const [dockerRunnc, dockerRunc] = await byDocker();
    return rounded({
      runncMs: runnc.medianMs,
      runcMs: runc.medianMs,
      ratioToRunc: runnc.medianMs / runc.medianMs,
      dockerRunncMs: dockerRunnc.medianMs,
      dockerRuncMs: dockerRunc.medianMs,
      ratioDockerToRunc: dockerRunnc.medianMs / dockerRunc.medianMs,
    });
  },
};

function pair(timings: readonly Timing[]): readonly [Timing, Timing] {
  const [runnc, runc] = timings;
  if (runnc === undefined || runc === undefined) throw new Error('the timer returned too few rows');
  return [runnc, runc];
}

function byHand(): readonly [Timing, Timing] {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-bench-'));
  const call = (runtime: Runtime, ...args: readonly string[]): string[] => [
    ...[
      runtime === 'runnc' ? join(dist, 'runnc') : 'runc',
      '--root',
      join(folder, `${runtime}-root`),
      ...args,
    ],
  ];
  try {
    makeBundle(folder);
    for (const runtime of RUNTIMES) {
      const [program = '', ...args] = call(runtime, 'run', '--detach', '--bundle', folder, 'bench-exec');
      execFileSync(program, args, { stdio: 'ignore' });
    }
    return pair(
      measure(
        RUNTIMES.map((runtime) => call(runtime, 'exec', 'bench-exec', '/busybox', 'true')),
        { runs: 60, warmups: 3 },
      ),
    );
  } finally {
    for (const runtime of RUNTIMES) {
      const [program = '', ...args] = call(runtime, 'delete', '--force', 'bench-exec');
      execFileSync(program, args, { stdio: 'ignore' });
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeBundle(folder: string): void {
  mkdirSync(join(folder, 'rootfs/proc'), { recursive: true });
  copyFileSync('/bin/busybox', join(folder, 'rootfs/busybox'));
  const config = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['/busybox', 'sleep', '100000'],
      env: ['PATH=/'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: { namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}

async function byDocker(): Promise<readonly [Timing, Timing]> {
  const dockerd = await Dockerd.start();
  try {
    const rootfs = join(dockerd.folder, 'bench-rootfs');
    mkdirSync(rootfs);
    copyFileSync('/bin/busybox', join(rootfs, 'busybox'));
    const archive = join(dockerd.folder, 'bench.tar');
    execFileSync('tar', ['-C', rootfs, '-cf', archive, '.']);
    await dockerd.docker('import', archive, IMAGE);
    const commands: string[][] = [];
    for (const runtime of RUNTIMES) {
      const options = ['run', '--detach', '--network=none', `--runtime=${runtime}`];
      const id = await dockerd.docker(...options, IMAGE, '/busybox', 'sleep', '100000');
      commands.push(['docker', ...dockerd.client, 'exec', id, '/busybox', 'true']);
    }
    return pair(measure(commands, { runs: 40, warmups: 3 }));
  } finally {
    await dockerd.stop();
  }
}
