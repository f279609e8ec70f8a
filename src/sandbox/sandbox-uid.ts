/**
 * A uid of its own for each container's sandbox, so that one that broke out could not reach another's process.
 * A claim is a symbolic link UID → the container's folder in one place for the whole host, whatever --root: making
 * it is atomic, and it is stale once that folder is gone.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkIfThere,
  symlinkSync,
  unlinkSync,
} from '../files.ts';
import { errorMessage, RunncError } from '../errors.ts';
import type { HostConfig, UidRange } from '../host-config.ts';
import { isHostRoot, mappedIds, stateFolder } from '../host-user.ts';
import { lockFile, tryLockFile } from '../native.ts';

/** No container id can be "@uids": in the default root it is nobody's folder. */
const claimsFolder = (): string => `${process.geteuid?.() === 0 ? stateFolder() : '/run/runnc'}/@uids`;

/** For root, of the host or of a user namespace: a uid for the container's sandbox, which no other has if there are several. */
export async function uidForSandbox({ uidRange }: HostConfig, containerFolder: string): Promise<number> {
  const range = isHostRoot() ? uidRange : mappedIds();
  return range.size === 1 ? range.start : claimUid(range, containerFolder);
}

/** A free uid of the range. Throws HOST when all are taken. */
export async function claimUid(
  range: UidRange,
  containerFolder: string,
  claims = claimsFolder(),
): Promise<number> {
  const lock = await lockClaims(claims);
  try {
    // Starting anywhere makes a first try nearly always succeed, and a uid is not used again at once.
    const first = Math.floor(Math.random() * range.size);
    for (let i = 0; i < range.size; i++) {
      const uid = range.start + ((first + i) % range.size);
      if (tryClaim(`${claims}/${String(uid)}`, containerFolder)) return uid;
    }
  } finally {
    closeSync(lock);
  }
  throw new RunncError(
    'HOST',
    `all ${String(range.size)} uids for sandboxes are taken: delete containers or widen uidRange in /etc/runnc/config.json`,
  );
}

/** Gives the uid back, if it is this container's. */
export function releaseUid(uid: number, containerFolder: string, claims = claimsFolder()): void {
  const claim = `${claims}/${String(uid)}`;
  if (ownerOf(claim) === containerFolder) unlinkSync(claim);
}

/** For a container whose uid is not known, because its creation was cut short before that was written down. */
export function releaseAllUids(containerFolder: string, claims = claimsFolder()): void {
  let names: string[];
  try {
    names = readdirSync(claims);
  } catch {
    return;
  }
  for (const name of names) releaseUid(Number(name), containerFolder, claims);
}

/** Under the lock, so that only one finds a claim stale. */
function tryClaim(claim: string, containerFolder: string): boolean {
  const owner = ownerOf(claim);
  if (owner !== undefined) {
    if (existsSync(owner)) return false;
    unlinkSync(claim);
  }
  try {
    symlinkSync(containerFolder, claim);
    return true;
  } catch (error) {
    throw new RunncError('HOST', `${claim}: cannot claim a uid: ${errorMessage(error)}`);
  }
}

function ownerOf(claim: string): string | undefined {
  try {
    return readlinkIfThere(claim);
  } catch {
    return undefined;
  }
}

async function lockClaims(claims: string): Promise<number> {
  let fd: number;
  try {
    mkdirSync(claims, { recursive: true, mode: 0o711 });
    fd = openSync(claims, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new RunncError('HOST', `${claims}: cannot be made: ${errorMessage(error)}`);
  }
  if (!tryLockFile(fd, 'exclusive')) await lockFile(fd, 'exclusive');
  return fd;
}
