/** Container images made on the fly. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { succeed } from './command.ts';
import { isOurs, unikernel } from './paths.ts';

/** The image that the suites run. */
export const IMAGE = 'probes:latest';

/** What /hello prints. */
export const GREETING = 'Hello from a unikernel';

/** A name in the image → the unikernel behind it, and what does the same as a Linux program. */
const PROBES: Readonly<Record<string, { readonly unikernel: string; readonly script: string }>> = {
  hello: { unikernel: 'hello', script: `echo ${GREETING}` },
  /** exit N */
  exit: { unikernel: 'exit', script: 'exit "$2"' },
  /** BYTES CHUNK */
  flood: { unikernel: 'flood', script: 'yes abcdefghijklmnopqrstuvwxyz | tr -d "\\n" | head -c "$1"' },
  /** Prints its arguments, separated by blanks. */
  args: { unikernel: 'args', script: 'printf %s "$*"' },
  /** forever: says "waiting" and waits; TERM and INT end it. */
  time: {
    unikernel: 'time',
    script: 'trap "exit 143" TERM; trap "exit 130" INT; echo waiting; while :; do sleep 1000 & wait; done',
  },
};

/**
 * Writes a docker-archive with the image, which docker, podman and ctr all load.
 *
 * @param file where to write it.
 */
export async function writeImage(file: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'runnc-image-'));
  try {
    const rootfs = join(folder, 'rootfs');
    fill(rootfs);
    const layer = join(folder, 'layer.tar');
    await succeed('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', rootfs, '-cf', layer, '.']);
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/hello'], Env: ['PATH=/bin:/'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(readFileSync(layer))}`] },
      history: [{ created: '2026-01-01T00:00:00Z' }],
      created: '2026-01-01T00:00:00Z',
    });
    const configName = `${sha256(config)}.json`;
    writeFileSync(join(folder, configName), config);
    writeFileSync(
      join(folder, 'manifest.json'),
      JSON.stringify([
        { Config: configName, RepoTags: [`docker.io/library/${IMAGE}`], Layers: ['layer.tar'] },
      ]),
    );
    await succeed('tar', ['-C', folder, '-cf', file, 'manifest.json', configName, 'layer.tar']);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The folder that is the image's root; also a bundle's rootfs. */
export function fill(rootfs: string): void {
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  for (const folder of ['data', 'tmp', 'etc', 'dev', 'proc', 'sys']) mkdirSync(join(rootfs, folder));
  // A Linux program: for runnc beside the unikernels, else their shell.
  copyFileSync('/bin/busybox', join(rootfs, 'busybox'));
  if (!isOurs) copyFileSync('/bin/busybox', join(rootfs, 'bin/sh'));
  for (const [name, probe] of Object.entries(PROBES)) {
    const path = join(rootfs, name);
    if (isOurs) copyFileSync(unikernel(probe.unikernel), path);
    else writeFileSync(path, `#!/bin/sh\n${probe.script}\n`);
    chmodSync(path, 0o755);
  }
  writeFileSync(join(rootfs, 'not-executable'), 'text\n', { mode: 0o644 });
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
