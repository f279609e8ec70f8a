/**
 * The typed door to the addon (tender/addon): the system calls that JavaScript has no other way to make.
 * Thin on purpose: one function, one call, nothing decided. Failures are thrown as Error with `code` ("ENOENT",
 * see errnoOf), `errno` and `syscall`, like those of node:fs. Every descriptor that comes out is close-on-exec.
 *
 * The addon is loaded by the first call, not by the import; by the one-file program at its start.
 */
import type { RawStat } from './files.ts';
import { type AddonName, embeddedPath, missing, partPath } from './parts.ts';

/** How a process ended. */
export type ExitStatus =
  /** 0 to 255. */
  | { readonly type: 'exited'; readonly code: number }
  /** Signal number, 1 to 64. */
  | { readonly type: 'signaled'; readonly signal: number };

export interface SpawnOptions {
  /** Descriptor on the executable (execveat with AT_EMPTY_PATH): a static ELF, e.g. from sealedMemfd. */
  readonly executableFd: number;
  readonly argv: readonly string[];
  /** "KEY=VALUE"; nothing is inherited. */
  readonly environment: readonly string[];
  /** Element i becomes descriptor i of the child; no other descriptor is open in it. */
  readonly descriptors: readonly number[];
}

export interface SpawnedProcess {
  readonly pid: number;
  /** The caller owns it. */
  readonly pidfd: number;
}

/** One message of a UNIX socket. */
export interface SocketMessage {
  /** Empty at end of file: the other end is closed (none of our protocols sends empty messages). */
  readonly data: Buffer;
  /** Descriptors that came with it; the receiver owns them. */
  readonly fds: readonly number[];
  /** The sender as seen by this process, vouched for by the kernel; only on sockets of socketPair(). */
  readonly senderPid?: number;
}

export interface TreeScan {
  readonly records: Buffer;
  /** The latest ctime of all entries. */
  readonly latestChangeNs: bigint;
  /** The root counts as one. */
  readonly entries: number;
  /** Sizes of the regular files, each link counted. */
  readonly fileBytes: number;
  /** overlayfs: a name or a content is in another layer. */
  readonly isIndirect: boolean;
  /** A file system of the kernel's own (proc and the like) is mounted in it: what is in that was left out. */
  readonly hasKernelFs: boolean;
}

/** In characters, 0 to 65535. */
export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Starts a program: all signals default and unblocked, its own descriptors only. The child stays ours to wait
 * for. Returns once the program is executed; a failure to execute is thrown (`syscall` "execveat").
 */
export function spawn(options: SpawnOptions): SpawnedProcess {
  return addon().spawn(options.executableFd, options.argv, options.environment, options.descriptors);
}

/**
 * Resolves when reading from `fd` would not block: data, end of file or error; for a pidfd: the process is dead.
 *
 * What comes within `holdMs` milliseconds (0 to 1000) is waited for on the spot, event loop and all. For what is due any
 * moment that is the cheaper way: the other one starts a thread.
 */
export function waitReadable(fd: number, holdMs = 0): Promise<void> {
  return isReadable(fd, holdMs) ? Promise.resolve() : addon().waitReadable(fd);
}

/** Whether it is so within `holdMs` milliseconds (0 to 1000), for which this process waits, event loop and all. */
export function isReadable(fd: number, holdMs: number): boolean {
  return addon().pollReadable(fd, holdMs);
}

/** Waits for a child of ours and reaps it. ECHILD if it is not our child. The pidfd stays open. */
export async function waitExit(pidfd: number, holdMs = 0): Promise<ExitStatus> {
  await waitReadable(pidfd, holdMs);
  return addon().reap(pidfd);
}

/** pidfd_open(2). ESRCH if there is no such process. Check the start time afterwards: see sandbox/process.ts. */
export function pidfdOpen(pid: number): number {
  return addon().pidfdOpen(pid);
}

/**
 * pidfd_getfd(2): a descriptor of another process, as one of ours. EPERM if that process may not be traced by this one
 * (or by nobody, with Yama's ptrace_scope 3), EBADF if it is not open there, ESRCH if the process is dead.
 */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return addon().pidfdGetfd(pidfd, fd);
}

/** pidfd_send_signal(2). ESRCH if the process is dead and reaped. Signal 0 only asks. */
export function pidfdSendSignal(pidfd: number, signal: number): void {
  addon().pidfdSendSignal(pidfd, signal);
}

/**
 * A memfd with the given content that nobody can change any more, not even through /proc (F_SEAL_WRITE, GROW,
 * SHRINK, SEAL, EXEC). 'executable' may be executed but not read, not even by its owner: a process that may not read
 * its own executable is not dumpable from its first instruction on, which keeps its /proc files from its user.
 * 'readable-executable' is without that. `name` is for /proc/PID/fd only.
 */
export function sealedMemfd(
  name: string,
  content: Uint8Array,
  kind: 'data' | 'executable' | 'readable-executable',
): number {
  const modes = { data: 0o400, executable: 0o111, 'readable-executable': 0o500 };
  return addon().sealedMemfd(name, content, modes[kind]);
}

/** A memfd of `bytes` zeros whose size stays, to be mapped by two processes. `name` is for /proc/PID/fd only. */
export function windowMemfd(name: string, bytes: number): number {
  return addon().windowMemfd(name, bytes);
}

/** An empty memfd, not executable, to be written. `name` is for /proc/PID/fd only. */
export function memfd(name: string): number {
  return addon().memfd(name);
}

/**
 * open_tree(2) with OPEN_TREE_CLONE: the folder without what is mounted inside it, as an O_PATH descriptor. Links in
 * `path` are followed. Needs CAP_SYS_ADMIN.
 */
export function openTree(path: string): number {
  return addon().openTree(path);
}

/**
 * openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: the folder `rootFd` is "/" for the whole path, links and
 * ".." included. `flags` are those of node:fs constants; `mode` counts with O_CREAT only.
 */
export function openInRoot(rootFd: number, path: string | Buffer, flags: number, mode = 0): number {
  return addon().openInRoot(rootFd, path, flags, mode);
}

/** mknodat(2) in an open folder: a device, FIFO or socket. `mode` holds its type and permissions, less the umask. */
export function makeNode(folderFd: number, name: Buffer, mode: number, major = 0, minor = 0): void {
  addon().makeNode(folderFd, name, mode, major, minor);
}

/** syncfs(2): waits until all that was written to the file system of `fd` is on disk. */
export function syncFileSystem(fd: number): void {
  addon().syncFileSystem(fd);
}

/** flock(2), given back when the last descriptor of this open file is closed. Resolves when the lock is held. */
export function lockFile(fd: number, kind: 'shared' | 'exclusive'): Promise<void> {
  return addon().lockFile(fd, kind === 'exclusive');
}

/** The same without waiting: false if somebody else holds it. */
export function tryLockFile(fd: number, kind: 'shared' | 'exclusive'): boolean {
  return addon().tryLockFile(fd, kind === 'exclusive');
}

/**
 * Every entry below the open folder `rootFd` (which may be O_PATH) as lstat(2) sees it, no link followed, nothing but
 * folders opened: packed records that rootfs/tree.ts reads, in the byte order of names, so that equal trees give equal
 * bytes. What is mounted inside belongs to it, but for the kernel's own file systems (proc and the like), whose folder
 * is marked and left empty. `overlay` adds what overlayfs notes in extended attributes, `targets` what links point to.
 * Errors have `path` (a Buffer) inside the tree; ELOOP: nested deeper than 512 folders.
 */
export function scanTree(rootFd: number, overlay: boolean, targets: boolean): TreeScan {
  return addon().scanTree(rootFd, overlay, targets);
}

/** SEEK_DATA and SEEK_HOLE of lseek(2): [start, end) of the next data at or after `offset`, undefined if there is none. */
export function nextData(fd: number, offset: number): readonly [number, number] | undefined {
  return addon().nextData(fd, offset);
}

/** 16 bytes that tell content from damaged content (XXH3); whoever wants to can find other content with the same. */
export function checksum(data: Uint8Array): Buffer {
  return addon().checksum(data);
}

/** SHA-256, 32 bytes. On the spot and without the processor's own instructions for it: for what is short. */
export function sha256(data: Uint8Array): Buffer {
  return addon().sha256(data);
}

/** How readParts() ended: the buffer is full or there are no more parts, or a part cannot be read so. */
export const PARTS_READ = 0;
export const PART_CHANGED = 1;
export const PART_SPARSE = 2;

/**
 * Reads parts of scanned files (packed as rootfs/content.ts does) into `out`, one behind the other. `state` holds the
 * place in `parts` (bytes), what is done of the part there (bytes), and what is filled of `out`; it is moved on, and true
 * of the part that failed. A file is opened only if it is the one that was scanned, unchanged.
 */
export function readParts(parts: Uint8Array, out: Uint8Array, state: Float64Array): number {
  return addon().readParts(parts, out, state);
}

/** A pair of connected SOCK_SEQPACKET sockets, non-blocking on our side [0], blocking on the other [1]. */
export function socketPair(): readonly [number, number] {
  return addon().socketPair();
}

/** A pair for a guest's channel: messages, and nothing told of who sent them. */
export function channelPair(): readonly [number, number] {
  return addon().channelPair();
}

/** The two ends of a pipe, to read from and to write to, with room for `bytes` where the user may have so much. */
export function pipePair(bytes: number): readonly [number, number] {
  return addon().pipePair(bytes);
}

/** A listening UNIX stream socket `name` in the folder `directoryFd`, whatever the length of the folder's path. */
export function listenUnix(directoryFd: number, name: string): number {
  return addon().listenUnix(directoryFd, name);
}

/** A connected UNIX stream socket. ENOENT: no such file; ECONNREFUSED: nobody listens there. */
export function connectUnix(directoryFd: number, name: string): number {
  return addon().connectUnix(directoryFd, name);
}

/** sendmsg(2) with SCM_RIGHTS, without SIGPIPE. `data` must not be empty. At most 253 descriptors. */
export function sendMessage(socketFd: number, data: Uint8Array, fds: readonly number[] = []): void {
  addon().sendMessage(socketFd, data, fds);
}

/**
 * recvmsg(2) of the next message (stream sockets: of what is there, at most 64 KiB); waits for it as waitReadable does.
 */
export async function receiveMessage(socketFd: number, holdMs = 0): Promise<SocketMessage> {
  for (;;) {
    const message = addon().tryReceiveMessage(socketFd);
    if (message !== undefined) return message;
    await waitReadable(socketFd, holdMs);
  }
}

/** Orphaned descendants become our children (PR_SET_CHILD_SUBREAPER); returns what it was before. */
export function setSubreaper(on: boolean): boolean {
  return addon().setSubreaper(on);
}

/** Sets a terminal raw and returns its settings for restoreTerminal(). ENOTTY if it is none. */
export function makeRaw(fd: number): Buffer {
  return addon().makeRaw(fd);
}

export function restoreTerminal(fd: number, settings: Buffer): void {
  addon().restoreTerminal(fd, settings);
}

export function getWindowSize(fd: number): WindowSize {
  return addon().getWindowSize(fd);
}

/** Tells a terminal its size; its foreground processes get SIGWINCH. Works on the master too. */
export function setWindowSize(fd: number, size: WindowSize): void {
  addon().setWindowSize(fd, size.columns, size.rows);
}

/**
 * Copies inFd → master and master → outFd on a thread of its own until the last slave is closed and everything it
 * wrote is copied. End of file on inFd ends only that direction. The descriptors stay open and stay the caller's.
 */
export function relayTerminal(masterFd: number, inFd: number, outFd: number): Promise<void> {
  return addon().relayTerminal(masterFd, inFd, outFd);
}

/** What tender/addon/addon.cc exports. The file calls from `open` on are src/files.ts's. */
interface Addon {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): void;
  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
  write(fd: number, data: string | Uint8Array): number;
  readFile(
    file: string | number,
    encoding: 'utf8' | 'latin1' | '',
    optional: boolean,
  ): (Buffer & string) | undefined;
  writeFile(path: string, data: string | Uint8Array, flags: number, mode: number): void;
  mkdir(path: string, mode: number, recursive: boolean): void;
  rmdir(path: string): void;
  unlink(path: string): void;
  access(path: string, mode: number): void;
  exists(path: string): boolean;
  rename(from: string, to: string): void;
  symlink(path: string, target: string): void;
  readlink(path: string, optional: boolean): string | undefined;
  realpath(path: string): string;
  readdir(path: string, foldersOnly: boolean): string[];
  stat(path: string, optional: boolean): RawStat | undefined;
  fstat(fd: number): RawStat;
  touch(fd: number): void;
  statfs(path: string): number;
  spawn(
    executableFd: number,
    argv: readonly string[],
    environment: readonly string[],
    descriptors: readonly number[],
  ): SpawnedProcess;
  pollReadable(fd: number, timeoutMs: number): boolean;
  waitReadable(fd: number): Promise<void>;
  reap(pidfd: number): ExitStatus;
  pidfdOpen(pid: number): number;
  pidfdSendSignal(pidfd: number, signal: number): void;
  pidfdGetfd(pidfd: number, fd: number): number;
  sealedMemfd(name: string, content: Uint8Array, mode: number): number;
  windowMemfd(name: string, bytes: number): number;
  memfd(name: string): number;
  openTree(path: string): number;
  openInRoot(rootFd: number, path: string | Buffer, flags: number, mode: number): number;
  makeNode(folderFd: number, name: Buffer, mode: number, major: number, minor: number): void;
  syncFileSystem(fd: number): void;
  lockFile(fd: number, exclusive: boolean): Promise<void>;
  tryLockFile(fd: number, exclusive: boolean): boolean;
  scanTree(rootFd: number, overlay: boolean, targets: boolean): TreeScan;
  nextData(fd: number, offset: number): readonly [number, number] | undefined;
  checksum(data: Uint8Array): Buffer;
  sha256(data: Uint8Array): Buffer;
  readParts(parts: Uint8Array, out: Uint8Array, state: Float64Array): number;
  socketPair(): readonly [number, number];
  channelPair(): readonly [number, number];
  pipePair(bytes: number): readonly [number, number];
  listenUnix(directoryFd: number, name: string): number;
  connectUnix(directoryFd: number, name: string): number;
  sendMessage(socketFd: number, data: Uint8Array, fds: readonly number[]): void;
  tryReceiveMessage(socketFd: number): SocketMessage | undefined;
  setSubreaper(on: boolean): boolean;
  makeRaw(fd: number): Buffer;
  restoreTerminal(fd: number, settings: Buffer): void;
  getWindowSize(fd: number): WindowSize;
  setWindowSize(fd: number, columns: number, rows: number): void;
  relayTerminal(masterFd: number, inFd: number, outFd: number): Promise<void>;
}

let loaded: Addon | undefined;

/** For src/files.ts; all else goes through the functions above. */
export function addon(): Addon {
  loaded ??= loadInstalled('runnc.node') as Addon;
  return loaded;
}

/** The one-file program loads it in its own way, before anything else. */
export function registerAddon(exports: unknown): void {
  loaded = exports as Addon;
}

/** What an addon exports. */
export async function loadAddon(name: AddonName): Promise<unknown> {
  if (embeddedPath(name) === undefined) return loadInstalled(name);
  const { loadEmbedded } = await import('./embedded-addon.ts');
  return loadEmbedded(name);
}

function loadInstalled(name: AddonName): unknown {
  const path = partPath(name);
  try {
    return dlopen(path);
  } catch (error) {
    // Whatever else it is will be told better by the error itself.
    if (
      error instanceof Error &&
      error.message.includes(`${path}: cannot open shared object file: No such file`)
    )
      throw missing(name);
    throw error;
  }
}

/** Both engines have it; createRequire would be one more module for every call to load. Throws what dlerror(3) says. */
export function dlopen(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}
