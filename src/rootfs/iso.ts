/**
 * ISO 9660 with Rock Ridge, made by xorriso.
 *
 * xorriso opens what it packs by path, as the user who runs it. So that no link can take it out of the rootfs, not
 * even one that is put in a file's or folder's place while it runs, it reads a view of the rootfs in a mount
 * namespace of its own: a bind mount on which the kernel follows no link at all (nosymfollow, Linux 5.10) and opens
 * no device (nodev). Of root's privileges it keeps the one to read every file.
 *
 * Equal trees give equal bytes: SOURCE_DATE_EPOCH replaces the time of making, and of a file's times only the
 * modification time goes in.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunncError } from '../errors.ts';
import { NoSpaceError } from './no-space.ts';
import { walk, type TreeEntry } from './tree.ts';

export interface IsoOptions {
  /** On the host. */
  readonly rootfs: string;
  /** An empty folder; the image becomes `image` in it. */
  readonly folder: string;
  /** See ownerCommands. */
  readonly owners: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** Called a few times a second with the bytes written so far. */
  readonly onProgress?: ((doneBytes: number) => void) | undefined;
}

const POLL_MS = 250;
/** A fifo that takes a file's place at the wrong moment makes xorriso wait for ever, using no processor time. */
const STALL_MS = 60_000;
const MAX_OUTPUT = 64 * 1024;

/** $1 rootfs, $2 empty folder, the rest: the command. */
const VIEW = `set -e
mount --no-canonicalize --bind "$1" "$2"
mount --no-canonicalize -o remount,bind,ro,nosuid,nodev,noexec,nosymfollow "$2"
shift 2
exec "$@"`;

/** Root, but only to read what permissions would hide. */
const DROP_PRIVILEGES = [
  'setpriv',
  '--no-new-privs',
  '--inh-caps=-all',
  '--bounding-set=-all,+dac_read_search',
  '--',
];

export async function writeIso(options: IsoOptions): Promise<void> {
  const view = join(options.folder, 'view');
  const image = join(options.folder, 'image');
  const owners = join(options.folder, 'owners');
  mkdirSync(view, { mode: 0o700 });
  writeFileSync(owners, options.owners.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  const isRoot = process.geteuid?.() === 0;
  const result = await run(
    'unshare',
    [
      ...(isRoot ? [] : ['--user', '--map-root-user']),
      ...['--mount', '--propagation', 'private', '--', 'sh', '-c', VIEW, 'sh', options.rootfs, view],
      ...(isRoot ? DROP_PRIVILEGES : []),
      ...xorriso(view, owners, image),
    ],
    image,
    options,
  );
  rmdirSync(view);
  unlinkSync(owners);
  if (result.code !== 0) throw failure(result.output, result.code);
}

function xorriso(view: string, owners: string, image: string): string[] {
  return [
    'xorriso',
    // Neither /etc/xorriso.conf nor ~/.xorrisorc.
    '-no_rc',
    ...['-abort_on', 'FAILURE', '-return_with', 'SORRY', '32', '-report_about', 'SORRY'],
    // Level 3: files of 4 GiB and more. Not new_rr: its inode numbers of folders differ from run to run. Hard links
    // are told from copies by their place.
    ...['-compliance', 'iso_9660_level=3:deep_paths:long_paths', '-padding', '0', '-volid', 'ROOTFS'],
    ...['-volume_date', 'all_file_dates', 'set_to_mtime'],
    ...['-outdev', `stdio:${image}`, '-map', view, '/'],
    ...['-iso_rr_pattern', 'off', '-backslash_codes', 'in_quotes', '-options_from_file', owners, '-commit'],
  ];
}

/**
 * Commands that give everything its owner, where xorriso sees others than the image is to have: with id mappings, and
 * in the user namespace that an ordinary user needs for the view (`seenAsTheyAre` false). The most common owner is given
 * to all, then the others theirs, one by one.
 */
export function ownerCommands(
  tree: TreeEntry,
  { toUid, toGid }: { toUid: (hostId: number) => number; toGid: (hostId: number) => number },
  { seenAsTheyAre }: { seenAsTheyAre: boolean },
): string[] {
  const entries = walk(tree);
  return [
    ...commandsFor(entries, 'chown', ({ uid }) => toUid(uid), seenAsTheyAre ? ({ uid }) => uid : undefined),
    ...commandsFor(entries, 'chgrp', ({ gid }) => toGid(gid), seenAsTheyAre ? ({ gid }) => gid : undefined),
  ];
}

function commandsFor(
  entries: readonly TreeEntry[],
  command: 'chown' | 'chgrp',
  wanted: (entry: TreeEntry) => number,
  seen: ((entry: TreeEntry) => number) | undefined,
): string[] {
  if (seen !== undefined && entries.every((entry) => wanted(entry) === seen(entry))) return [];
  const counts = new Map<number, number>();
  for (const entry of entries) counts.set(wanted(entry), (counts.get(wanted(entry)) ?? 0) + 1);
  const [most = 0] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), [0, 0]);
  return [
    `-${command}_r ${String(most)} / --`,
    ...entries
      .filter((entry) => wanted(entry) !== most)
      .map((entry) => `-${command} ${String(wanted(entry))} ${quoted(entry.path || '/')} --`),
  ];
}

/** Of a name any byte but the plainest, as xorriso reads it in quotes. */
function quoted(path: string): string {
  const escape = (char: string): string => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`;
  return `"${path.replace(/[^A-Za-z0-9._/+-]/g, escape)}"`;
}

interface Result {
  readonly code: number;
  readonly output: string;
}

function run(command: string, args: readonly string[], image: string, options: IsoOptions): Promise<Result> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LC_ALL: 'C',
        SOURCE_DATE_EPOCH: '0',
      },
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      if (output.length < MAX_OUTPUT) output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);

    const abort = (): void => void child.kill('SIGKILL');
    options.signal?.addEventListener('abort', abort);
    const stall = new StallWatch(child.pid);
    options.onProgress?.(0);
    const timer = setInterval(() => {
      options.onProgress?.(sizeOf(image));
      if (stall.isStalled()) abort();
    }, POLL_MS);
    const end = (): void => {
      clearInterval(timer);
      options.signal?.removeEventListener('abort', abort);
    };

    child.once('error', (error) => {
      end();
      const hint = 'install it (Debian: apt-get install util-linux)';
      reject(
        new RunncError('HOST', `${command} cannot be started: ${error.message}: ${hint}`, { cause: error }),
      );
    });
    child.once('close', (code, signal) => {
      end();
      if (options.signal?.aborted === true) reject(options.signal.reason as Error);
      else if (stall.isStalled())
        reject(new RunncError('HOST', 'xorriso waits on a file that became a fifo: try again'));
      else resolve({ code: code ?? 255, output: signal === null ? output : `${output}\nended by ${signal}` });
    });
  });
}

class StallWatch {
  readonly #pid: number | undefined;
  #cpuTicks = '';
  #since = Date.now();

  constructor(pid: number | undefined) {
    this.#pid = pid;
  }

  isStalled(): boolean {
    const ticks = cpuTicks(this.#pid);
    if (ticks !== this.#cpuTicks) {
      this.#cpuTicks = ticks;
      this.#since = Date.now();
    }
    return Date.now() - this.#since > STALL_MS;
  }
}

/** utime and stime of proc_pid_stat(5). */
function cpuTicks(pid: number | undefined): string {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${fields[11] ?? ''} ${fields[12] ?? ''}`;
  } catch {
    return '';
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

function failure(output: string, code: number): RunncError {
  const lines = output.split('\n').map((line) => line.trim());
  if (code === 127) {
    // "setpriv: failed to execute xorriso: No such file or directory", "sh: 1: mount: not found"
    const [, program = 'xorriso'] = /(\w+): (?:not found|No such file)/.exec(output) ?? [];
    const debianPackage = program === 'xorriso' ? 'xorriso' : 'util-linux';
    return new RunncError(
      'HOST',
      `${program} is missing: install it (Debian: apt-get install ${debianPackage})`,
    );
  }
  if (lines.some((line) => /no space left|quota exceeded|exceeds free space/i.test(line))) {
    return new NoSpaceError('the ISO image of the rootfs', output);
  }
  const reason =
    lines.find((line) => /FAILURE|FATAL|SORRY/.test(line)) ?? lines.findLast((line) => line !== '');
  return new RunncError('HOST', `xorriso failed (status ${String(code)}): ${reason ?? 'it said nothing'}`);
}
