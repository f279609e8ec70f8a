/**
 * spt-cc: C files and a manifest.json → a unikernel. Bundled into dist/solo5/spt-cc.mjs; its folder holds
 * include/ and lib/.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RunncError, errorMessage } from '../src/errors.ts';
import { encodeManifestNote, parseManifestJson } from '../src/guest/manifest.ts';

const USAGE = `usage: spt-cc -o X.spt FILE.c... MANIFEST.json [-- GCC-FLAGS...]
Builds a Solo5 unikernel (spt ABI 2) from C files, assembler files, objects and archives.
Flags after -- go to gcc as they are. CC names another gcc. -v prints what is run.`;

/* What code for a unikernel must be compiled with. The canary is a global variable: the default place of it is
 * thread-local storage, of which a unikernel has none at start. */
const COMPILE = [
  '-std=gnu11',
  '-O2',
  '-g',
  '-nostdinc',
  '-ffreestanding',
  '-fno-pic',
  '-fno-pie',
  '-fstack-protector-strong',
  '-mstack-protector-guard=global',
  '-fcf-protection=none',
];

/* A page size of 4096: a unikernel is loaded page by page, whatever the linker's default for the host. */
const LINK = ['-static', '-no-pie', '-nostdlib', '-Wl,--build-id=none', '-z', 'max-page-size=4096'];

interface Options {
  readonly output: string;
  readonly manifest: string;
  readonly inputs: readonly string[];
  readonly gccFlags: readonly string[];
  readonly verbose: boolean;
}

function usageError(message: string): RunncError {
  return new RunncError('INVALID', `${message} (spt-cc --help shows the usage)`);
}

function parseArguments(args: readonly string[]): Options {
  const separator = args.indexOf('--');
  const own = separator === -1 ? args : args.slice(0, separator);
  const gccFlags = separator === -1 ? [] : args.slice(separator + 1);
  const inputs: string[] = [];
  const manifests: string[] = [];
  let output: string | undefined;
  let verbose = false;
  for (let i = 0; i < own.length; i++) {
    const arg = own[i] ?? '';
    if (arg === '-o') {
      output = own[++i];
      if (output === undefined) throw usageError('-o needs a file name');
    } else if (arg === '-v') verbose = true;
    else if (arg.startsWith('-')) throw usageError(`unknown option ${arg}: flags for gcc go after --`);
    else if (arg.endsWith('.json')) manifests.push(arg);
    else if (/\.(c|s|S|o|a)$/.test(arg)) inputs.push(arg);
    else throw usageError(`${arg} is neither a .c, .s, .S, .o or .a file nor a manifest .json`);
  }
  if (output === undefined) throw usageError('no output file: give -o X.spt');
  if (inputs.length === 0) throw usageError('no C file given');
  const [manifest, ...others] = manifests;
  if (manifest === undefined) throw usageError('no manifest.json given');
  if (others.length > 0) throw usageError(`two manifests given: ${manifest} and ${others.join(', ')}`);
  return { output, manifest, inputs, gccFlags, verbose };
}

/** The manifest as assembler source: a note named "Solo5" in a section that the linker script knows. */
function noteSource(content: Uint8Array): string {
  const NOTE_TYPE = 0x3154464d;
  return [
    '.section .note.solo5.manifest, "a", @note',
    '.balign 4',
    `.long 6, ${content.length}, ${NOTE_TYPE}`,
    '.asciz "Solo5"',
    '.balign 4',
    `.byte ${[...content].join(', ')}`,
    '.section .note.GNU-stack, "", @progbits',
    '',
  ].join('\n');
}

function readManifest(path: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new RunncError('INVALID', `${path}: ${errorMessage(error)}`);
  }
  return encodeManifestNote(parseManifestJson(text, path));
}

/** Runs gcc and returns its exit status; its own messages go to stderr as they are. */
function gcc(args: readonly string[], input: string, verbose: boolean): number {
  const cc = process.env.CC ?? 'gcc';
  if (verbose) process.stderr.write(`${cc} ${args.join(' ')}\n`);
  const result = spawnSync(cc, args, { input, stdio: ['pipe', 'inherit', 'inherit'] });
  if (result.error) throw new RunncError('HOST', `cannot run ${cc}: ${result.error.message}`);
  return result.status ?? 1;
}

/** The compiler's own headers (stddef.h, stdint.h, ...): the only ones beside solo5.h that a unikernel may use. */
function compilerHeaders(): string {
  const cc = process.env.CC ?? 'gcc';
  const result = spawnSync(cc, ['-print-file-name=include'], { encoding: 'utf8' });
  if (result.error)
    throw new RunncError('HOST', `cannot run ${cc}: ${result.error.message}; install gcc or set CC`);
  return result.stdout.trim();
}

function build(options: Options): number {
  const home = dirname(fileURLToPath(import.meta.url));
  const lib = join(home, 'lib');
  const note = readManifest(options.manifest);
  const partial = `${options.output}.${process.pid}.tmp`;
  try {
    const status = gcc(
      [
        ...COMPILE,
        '-isystem',
        compilerHeaders(),
        '-isystem',
        join(home, 'include'),
        ...LINK,
        '-T',
        join(lib, 'solo5_spt.ld'),
        '-o',
        partial,
        ...options.gccFlags,
        ...options.inputs,
        // From stdin: a temporary file's name would end up in the debug information, another one each time.
        '-x',
        'assembler',
        '-',
        '-x',
        'none',
        join(lib, 'solo5_spt.o'),
        join(lib, 'libsolo5rt.a'),
      ],
      noteSource(note),
      options.verbose,
    );
    if (status === 0) renameSync(partial, options.output);
    return status;
  } finally {
    rmSync(partial, { force: true });
  }
}

function main(args: readonly string[]): number {
  if (args.includes('--help') && !args.slice(0, args.indexOf('--help')).includes('--')) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  try {
    return build(parseArguments(args));
  } catch (error) {
    if (!(error instanceof RunncError)) throw error;
    process.stderr.write(`spt-cc: ${error.message}\n`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));
