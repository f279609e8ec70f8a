/**
 * Annotations that an image brings along as files, for Docker hands none of a manifest to its runtime: those of
 * /.runnc/annotations.json, and urunc's of /urunc.json, whose values are base64. config.json has the last word.
 *
 * The image's author is nobody's friend: of ours only those are taken that cannot reach anything of the host.
 */
import { closeSync, constants, fstatSync, O_PATH, openSync, readFileSync } from '../files.ts';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';
import { openInRoot } from '../native.ts';

export const ANNOTATIONS_FILE = '.runnc/annotations.json';
export const URUNC_FILE = 'urunc.json';
export const URUNC_PREFIX = 'com.urunc.unikernel.';

type Annotations = Readonly<Record<string, string>>;

const MAX_BYTES = 64 * 1024;

/** True if an image may say that of itself. */
export function isForImages(name: string, value: string): boolean {
  if (name.startsWith(URUNC_PREFIX)) return true;
  // A path would be one of the host's.
  if (name.startsWith('io.runnc.block.')) return value === 'rootfs' || value.startsWith('mount:');
  if (name === 'io.runnc.network') return value === 'none';
  return name === 'io.runnc.guest' || name === 'io.runnc.profile' || name.startsWith('io.runnc.net.');
}

/** Throws INVALID for files that are no such thing. `onWarning` is told what was left out. */
export function withImageAnnotations<Spec extends { readonly annotations?: Annotations }>(
  spec: Spec,
  rootfsFd: number,
  onWarning?: (message: string) => void,
): Spec {
  const urunc = readAnnotations(rootfsFd, URUNC_FILE);
  const own = readAnnotations(rootfsFd, ANNOTATIONS_FILE);
  if (urunc === undefined && own === undefined) return spec;
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...decoded(urunc ?? {}), ...own })) {
    if (isForImages(name, value)) found[name] = value;
    else onWarning?.(`annotation ${shorten(name)} of the image is left out: only config.json may set it`);
  }
  return { ...spec, annotations: { ...found, ...spec.annotations } };
}

/** undefined: there is no such file. */
function readAnnotations(rootfsFd: number, path: string): Annotations | undefined {
  const fail = (why: string): RunncError => new RunncError('INVALID', `/${path} in the rootfs ${why}`);
  let pathFd: number;
  try {
    pathFd = openInRoot(rootfsFd, path, O_PATH);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw fail(`cannot be opened: ${errorMessage(error)}`);
  }
  let fd: number | undefined;
  try {
    const stat = fstatSync(pathFd);
    if (!stat.isFile()) throw fail('is not a regular file');
    if (stat.size > MAX_BYTES) throw fail('has more than 64 KiB');
    fd = openSync(`/proc/self/fd/${String(pathFd)}`, constants.O_RDONLY);
    return parse(readFileSync(fd, 'utf8'), fail);
  } finally {
    closeSync(pathFd);
    if (fd !== undefined) closeSync(fd);
  }
}

function parse(text: string, fail: (why: string) => RunncError): Annotations {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail(`is not JSON: ${errorMessage(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('is not an object');
  for (const [name, content] of Object.entries(value)) {
    if (typeof content !== 'string') throw fail(`: ${shorten(name)} is not a string`);
  }
  return value as Annotations;
}

function decoded(annotations: Annotations): Annotations {
  return Object.fromEntries(
    Object.entries(annotations)
      .filter(([name]) => name.startsWith(URUNC_PREFIX))
      .map(([name, value]) => [name, Buffer.from(value, 'base64').toString()]),
  );
}
