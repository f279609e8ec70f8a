/** As whom a program of the image runs: process.user, with names looked up in the image's passwd(5) and group(5). */
import { closeSync, constants, fstatSync, readFileSync } from '../files.ts';
import { errnoOf, RunncError, shorten } from '../errors.ts';
import { openInRoot } from '../native.ts';
import type { User } from '../oci/spec.ts';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** "/" where the image knows none. */
  readonly home: string;
}

/** A line of passwd or group. */
interface Account {
  readonly name: string;
  readonly id: number;
  /** passwd: the user's group. */
  readonly gid: number;
  /** group: the names of its members. */
  readonly members: readonly string[];
  /** passwd: empty if there is none. */
  readonly home: string;
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_ID = 0xffff_fffe;

/**
 * Ids as config.json has them. Where it gives no uid but a username ("user" or "user:group", each a name or a number),
 * that is looked up in the image, and without a group the user is in all groups that the image puts it in.
 *
 * Throws INVALID for a name that the image does not have; `where` says who gave it.
 */
export function resolveUser(
  user: User = {},
  rootfsFd: number,
  where = 'config.json: process.user.username',
): ResolvedUser {
  const users = readAccounts(rootfsFd, '/etc/passwd');
  const { uid, gid = 0, additionalGids = [], username = '' } = user;
  if (username === '' || uid !== undefined) {
    return { uid: uid ?? 0, gid, groups: additionalGids, home: homeOf(users, uid ?? 0) };
  }
  const [userName = '', groupName] = username.split(':', 2);
  const account = find(users, userName);
  const id = account?.id ?? numeric(userName, where, '/etc/passwd', 'user');
  const groups = readAccounts(rootfsFd, '/etc/group');
  const home = homeOf(users, id);
  if (groupName !== undefined) {
    const group = find(groups, groupName)?.id ?? numeric(groupName, where, '/etc/group', 'group');
    return { uid: id, gid: group, groups: additionalGids, home };
  }
  const memberships = groups
    .filter(({ members }) => account !== undefined && members.includes(account.name))
    .map((group) => group.id);
  return { uid: id, gid: account?.gid ?? gid, groups: [...additionalGids, ...memberships], home };
}

function homeOf(users: readonly Account[], uid: number): string {
  const home = users.find(({ id }) => id === uid)?.home ?? '';
  return home === '' ? '/' : home;
}

function find(accounts: readonly Account[], nameOrId: string): Account | undefined {
  return accounts.find(({ name }) => name === nameOrId) ?? accounts.find(({ id }) => String(id) === nameOrId);
}

function numeric(text: string, where: string, file: string, what: string): number {
  if (isId(text)) return Number(text);
  throw new RunncError('INVALID', `${where}: ${file} of the image has no ${what} ${shorten(text)}`);
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= MAX_ID;
}

/** Lines that are none are passed over, as getpwent(3) does. A file that is not there has no accounts. */
function readAccounts(rootfsFd: number, path: '/etc/passwd' | '/etc/group'): Account[] {
  const accounts: Account[] = [];
  for (const line of readSmallFile(rootfsFd, path).split('\n')) {
    const [name = '', , id = '', fourth = '', , home = ''] = line.split(':');
    if (name === '' || !isId(id)) continue;
    const members = fourth.split(',').filter((member) => member !== '');
    accounts.push({ name, id: Number(id), gid: isId(fourth) ? Number(fourth) : 0, members, home });
  }
  return accounts;
}

function readSmallFile(rootfsFd: number, path: string): string {
  let fd: number;
  try {
    // Non-blocking: an image may have a fifo in its place.
    fd = openInRoot(rootfsFd, path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return '';
    throw new RunncError('HOST', `${path} of the image cannot be opened (${errno ?? String(error)})`, {
      cause: error,
    });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return '';
    if (stat.size > MAX_FILE_BYTES) {
      throw new RunncError(
        'INVALID',
        `${path} of the image: ${String(stat.size)} bytes are more than the allowed 4 MiB`,
      );
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
