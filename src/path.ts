/**
 * node:path as far as the verbs need it whose start-up time counts, and with its semantics: that module takes the one-file
 * program 0.3 ms to load.
 */

/** Absolute, from the working directory if no part is; without ".", ".." and empty parts. */
export function resolve(...parts: readonly string[]): string {
  let path = '';
  for (const part of parts) path = part.startsWith('/') ? part : `${path}/${part}`;
  if (!parts.some((part) => part.startsWith('/'))) path = `${process.cwd()}${path}`;
  return `/${clean(path, false)}`;
}

export function join(...parts: readonly string[]): string {
  return normalize(parts.filter((part) => part !== '').join('/'));
}

/** A slash at the end stays. */
export function normalize(path: string): string {
  const isAbsolute = path.startsWith('/');
  const cleaned = clean(path, !isAbsolute);
  const end = path.endsWith('/') && cleaned !== '' ? '/' : '';
  if (isAbsolute) return `/${cleaned}${end}`;
  return cleaned === '' ? `.${path.endsWith('/') ? '/' : ''}` : `${cleaned}${end}`;
}

export function dirname(path: string): string {
  const name = withoutSlashes(path);
  const slash = name.lastIndexOf('/');
  if (slash < 0) return path.startsWith('/') ? '/' : '.';
  // Two slashes at the beginning may mean something of their own (POSIX).
  if (slash === 1 && path.startsWith('//')) return '//';
  return slash === 0 ? '/' : name.slice(0, slash);
}

export function basename(path: string): string {
  const name = withoutSlashes(path);
  return name.slice(name.lastIndexOf('/') + 1);
}

/** `above`: leading ".." are kept. */
function clean(path: string, above: boolean): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept[kept.length - 1] !== '..') kept.pop();
    else if (above) kept.push(part);
  }
  return kept.join('/');
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (end > 0 && path.charAt(end - 1) === '/') end--;
  return path.slice(0, end);
}
