/**
 * A folder of the host in the Linux guest, by the file server, beside the same programs natively, and in gVisor where
 * Debian's runsc is installed (once: it is slow); they take turns.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rootfs } from '../test/linux-programs/rootfs.ts';
import { Playground } from '../test/support/bundle.ts';
import { type Bench, rounded } from './bench.ts';
import { benchObj, median } from './measure.ts';

const ROUNDS = 5;
const FILE_MIB = '256';
const STATS = 1_000_000;
const SMALL_FILES = 10_000;
const SMALL_BYTES = 1000;
/** Other work on the same disk can hold up a run. */
const STUCK_MS = 300_000;
const PROGRAM = join(benchObj, 'volumes');

interface Probe {
  readonly name: string;
  /** What the shell does in the folder; prints seconds, or is timed. */
  readonly script: string;
}

const UNTAR =
  'busybox rm -rf out; busybox mkdir out; busybox time -f %e tar -C out --no-same-owner -xf small.tar 2>&1';
const PROBES: readonly Probe[] = [
  { name: 'Write', script: `volumes write big ${FILE_MIB}` },
  { name: 'Read', script: 'volumes read big' },
  { name: 'Stat', script: `volumes stat big ${String(STATS)}` },
  { name: 'SmallFiles', script: 'volumes small flat' },
  { name: 'Untar', script: UNTAR },
];

export const volumesBench: Bench = {
  name: 'volumes',
  what: 'a folder of the host in the Linux guest beside native: large files, small ones, tar, stat',
  async run() {
    const host = new Playground();
    const rootfs = new Rootfs();
    const folder = fs.mkdtempSync(join(tmpdir(), 'runnc-bench-'));
    try {
      fill(folder);
      rootfs.add('/usr/bin/tar');
      fs.copyFileSync(PROGRAM, rootfs.path('/usr/bin/volumes'));
      const native = new Map<string, number[]>();
      const guest = new Map<string, number[]>();
      const gvisor = spawnSync('runsc', ['--version']).status === 0 ? new Map<string, number[]>() : undefined;
      for (let round = 0; round < ROUNDS; round++) {
        for (const { name, script } of PROBES) {
          add(
            native,
            name,
            seconds(execFileSync('sh', ['-ec', script], { cwd: folder, env: environment() })),
          );
          add(
            guest,
            name,
            await inGuest(host, rootfs, folder, script, `bench-volumes-${name}-${String(round)}`),
          );
          if (gvisor !== undefined && round === 0)
            add(gvisor, name, inGvisor(bundleFor(host, rootfs, folder, script)));
        }
      }
      const middle = (of: Map<string, number[]>, name: string): number => median(of.get(name) ?? []);
      const speed = (name: string, of = guest): number => middle(native, name) / middle(of, name);
      const time = (name: string, of = guest): number => middle(of, name) / middle(native, name);
      return rounded({
        speedWriteToNative: speed('Write'),
        speedReadToNative: speed('Read'),
        statNs: (middle(guest, 'Stat') / STATS) * 1e9,
        statNativeNs: (middle(native, 'Stat') / STATS) * 1e9,
        ratioSmallFiles: time('SmallFiles'),
        ratioUntar: time('Untar'),
        ...(gvisor && {
          gvisorSpeedWriteToNative: speed('Write', gvisor),
          gvisorSpeedReadToNative: speed('Read', gvisor),
          gvisorStatNs: (middle(gvisor, 'Stat') / STATS) * 1e9,
          gvisorRatioSmallFiles: time('SmallFiles', gvisor),
          gvisorRatioUntar: time('Untar', gvisor),
        }),
      });
    } finally {
      await host.close();
      rootfs.remove();
      fs.rmSync(folder, { recursive: true });
    }
  },
};

function environment(): NodeJS.ProcessEnv {
  return { PATH: `${benchObj}:/usr/bin:/bin` };
}

function fill(folder: string): void {
  for (const name of ['flat', 'tree']) fs.mkdirSync(join(folder, name));
  const content = Buffer.alloc(SMALL_BYTES, 'x');
  for (let i = 0; i < SMALL_FILES; i++) {
    const below = join(folder, 'tree', `d${String(i % 100)}`);
    if (i < 100) fs.mkdirSync(below);
    fs.writeFileSync(join(below, `f${String(i)}`), content);
    if (i < SMALL_FILES / 2) fs.writeFileSync(join(folder, 'flat', `f${String(i)}`), content);
  }
  execFileSync('tar', ['-C', join(folder, 'tree'), '-cf', join(folder, 'small.tar'), '.']);
}

function add(samples: Map<string, number[]>, name: string, value: number): void {
  samples.set(name, [...(samples.get(name) ?? []), value]);
}

function seconds(output: Buffer | string): number {
  return Number(output.toString().trim().split('\n').at(-1));
}

function bundleFor(host: Playground, rootfs: Rootfs, folder: string, script: string): string {
  return rootfs.bundle(host, ['/bin/busybox', 'sh', '-ec', `cd /data; ${script}`], (spec) => {
    const mount = { destination: '/data', type: 'bind', source: folder, options: ['rbind', 'rw'] };
    spec.mounts = [...(spec.mounts ?? []), mount];
  });
}

/** Its own default platform; where that is ptrace, as in Debian 12, another would be faster. */
function inGvisor(bundle: string): number {
  const state = fs.mkdtempSync(join(tmpdir(), 'runnc-bench-runsc-'));
  try {
    const words = [
      '--root',
      state,
      '--network=none',
      '--ignore-cgroups',
      'run',
      '--bundle',
      bundle,
      'bench-volumes',
    ];
    return seconds(execFileSync('runsc', words, { stdio: ['ignore', 'pipe', 'inherit'] }));
  } finally {
    fs.rmSync(state, { recursive: true });
  }
}

async function inGuest(
  host: Playground,
  rootfs: Rootfs,
  folder: string,
  script: string,
  id: string,
): Promise<number> {
  const bundle = bundleFor(host, rootfs, folder, script);
  const { status, stdout, stderr } = await host.start(['run', '--bundle', bundle, id]).end(STUCK_MS);
  if (status !== 0) throw new Error(`${script}: ${stdout}${stderr}`);
  return seconds(stdout);
}
