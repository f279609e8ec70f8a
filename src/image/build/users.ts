/** Users and groups by the names that a stage's own /etc/passwd and /etc/group give them. */
import { RunncError, shorten } from '../../errors.ts';
import type { Owner } from './changes.ts';

/** The text of a file of the stage; undefined: there is none. */
export type ReadText = (path: string) => Promise<string | undefined>;

const MAX_ID = 0xfffffffe;

/** "user", "user:group", by name or number. A user alone brings its own group; a number alone is group too. */
export async function resolveOwner(text: string, readText: ReadText): Promise<Owner> {
  const [user = '', group] = splitOwner(text);
  const { uid, gid } = await resolveUser(user, readText);
  return { uid, gid: group === undefined ? gid : await resolveGroup(group, readText) };
}

function splitOwner(text: string): string[] {
  const parts = text.split(':');
  if (parts.length <= 2 && parts.every((part) => part !== '')) return parts;
  throw new RunncError('INVALID', `expected "user" or "user:group", got ${shorten(text)}`);
}

async function resolveUser(user: string, readText: ReadText): Promise<Owner> {
  const id = number(user);
  if (id !== undefined) return { uid: id, gid: id };
  const line = (await lines('/etc/passwd', readText)).find(([name]) => name === user);
  const [uid, gid] = [number(line?.[2]), number(line?.[3])];
  if (uid === undefined || gid === undefined) throw missing('user', user, '/etc/passwd');
  return { uid, gid };
}

async function resolveGroup(group: string, readText: ReadText): Promise<number> {
  const id = number(group);
  if (id !== undefined) return id;
  const line = (await lines('/etc/group', readText)).find(([name]) => name === group);
  const gid = number(line?.[2]);
  if (gid === undefined) throw missing('group', group, '/etc/group');
  return gid;
}

export interface RunUser extends Owner {
  readonly additionalGids: readonly number[];
  readonly home: string;
}

/** What a program runs as: also its home, and the other groups of a user without a group of its own choice. */
export async function resolveRunUser(text: string, readText: ReadText): Promise<RunUser> {
  const [user = '', group] = splitOwner(text === '' ? '0' : text);
  const passwd = await lines('/etc/passwd', readText);
  const line = passwd.find(([name, , uid]) => name === user || uid === user);
  const uid = number(user) ?? number(line?.[2]);
  if (uid === undefined) throw missing('user', user, '/etc/passwd');
  const gid = group === undefined ? (number(line?.[3]) ?? 0) : await resolveGroup(group, readText);
  const additionalGids =
    group === undefined && line !== undefined
      ? (await lines('/etc/group', readText)).flatMap(([, , id, members = '']) => {
          const other = number(id);
          return other !== undefined && members.split(',').includes(line[0] ?? '') ? [other] : [];
        })
      : [];
  // As Docker: a program that looks at its groups only finds its own among them.
  return { uid, gid, additionalGids: [...additionalGids, gid], home: line?.[5] ?? '/' };
}

async function lines(path: string, readText: ReadText): Promise<readonly (readonly string[])[]> {
  return ((await readText(path)) ?? '').split('\n').map((line) => line.split(':'));
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

function missing(kind: string, name: string, file: string): RunncError {
  return new RunncError('NOT_FOUND', `the ${kind} ${shorten(name)} does not exist in ${file} of the stage`);
}
