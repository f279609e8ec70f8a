/** Finds process.args[0] in the rootfs and says which kind of guest runs it. */
import { closeSync, constants, fstatSync, openSync, readSync } from '../files.ts';
import { errnoOf, RunncError, shorten } from '../errors.ts';
import { openInRoot } from '../native.ts';
import type { Bundle } from '../oci/bundle.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import type { Mount } from '../oci/spec.ts';
import { normalize, resolve } from '../path.ts';
import { isBind } from '../rootfs/mounts.ts';
import type { Guest } from './guest.ts';
import { inspect, type LinuxInspection } from './inspect.ts';
import { isRumprun, rumprunCommandLine, type RumprunConfig } from './rumprun.ts';
import { solo5Guest } from './solo5.ts';

/** An open program of the image. */
interface Program {
  readonly fd: number;
  /** Absolute inside the rootfs. */
  readonly path: string;
}

/** Where programs are looked for. */
interface Root {
  readonly rootfsFd: number;
  /** What is mounted over it. */
  readonly mounts: readonly Mount[];
  /** The bundle's folder: relative sources of mounts are in it. */
  readonly bundle: string;
}

/** Non-blocking: opening a fifo must not wait for its other end. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const URUNC_MOUNT_POINT = 'com.urunc.unikernel.blkMntPoint';

export type ResolvedGuest =
  | { readonly kind: 'unikernel'; readonly guest: Guest }
  /** An ELF file or a script for Linux, by its absolute path inside the rootfs. */
  | {
      readonly kind: 'linux';
      readonly path: string;
      /** Of the file that will run (of a script its interpreter), if it can run at its own address alone. */
      readonly fixedBytes?: number;
    };

/** Told of what the guest will not see as it was asked for, one line each. */
type OnWarning = (message: string) => void;

/** Linux reads no more of a script (BINPRM_BUF_SIZE). */
const SCRIPT_LINE_BYTES = 256;

/** execvp(3): what is searched when the image sets no PATH. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The guest that runs process.args. Paths and links never leave the rootfs. The caller closes the kernel's
 * descriptor.
 *
 * Throws EXEC_NOT_FOUND and EXEC_DENIED in the words that callers turn into the exit statuses 127 and 126, and
 * what the guest's own kind has to refuse.
 */
export function resolveGuest(
  { spec, path: bundle }: Pick<Bundle, 'spec' | 'path'>,
  rootfsFd: number,
  onWarning: OnWarning = () => undefined,
): ResolvedGuest {
  const root: Root = { rootfsFd, bundle, mounts: spec.mounts ?? [] };
  const program = findProgram(spec, root);
  let isUnikernel = false;
  try {
    const guest = guestOf(program, root, spec, onWarning);
    isUnikernel = guest.kind === 'unikernel';
    return guest;
  } finally {
    if (!isUnikernel) closeSync(program.fd);
  }
}

function guestOf({ fd, path }: Program, root: Root, spec: RunnableSpec, onWarning: OnWarning): ResolvedGuest {
  const inspection = inspect(fd, path);
  const args = spec.process.args.slice(1);
  const annotations = spec.annotations ?? {};
  switch (inspection.kind) {
    case 'solo5': {
      if (!isRumprun(path, annotations)) {
        return { kind: 'unikernel', guest: solo5Guest({ fd, path, inspection, args, annotations }) };
      }
      const guest = solo5Guest({ fd, path, inspection, args: [], annotations: {} });
      const { text, warnings } = rumprunCommandLine(rumprunConfig(spec, guest));
      warnings.forEach(onWarning);
      return { kind: 'unikernel', guest: { ...guest, kind: 'rumprun', args: [text] } };
    }
    case 'linux':
      return { kind: 'linux', path, ...fixedBytes(fd, inspection) };
    case 'script':
      return { kind: 'linux', path, ...fixedBytesOfInterpreter(fd, root) };
    case 'foreign':
      throw new RunncError('EXEC_DENIED', `exec: ${shorten(path)}: exec format error: ${inspection.what}`);
    case 'not-elf':
      throw new RunncError(
        'EXEC_DENIED',
        `exec: ${shorten(path)}: exec format error: neither an ELF file nor a "#!" script`,
      );
  }
}

type FixedBytes = Pick<Extract<ResolvedGuest, { kind: 'linux' }>, 'fixedBytes'>;

/** Files that can run anywhere are linked to begin at 0. */
function fixedBytes(fd: number, { segments }: LinuxInspection): FixedBytes {
  return segments[0] !== undefined && segments[0].address > 0n ? { fixedBytes: fstatSync(fd).size } : {};
}

/** What cannot be run is for the guest to tell, as Linux does: here it is only not prepared for. */
function fixedBytesOfInterpreter(script: number, root: Root): FixedBytes {
  const line = Buffer.alloc(SCRIPT_LINE_BYTES);
  const text = line.toString('latin1', 0, readSync(script, line, 0, line.length, 0));
  const path = /^#![ \t]*(\/[^\s\0]+)/.exec(text)?.[1];
  if (path === undefined) return {};
  let interpreter: Program | undefined;
  try {
    interpreter = openProgram(root, path, path);
    const inspection = inspect(interpreter.fd, path);
    return inspection.kind === 'linux' ? fixedBytes(interpreter.fd, inspection) : {};
  } catch (error) {
    if (error instanceof RunncError) return {};
    throw error;
  } finally {
    if (interpreter !== undefined) closeSync(interpreter.fd);
  }
}

/** What a rumprun guest is told, but for its network. */
export function rumprunConfig(spec: RunnableSpec, { manifest }: Pick<Guest, 'manifest'>): RumprunConfig {
  const { args, env = [], cwd } = spec.process;
  const hasBlock = manifest.devices.some(({ type }) => type === 'BLOCK_BASIC');
  const blockMountPoint = spec.annotations?.[URUNC_MOUNT_POINT] ?? '/';
  return { args, env, cwd, ...(hasBlock ? { blockMountPoint } : {}) };
}

function findProgram({ process }: RunnableSpec, root: Root): Program {
  const name = process.args[0] ?? '';
  if (name.includes('/')) {
    return openProgram(root, name.startsWith('/') ? name : `${process.cwd}/${name}`, name);
  }
  let denied: unknown;
  for (const folder of searchPath(process.env ?? [])) {
    try {
      return openProgram(
        root,
        `${folder.startsWith('/') ? folder : `${process.cwd}/${folder}`}/${name}`,
        name,
      );
    } catch (error) {
      // As execvp(3): a program that may not be executed is remembered, the search goes on.
      if (!(error instanceof RunncError) || error.code !== 'EXEC_NOT_FOUND') denied ??= error;
    }
  }
  if (denied !== undefined) throw denied;
  throw new RunncError('EXEC_NOT_FOUND', `exec: ${shorten(name)}: executable file not found in $PATH`);
}

function searchPath(env: readonly string[]): readonly string[] {
  // The last one counts, as it does for the program.
  const entry = env.findLast((variable) => variable.startsWith('PATH='));
  return (entry?.slice('PATH='.length) ?? DEFAULT_PATH).split(':');
}

/** `name` is how config.json has it. */
function openProgram(root: Root, path: string, name: string): Program {
  const exec = `exec: ${shorten(name)}`;
  let fd: number;
  try {
    fd = openMounted(root, path) ?? openInRoot(root.rootfsFd, path, OPEN_FLAGS);
  } catch (error) {
    throw notOpened(error, exec, name);
  }
  const stat = fstatSync(fd);
  if (stat.isFile() && (stat.mode & 0o111) !== 0) return { fd, path };
  closeSync(fd);
  if (stat.isDirectory()) throw new RunncError('EXEC_DENIED', `${exec}: is a directory: permission denied`);
  throw new RunncError(
    'EXEC_DENIED',
    stat.isFile()
      ? `${exec}: permission denied: the file is not executable (chmod +x)`
      : `${exec}: permission denied: it is not a regular file`,
  );
}

/** A single file that is bind-mounted on this path, as Docker does with its init (--init). */
function openMounted({ mounts, bundle }: Root, path: string): number | undefined {
  const wanted = normalize(path);
  const mount = mounts.findLast(({ destination }) => resolve('/', destination) === wanted);
  if (mount?.source === undefined || !isBind(mount)) return undefined;
  const fd = openSync(resolve(bundle, mount.source), OPEN_FLAGS);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return undefined;
}

function notOpened(error: unknown, exec: string, name: string): RunncError {
  const errno = errnoOf(error);
  switch (errno) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new RunncError('EXEC_NOT_FOUND', `${exec}: stat ${shorten(name)}: no such file or directory`);
    case 'ELOOP':
      return new RunncError('EXEC_NOT_FOUND', `${exec}: too many links: no such file or directory`);
    case 'ENAMETOOLONG':
      return new RunncError('EXEC_NOT_FOUND', `${exec}: the name is too long: no such file or directory`);
    case 'EACCES':
    case 'ENXIO':
    case 'EPERM':
      return new RunncError('EXEC_DENIED', `${exec}: permission denied`);
    default:
      return new RunncError('HOST', `${exec}: cannot be opened (${errno ?? String(error)})`, {
        cause: error,
      });
  }
}
