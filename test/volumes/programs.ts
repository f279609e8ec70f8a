/** The C programs of this folder, and what they are given. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { partPath } from '../../src/parts.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-static'];
export const SECRET = 'SECRET-7f3a';

export function compileFsx(output: string): void {
  execFileSync('gcc', [...FLAGS, '-o', output, here('fsx.c')]);
}

export function compileReaders(output: string): void {
  execFileSync('gcc', [...FLAGS, '-pthread', '-o', output, here('readers.c')]);
}

export function compileFaults(output: string): void {
  execFileSync('gcc', [...FLAGS, '-pthread', '-o', output, here('faults.c')]);
}

export function compileRacers(output: string): void {
  execFileSync('gcc', [...FLAGS, '-o', output, here('racers.c')]);
}

export function compileFuzzer(output: string): void {
  execFileSync('gcc', [...FLAGS, `-I${here('../../tender/common/abi')}`, '-o', output, here('fuzz.c')]);
}

export interface HostileFolders {
  readonly mount: string;
  readonly readonly: string;
  /** What lies beside the mounts, with its attributes, and what is in the one that is read-only. */
  outside(): readonly string[];
  readonly before: readonly string[];
}

/** Two mounts with links that lead out of them, and what they lead to. */
export function hostileFolders(folder: string): HostileFolders {
  const [mount, outside, readonly] = ['mount', 'outside', 'readonly'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  fs.mkdirSync(outside, { recursive: true });
  fs.writeFileSync(join(outside, 'secret'), `${SECRET}\n`);
  fs.mkdirSync(join(outside, 'folder'));
  for (const root of [mount, readonly]) {
    fs.mkdirSync(join(root, 'folder/sub'), { recursive: true });
    fs.writeFileSync(join(root, 'file'), 'x');
    fs.symlinkSync('../outside', join(root, 'link-out'));
    fs.symlinkSync(join(outside, 'secret'), join(root, 'link-abs'));
    fs.symlinkSync('..', join(root, 'link-up'));
    execFileSync('mkfifo', [join(root, 'fifo')]);
  }
  const look = (): readonly string[] =>
    [outside, readonly].flatMap((root) =>
      execFileSync('find', [root, '-printf', '%p %y %m %U %G %s %n %T@ %C@ %l\\n'])
        .toString()
        .trim()
        .split('\n'),
    );
  return { mount, readonly, outside: look, before: look() };
}

/** Throws unless the server survives them all and shows no secret. */
export function fuzz(
  fuzzer: string,
  { mount, readonly }: HostileFolders,
  seed: number,
  messages: number,
): void {
  const script = 'mount --make-rprivate /; exec "$@"';
  const args = [partPath('fileserver'), mount, readonly, String(seed), String(messages), SECRET];
  const { stdout, stderr, status } = spawnSync('unshare', [
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    fuzzer,
    ...args,
  ]);
  expect(`${stdout.toString()}${stderr.toString()}`).to.equal(`${String(messages)} messages\n`);
  expect(status).to.equal(0);
}

/** The file is what fsx's model is after operation `kept` or one of those behind it. */
export function isState(fsx: string, file: string, seed: string, kept: number): void {
  const state = execFileSync(fsx, [file]).toString().trim();
  const BEYOND = 1000;
  const args = ['-', seed, String(kept + BEYOND), 'crash', String(kept)];
  const states = execFileSync(fsx, args)
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(1).join(' '));
  expect(states.includes(state), `${state} is no state after operation ${String(kept)}`).to.equal(true);
}
