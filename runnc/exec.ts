import type { Container } from '../src/container/container.ts';
import type { ExecOptions } from '../src/container/exec.ts';
import { ForegroundTerminal, SignalForwarder } from '../src/container/foreground.ts';
import { shellStatus } from '../src/container/run.ts';
import { errorMessage, RunncError, shorten } from '../src/errors.ts';
import { readFileSync } from '../src/files.ts';
import { getWindowSize } from '../src/native.ts';
import { parseProcess } from '../src/oci/bundle.ts';
import type { RunnableProcess } from '../src/oci/spec-rules.ts';
import type { ConsoleSize, User } from '../src/oci/spec.ts';
import { loadContainer } from './container-call.ts';
import type { Options } from './parse.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const { options, log } = call;
  const container = loadContainer(call);
  await container.requireExec();
  if ((options.integer('preserve-fds', 0) ?? 0) > 0) {
    log.warn('--preserve-fds: the descriptors are left out: a guest has no use for descriptors of the host');
  }
  const pidFile = options.text('pid-file');
  const exec: ExecOptions = {
    process: await processOf(call, container),
    ...names(options),
    ignorePaused: options.flag('ignore-paused'),
    ...(pidFile === undefined || pidFile === '' ? {} : { pidFile }),
  };
  const consoleSocket = options.text('console-socket') ?? '';
  if (consoleSocket !== '') return start(container, { ...exec, consoleSocket }, options.flag('detach'));
  if (options.flag('detach')) return start(container, exec, true);
  return exec.process.terminal === true ? runOnTerminal(container, exec) : start(container, exec, false);
}

async function start(container: Container, options: ExecOptions, detach: boolean): Promise<number> {
  if (detach) {
    await container.exec(options);
    return 0;
  }
  const signals = new SignalForwarder();
  try {
    const program = await container.exec({ ...options, unwanted: signals.ended });
    signals.forwardTo(program.kill);
    return shellStatus(await program.wait());
  } finally {
    signals.close();
  }
}

/** The caller's own terminal becomes that of the program. */
async function runOnTerminal(container: Container, options: ExecOptions): Promise<number> {
  const signals = new SignalForwarder();
  const terminal = new ForegroundTerminal();
  try {
    const program = await container.exec({
      ...options,
      consoleSocket: terminal.containerSocket,
      unwanted: signals.ended,
    });
    signals.forwardTo(program.kill);
    const relay = await terminal.attach();
    const status = await program.wait();
    await relay.done;
    return shellStatus(status);
  } finally {
    signals.close();
    terminal.close();
  }
}

/** --process alone, or the container's own process changed by the flags and the command line. */
async function processOf({ options, operands }: Call, container: Container): Promise<RunnableProcess> {
  const file = options.text('process') ?? '';
  if (file !== '') return parseProcess(readText(file), file);
  const [command, ...rest] = operands.slice(1);
  if (command === undefined || command === '') {
    throw new RunncError('INVALID', 'exec: give a command, or --process with a file that has one');
  }
  const configured = await container.configuredProcess();
  const user = options.text('user') ?? '';
  const groups = options.texts('additional-gids').map((text) => groupId(text));
  const cwd = options.text('cwd') ?? '';
  if (cwd !== '' && !cwd.startsWith('/')) {
    throw new RunncError('INVALID', `--cwd: expected an absolute path, got ${shorten(cwd)}`);
  }
  return {
    ...configured,
    args: [command, ...rest],
    env: [...(configured.env ?? []), ...options.texts('env')],
    terminal: options.flag('tty'),
    ...(options.flag('tty') && process.stdin.isTTY ? { consoleSize: callersSize() } : {}),
    ...(cwd === '' ? {} : { cwd }),
    user: {
      ...(user === '' ? configured.user : userOf(user, configured.user)),
      ...additionalGids(configured, groups),
    },
    ...capabilities(configured, options),
    ...(options.flag('no-new-privs') ? { noNewPrivileges: true } : {}),
  };
}

/** Who is to be named for what is wrong with it. */
function names(options: Options): Pick<ExecOptions, 'names'> {
  const file = options.text('process') ?? '';
  if (file !== '') return { names: { username: `${file}: user.username`, fields: `${file}: ` } };
  if ((options.text('user') ?? '') === '') return {};
  return { names: { username: '--user', fields: 'config.json: process.' } };
}

function callersSize(): ConsoleSize {
  const { columns, rows } = getWindowSize(0);
  return { width: columns, height: rows };
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new RunncError('INVALID', `--process: cannot read ${file}: ${errorMessage(error)}`);
  }
}

const ID = /^\d{1,10}$/;
const MAX_ID = 0xffff_fffe;

function isId(text: string): boolean {
  return ID.test(text) && Number(text) <= MAX_ID;
}

/** "uid" or "uid:gid" as runc; a name is looked up in the image, where also its groups come from. */
function userOf(text: string, configured: User = {}): User {
  const { umask } = configured;
  const kept = umask === undefined ? {} : { umask };
  const [user = '', group, ...more] = text.split(':');
  if (more.length > 0) {
    throw new RunncError('INVALID', `--user: expected USER or USER:GROUP, got ${shorten(text)}`);
  }
  if (isId(user) && (group === undefined || isId(group))) {
    return { ...kept, uid: Number(user), gid: Number(group ?? configured.gid ?? 0) };
  }
  return { ...kept, username: text };
}

function groupId(text: string): number {
  if (isId(text)) return Number(text);
  throw new RunncError('INVALID', `--additional-gids: expected the number of a group, got "${text}"`);
}

function additionalGids(
  { user = {} }: RunnableProcess,
  groups: readonly number[],
): Pick<User, 'additionalGids'> {
  const all = [...(user.additionalGids ?? []), ...groups];
  return all.length === 0 ? {} : { additionalGids: all };
}

/** As runc: added to the bounding, effective and permitted sets. */
function capabilities(
  { capabilities = {} }: RunnableProcess,
  options: Options,
): Pick<RunnableProcess, 'capabilities'> {
  const added = options.texts('cap');
  const { bounding = [], effective = [], permitted = [] } = capabilities;
  if (added.length === 0) return {};
  return {
    capabilities: {
      ...capabilities,
      bounding: [...bounding, ...added],
      effective: [...effective, ...added],
      permitted: [...permitted, ...added],
    },
  };
}
