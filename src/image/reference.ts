/**
 * Names of images as users write them, `[host[:port]/]path[:tag][@digest]`, and as everybody stores them: Docker's
 * rules put "docker.io/library/" and ":latest" where they are left out.
 */
import { RunncError, shorten } from '../errors.ts';
import { isDigest } from './digest.ts';

export interface Reference {
  /** With its port: "docker.io", "localhost:5000", "[::1]:5000". */
  readonly registry: string;
  /** "library/debian". */
  readonly repository: string;
  /** Absent only beside a digest. */
  readonly tag?: string;
  readonly digest?: string;
}

export const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_TAG = 'latest';
const MAX_REPOSITORY = 255;

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const HOST =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$/;

/** Throws INVALID, one line that says which part is wrong. */
export function parseReference(text: string): Reference {
  const fail = (why: string): RunncError => new RunncError('INVALID', `image name ${shorten(text)}: ${why}`);
  if (text === '') throw fail('is empty');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    throw fail(`expected "sha256:" and 64 hexadecimal digits behind "@", got ${shorten(digest)}`);
  }
  const name = at < 0 ? text : text.slice(0, at);
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) {
    throw fail(`the tag ${shorten(tag)} may have letters, digits, "_", "." and "-", 128 at most`);
  }
  const { registry, repository } = splitName(colon < 0 ? name : name.slice(0, colon));
  if (!HOST.test(registry)) throw fail(`${shorten(registry)} is no host name`);
  if (repository.length > MAX_REPOSITORY) throw fail(`the path is longer than ${String(MAX_REPOSITORY)}`);
  for (const component of repository.split('/')) {
    if (COMPONENT.test(component)) continue;
    const why = component !== component.toLowerCase() ? 'must be lower case' : 'is no path of a repository';
    throw fail(`${shorten(component === '' ? repository : component)} ${why}`);
  }
  const effectiveTag = tag ?? (digest === undefined ? DEFAULT_TAG : undefined);
  return {
    registry,
    repository,
    ...(effectiveTag === undefined ? {} : { tag: effectiveTag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The whole name: "docker.io/library/debian:12". */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  const end = (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);
  return `${registry}/${repository}${end}`;
}

/** As Docker shows it: "debian:12" for docker.io/library/debian:12. */
export function shortReference(reference: Reference): string {
  const full = formatReference(reference);
  if (reference.registry !== DEFAULT_REGISTRY) return full;
  return full.slice(`${DEFAULT_REGISTRY}/`.length).replace(/^library\//, '');
}

/** parseReference and formatReference: the name under which an image is stored. */
export function normalizeReference(text: string): string {
  return formatReference(parseReference(text));
}

/** The first component is a host if it looks like one, as Docker decides it. */
function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const registry = isHost ? first : DEFAULT_REGISTRY;
  const repository = isHost ? name.slice(slash + 1) : name;
  // What Docker Hub was called once.
  if (registry === DEFAULT_REGISTRY || registry === 'index.docker.io') {
    return {
      registry: DEFAULT_REGISTRY,
      repository: repository.includes('/') ? repository : `library/${repository}`,
    };
  }
  return { registry, repository };
}
