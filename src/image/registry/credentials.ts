/**
 * Users' credentials for registries, from where docker keeps them: $DOCKER_CONFIG/config.json or ~/.docker/config.json, and
 * the helper programs that it names (docker-credential-NAME).
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { errnoOf, errorMessage, RunncError, shorten } from '../../errors.ts';
import { object, record, type Schema, string, validate } from '../../oci/schema.ts';
import { DEFAULT_REGISTRY } from '../reference.ts';

export type Credentials =
  | { readonly type: 'password'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token. */
  | { readonly type: 'identity-token'; readonly token: string };

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

const schema: Schema<DockerConfig> = object<DockerConfig>(
  {},
  {
    auths: record(
      object<AuthEntry>({}, { auth: string, username: string, password: string, identitytoken: string }),
    ),
    credHelpers: record(string),
    credsStore: string,
  },
);

/** Under which Docker Hub has always been kept. */
const DOCKER_HUB = 'https://index.docker.io/v1/';
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const HELPER_TIMEOUT_MS = 60_000;
const MAX_HELPER_OUTPUT = 1024 * 1024;

export function credentialsFile(env: NodeJS.ProcessEnv = process.env): string {
  return `${env['DOCKER_CONFIG'] ?? `${env['HOME'] ?? homedir()}/.docker`}/config.json`;
}

/** For a registry as references name it ("docker.io", "localhost:5000"). Throws INVALID, HOST for a helper that fails. */
export async function findCredentials(
  registry: string,
  file = credentialsFile(),
): Promise<Credentials | undefined> {
  const config = validConfig(readConfig(file), file);
  const helper = helperFor(config, registry);
  if (helper !== undefined) {
    const found = await askHelper(helper, 'get', serverName(registry));
    if (found !== undefined) return parseHelperAnswer(found, helper);
    if (config.credHelpers?.[registry] !== undefined) return undefined;
  }
  for (const [key, entry] of Object.entries(config.auths ?? {})) {
    if (hostOf(key) === hostOf(serverName(registry)))
      return fromEntry(entry, `${file}: auths[${shorten(key)}]`);
  }
  return undefined;
}

/** Where they are found again. Returns what to tell the user of it. */
export async function storeCredentials(
  registry: string,
  { username, password }: { readonly username: string; readonly password: string },
  file = credentialsFile(),
): Promise<string | undefined> {
  const raw = readConfig(file);
  const helper = helperFor(validConfig(raw, file), registry);
  if (helper !== undefined) {
    const entry = { ServerURL: serverName(registry), Username: username, Secret: password };
    await askHelper(helper, 'store', JSON.stringify(entry));
    return undefined;
  }
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  writeConfig(file, {
    ...raw,
    auths: { ...(raw['auths'] as object | undefined), [serverName(registry)]: { auth } },
  });
  return `the password is kept unencrypted in ${file}; a credential helper ("credsStore") would do better`;
}

/** False if there were none. */
export async function removeCredentials(registry: string, file = credentialsFile()): Promise<boolean> {
  const raw = readConfig(file);
  const config = validConfig(raw, file);
  const helper = helperFor(config, registry);
  if (helper !== undefined) await askHelper(helper, 'erase', serverName(registry));
  const kept = Object.entries(config.auths ?? {}).filter(
    ([key]) => hostOf(key) !== hostOf(serverName(registry)),
  );
  if (kept.length === Object.keys(config.auths ?? {}).length) return helper !== undefined;
  writeConfig(file, { ...raw, auths: Object.fromEntries(kept) });
  return true;
}

function serverName(registry: string): string {
  return registry === DEFAULT_REGISTRY ? DOCKER_HUB : registry;
}

/** Keys are hosts, or URLs in older files. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/s, '');
}

function helperFor(config: DockerConfig, registry: string): string | undefined {
  const helpers = config.credHelpers ?? {};
  const name = (Object.hasOwn(helpers, registry) ? helpers[registry] : undefined) ?? config.credsStore;
  if (name === undefined || name === '') return undefined;
  if (HELPER_NAME.test(name)) return `docker-credential-${name}`;
  throw new RunncError('INVALID', `${credentialsFile()}: ${shorten(name)} is no name of a credential helper`);
}

/** Everything that is in it: other programs' fields are kept. */
function readConfig(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return {};
    throw new RunncError('HOST', `${file}: cannot be read: ${errorMessage(error)}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Not shown: it may be a password that breaks it.
  }
  throw new RunncError('INVALID', `${file}: is no JSON object: mend it or move it away`);
}

function validConfig(raw: object, file: string): DockerConfig {
  try {
    return validate(schema, structuredClone(raw));
  } catch (error) {
    throw new RunncError('INVALID', `${file}: ${errorMessage(error)}`);
  }
}

function writeConfig(file: string, value: object): void {
  const temporary = `${file}.${crypto.randomUUID()}`;
  try {
    mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, `${JSON.stringify(value, null, '\t')}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new RunncError('HOST', `${file}: cannot be written: ${errorMessage(error)}`);
  }
}

function fromEntry(entry: AuthEntry, where: string): Credentials | undefined {
  if (entry.identitytoken !== undefined && entry.identitytoken !== '') {
    return { type: 'identity-token', token: entry.identitytoken };
  }
  if (entry.auth !== undefined && entry.auth !== '') {
    const text = Buffer.from(entry.auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = text.indexOf(':');
    if (colon <= 0) throw new RunncError('INVALID', `${where}.auth: is not base64 of "user:password"`);
    return { type: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  const { username, password } = entry;
  // An empty entry says that a helper has them.
  return username === undefined || password === undefined
    ? undefined
    : { type: 'password', username, password };
}

function parseHelperAnswer(text: string, helper: string): Credentials {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw new RunncError('HOST', `${helper} get: gave no Username and Secret`);
  }
  return username === '<token>'
    ? { type: 'identity-token', token: secret }
    : { type: 'password', username, password: secret };
}

/** undefined: it has none. */
function askHelper(
  program: string,
  verb: 'get' | 'store' | 'erase',
  input: string,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'inherit'], timeout: HELPER_TIMEOUT_MS });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output = (output + data.toString()).slice(0, MAX_HELPER_OUTPUT);
    });
    child.on('error', (error) => {
      const why = errnoOf(error) === 'ENOENT' ? 'is not installed' : `cannot be run: ${errorMessage(error)}`;
      reject(new RunncError('HOST', `credential helper ${program} ${why}`));
    });
    child.on('close', (status) => {
      if (status === 0) resolve(output);
      else if (verb !== 'store' && /credentials not found/i.test(output)) resolve(undefined);
      // Its output is not shown: it might be a secret.
      else
        reject(
          new RunncError('HOST', `credential helper ${program} ${verb} failed (status ${String(status)})`),
        );
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
