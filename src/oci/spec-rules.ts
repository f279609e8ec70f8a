/**
 * What a well-typed config.json must keep beyond its types: fields that need one another, and paths that must
 * be there. Rules that belong to one guest or one part of the sandbox stand with that part.
 */
import { statSync } from '../files.ts';
import { errnoOf, RunncError, shorten } from '../errors.ts';
import type { Linux, Namespace, NamespaceType, Process, Spec } from './spec.ts';

/** A Spec that can be run: these parts are there, args is not empty. */
export interface RunnableSpec extends Spec {
  readonly process: RunnableProcess;
  readonly root: NonNullable<Spec['root']>;
}

export interface RunnableProcess extends Process {
  readonly args: readonly string[];
}

export function checkRules(spec: Spec): asserts spec is RunnableSpec {
  const { process, root, linux = {} } = spec;
  if (process === undefined) throw invalid('process: is required (an object)');
  checkProcess(process, 'process.');
  if (root === undefined) throw invalid('root: is required (an object)');
  checkNamespaces(linux.namespaces ?? []);
  checkNeededNamespaces(spec, linux);
  for (const [key, value] of Object.entries(spec.annotations ?? {})) {
    if (key === '') throw invalid(`annotations: expected keys that are not empty (value ${shorten(value)})`);
  }
  for (const key of Object.keys(linux.sysctl ?? {})) checkSysctl(key, linux);
}

/** `at` stands before the names of fields in errors. */
export function checkProcess(process: Process, at: string): asserts process is RunnableProcess {
  if (process.args === undefined) throw invalid(`${at}args: is required (a non-empty array of strings)`);
  if (process.args[0] === '') throw invalid(`${at}args[0]: expected the name of a program, got ""`);
  checkRlimits(process, at);
}

function checkRlimits(process: Process, prefix: string): void {
  const seen = new Set<string>();
  for (const [i, rlimit] of (process.rlimits ?? []).entries()) {
    const at = `${prefix}rlimits[${String(i)}]`;
    if (seen.has(rlimit.type)) throw invalid(`${at}.type: ${rlimit.type} is there twice`);
    seen.add(rlimit.type);
    if (rlimit.soft > rlimit.hard) {
      throw invalid(`${at}.soft: ${String(rlimit.soft)} is more than the hard limit ${String(rlimit.hard)}`);
    }
  }
}

function checkNamespaces(namespaces: readonly Namespace[]): void {
  const seen = new Set<NamespaceType>();
  for (const [i, { type, path = '' }] of namespaces.entries()) {
    const at = `linux.namespaces[${String(i)}]`;
    if (seen.has(type)) throw invalid(`${at}.type: "${type}" is there twice`);
    seen.add(type);
    if (path === '') continue;
    try {
      statSync(path);
    } catch (error) {
      throw invalid(`${at}.path: ${shorten(path)} ${whyNot(error)}`);
    }
  }
}

/** Settings that would otherwise change the host's own namespace. */
function checkNeededNamespaces(spec: Spec, linux: Linux): void {
  const needs = (field: string, type: NamespaceType): void => {
    if (!hasNamespace(linux, type)) {
      throw invalid(`${field}: needs a namespace of its own: add {"type": "${type}"} to linux.namespaces`);
    }
  };
  if (spec.hostname !== undefined && spec.hostname !== '') needs('hostname', 'uts');
  if (spec.domainname !== undefined && spec.domainname !== '') needs('domainname', 'uts');
  if (Object.keys(linux.timeOffsets ?? {}).length > 0) needs('linux.timeOffsets', 'time');
  for (const clock of Object.keys(linux.timeOffsets ?? {})) {
    if (clock !== 'monotonic' && clock !== 'boottime') {
      throw invalid(`linux.timeOffsets: expected "monotonic" or "boottime", got ${shorten(clock)}`);
    }
  }
  for (const field of ['uidMappings', 'gidMappings'] as const) {
    const count = linux[field]?.length ?? 0;
    if (count > 0) needs(`linux.${field}`, 'user');
    else if (isNew(linux, 'user')) {
      throw invalid(`linux.${field}: is required (a non-empty array) with a new user namespace`);
    }
  }
}

/** Only settings that live in a namespace of the container: others would change the host. */
function checkSysctl(key: string, linux: Linux): void {
  const name = key.replaceAll('/', '.');
  const at = `linux.sysctl[${shorten(key)}]`;
  const type = sysctlNamespace(name);
  if (type === undefined || name.split('.').includes('')) {
    throw invalid(`${at}: belongs to no namespace, so setting it would change the host`);
  }
  if (!hasNamespace(linux, type)) {
    throw invalid(`${at}: needs a namespace of its own: add {"type": "${type}"} to linux.namespaces`);
  }
}

function sysctlNamespace(name: string): NamespaceType | undefined {
  if (name.startsWith('net.')) return 'network';
  if (name.startsWith('fs.mqueue.')) return 'ipc';
  if (/^kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)$/.test(name)) return 'ipc';
  if (name === 'kernel.domainname' || name === 'kernel.hostname') return 'uts';
  return undefined;
}

function hasNamespace(linux: Linux, type: NamespaceType): boolean {
  return linux.namespaces?.some((namespace) => namespace.type === type) ?? false;
}

function isNew(linux: Linux, type: NamespaceType): boolean {
  return linux.namespaces?.some((entry) => entry.type === type && (entry.path ?? '') === '') ?? false;
}

/** "does not exist" and the like, for a path whose stat failed. */
export function whyNot(error: unknown): string {
  switch (errnoOf(error)) {
    case 'ENOENT':
      return 'does not exist';
    case 'ENOTDIR':
      return 'has a file where a directory should be';
    case 'EACCES':
      return 'cannot be reached: permission denied';
    case 'ELOOP':
      return 'has too many symbolic links';
    default:
      return `cannot be read (${errnoOf(error) ?? String(error)})`;
  }
}

function invalid(message: string): RunncError {
  return new RunncError('INVALID', message);
}
