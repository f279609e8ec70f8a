/**
 * Writes the part of docs/guest-linux.md that tells which system calls the Linux guest has, from the kernel's own
 * table: `npx tsx scripts/guest-linux.ts`. A test fails when the page is not up to date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const GUEST_PAGE = fileURLToPath(new URL('../docs/guest-linux.md', import.meta.url));
const TABLE = new URL('../unikernels/linux/syscall/', import.meta.url);
const BEGIN = '<!-- From here to the end of the calls: written by scripts/guest-linux.ts -->';
const END = '<!-- End of the calls -->';

/** Calls that are there, and what of them is not. A name that is not in the table is an error. */
const PARTLY: Readonly<Record<string, string>> = {
  adjtimex: 'reads; the time is not for a container to set',
  clock_adjtime: 'as adjtimex',
  clock_settime: 'EPERM',
  fallocate: 'allocating, keeping the size, punching holes: what tmpfs does; other modes EOPNOTSUPP',
  fcntl: 'no leases, no F_NOTIFY, no signals for readiness (F_SETOWN and F_SETSIG are kept and read back)',
  flock: 'no search for circles of waiting locks (EDEADLK)',
  futex: 'no priority inheritance: ENOSYS',
  getsockopt: 'SOL_SOCKET, and what a family has; no filters (SO_ATTACH_FILTER)',
  ioctl: 'of terminals, ptys, pipes, sockets; FIONREAD and the like of files',
  madvise: 'MADV_REMOVE gives EINVAL',
  mlock: 'accepted and not counted: there is no swap',
  mmap: 'a page of a shared file mapping is in one place at a time: a second place for it gives ENOMEM',
  mq_notify:
    'SIGEV_SIGNAL and SIGEV_NONE; SIGEV_THREAD gives ENOSYS, for it takes a socket of netlink that is not there',
  name_to_handle_at: 'EOPNOTSUPP',
  personality: 'kept and read back',
  prctl: 'names, signals, capabilities, dumpable, subreaper and the like; see prctl in syscall/task.c',
  reboot: 'ends the container',
  recvmsg: 'no MSG_ERRQUEUE, no out-of-band byte on AF_UNIX',
  sched_setscheduler: 'kept and read back: there is one run queue, in turn',
  settimeofday: 'EPERM',
  shmat: 'a segment is at one address for all: attached twice, it has the same twice; at another one ENOMEM',
  socket: 'AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (ROUTE dumps), AF_PACKET',
  splice: 'bytes are copied, not pages moved, which a program cannot tell',
  syslog: 'an empty log',
  unshare: 'files, fs and the like; namespaces EPERM',
};

interface Section {
  readonly title: string;
  readonly calls: readonly string[];
}

interface Absence {
  readonly error: string;
  readonly reason: string;
  readonly calls: readonly string[];
}

function read(name: string): string {
  return readFileSync(new URL(name, TABLE), 'utf8');
}

/** The comments that stand alone are headings; "syscall/stat.c: what is known" is where the calls are, and what. */
function sections(file: string): readonly Section[] {
  const found: { title: string; calls: string[] }[] = [];
  for (const line of read(file).split('\n').slice(1)) {
    const heading = /^\/\* (.*) \*\/$/.exec(line)?.[1];
    if (heading !== undefined) found.push({ title: heading.replace(/^syscall\/\S+: /, ''), calls: [] });
    const call = /^SYSCALL\d\(__NR_\w+, (\w+),/.exec(line)?.[1];
    if (call !== undefined) found.at(-1)?.calls.push(call);
  }
  return found;
}

function absences(): readonly Absence[] {
  const groups = read('absent.c').split('\n\n').slice(1);
  return groups.flatMap((group): Absence[] => {
    const calls = [...group.matchAll(/^ABSENT\((\w+), (\w+)\)$/gm)];
    const reason = /^\/\* (.*) \*\/$/m.exec(group)?.[1];
    const error = calls[0]?.[2];
    if (reason === undefined || error === undefined) return [];
    return [{ error, reason, calls: calls.map((call) => call[1] ?? '') }];
  });
}

/** The generated part, in Markdown. */
export function callList(): string {
  const absent = absences();
  const missing = new Set(absent.flatMap((group) => group.calls));
  const all = [...sections('core.def'), ...sections('files.def')];
  const present = all
    .map(({ title, calls }) => ({ title, calls: calls.filter((call) => !missing.has(call)) }))
    .filter(({ calls }) => calls.length > 0);
  const names = new Set(all.flatMap(({ calls }) => calls));
  const unknown = Object.keys(PARTLY).filter((call) => !names.has(call));
  if (unknown.length > 0) throw new Error(`scripts/guest-linux.ts: not in the table: ${unknown.join(', ')}`);
  const count = present.reduce((sum, { calls }) => sum + calls.length, 0);
  const named = (calls: readonly string[]): string => calls.map((call) => `\`${call}\``).join(' ');
  const partly = Object.entries(PARTLY).filter(([call]) => !missing.has(call));
  return [
    `${count} calls are there:`,
    '',
    ...present.map(({ title, calls }) => `- **${title}**: ${named(calls)}`),
    '',
    '| partly there | what to know |',
    '|---|---|',
    ...partly.map(([call, note]) => `| \`${call}\` | ${note} |`),
    '',
    '| absent | error | why |',
    '|---|---|---|',
    ...absent.map(({ error, reason, calls }) => `| ${named(calls)} | ${error} | ${reason} |`),
    '',
    'Any other number gives ENOSYS, and one line on standard error the first time.',
  ].join('\n');
}

/** The page with its generated part brought up to date. */
export function guestPage(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin)
    throw new Error('docs/guest-linux.md: the marks of the generated part are gone');
  return `${page.slice(0, begin + BEGIN.length)}\n\n${callList()}\n\n${page.slice(end)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(GUEST_PAGE, guestPage(readFileSync(GUEST_PAGE, 'utf8')));
