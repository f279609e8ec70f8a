/** Bundles that do the same: hello as a unikernel for runnc, hello as a static program for runc. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchObj, dist } from './measure.ts';

export interface HelloBundles {
  readonly runnc: string;
  readonly runc: string;
  /** A unikernel that waits for ever. */
  readonly waiting: string;
  /** State roots of the two runtimes, of this bench alone. */
  readonly runncRoot: string;
  readonly runcRoot: string;
  remove(): void;
}

export function helloBundles(): HelloBundles {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-bench-'));
  const bundles = {
    runnc: makeBundle(join(folder, 'runnc'), join(dist, 'unikernels/hello.spt')),
    runc: makeBundle(join(folder, 'runc'), join(benchObj, 'hello')),
    waiting: makeBundle(join(folder, 'waiting'), join(dist, 'unikernels/time.spt'), ['forever']),
    runncRoot: join(folder, 'runnc-root'),
    runcRoot: join(folder, 'runc-root'),
  };
  return { ...bundles, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function makeBundle(folder: string, program: string, args: readonly string[] = []): string {
  const rootfs = join(folder, 'rootfs');
  mkdirSync(join(rootfs, 'proc'), { recursive: true });
  copyFileSync(program, join(rootfs, 'hello'));
  const namespaces = ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type }));
  const config = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['/hello', ...args],
      env: ['PATH=/'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'hello',
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: { namespaces },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}
