/** Builds test/tender/guest, with the extras note and without, and runs what the tender's tests need of it. */
import { expect } from 'chai';
import { execFileSync, spawnSync, type SpawnSyncOptionsWithBufferEncoding } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dist, type Outcome } from '../unikernels/guest.ts';

export const tenderPath = join(dist, 'tender-spt');

const source = fileURLToPath(new URL('guest', import.meta.url));
const abi = fileURLToPath(new URL('../../tender/common/abi', import.meta.url));

const FLAGS = [
  '-O2',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-ffreestanding',
  '-nostdlib',
  '-static',
  '-no-pie',
  '-fno-pic',
];
const CODE_FLAGS = ['-fno-stack-protector', '-mno-red-zone', '-mgeneral-regs-only'];
const LINK_FLAGS = ['-Wl,--build-id=none,-z,noexecstack', '-T', join(source, 'guest.ld')];

function build(path: string, ...defines: string[]): string {
  const code = [...FLAGS, ...CODE_FLAGS, ...LINK_FLAGS, `-I${abi}`, ...defines];
  execFileSync('gcc', [...code, '-o', path, join(source, 'guest.c')]);
  return path;
}

/** A plain Solo5 guest. */
export function buildPlainGuest(folder: string): string {
  return build(join(folder, 'plain.spt'));
}

/** One whose note wants every extra and needs none. */
export function buildExtrasGuest(folder: string): string {
  return build(join(folder, 'extras.spt'), '-DEXTRAS');
}

const STUCK_MS = 60_000;

/** Runs the tender with these arguments. */
export function tender(args: readonly string[], options: SpawnSyncOptionsWithBufferEncoding = {}): Outcome {
  const result = spawnSync(tenderPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: STUCK_MS,
    ...options,
  });
  if (result.error) throw result.error;
  return {
    end: result.signal ?? result.status,
    stdout: result.stdout,
    stderr: result.stderr.toString(),
  };
}

/** The tender refused: status 1, nothing on standard output, one clear line that holds `text`. */
export function expectRefusal(outcome: Outcome, text: string | RegExp): void {
  expect(outcome.stdout.toString()).to.equal('');
  expect(outcome.stderr).to.match(/^tender-spt: [^\n]+\n$/);
  if (typeof text === 'string') expect(outcome.stderr).to.include(text);
  else expect(outcome.stderr).to.match(text);
  expect(outcome.end).to.equal(1);
}
