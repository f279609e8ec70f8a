/** What the runtime says to a container's init that waits for start. */
import { closeSync } from '../files.ts';
import { errnoOf, RunncError } from '../errors.ts';
import { connectUnix, receiveMessage, sealedMemfd, sendMessage } from '../native.ts';
import { encodeStrings } from './encode-plan.ts';
import type { LateTender } from './launch.ts';
import { endedEarly, failureOf, INIT_HOLD_MS, kindOf, message } from './init-messages.ts';

/**
 * Tells the init that listens on `name` in the folder `directoryFd` to run startContainer hooks and then the
 * tender; resolves when the tender has been executed. Rejects with init's own message (HOOK, EXEC_DENIED, HOST),
 * and with STATE if nobody listens there any more (already started, or dead).
 */
export async function start(directoryFd: number, name: string, late?: LateTender): Promise<void> {
  const connection = connectToInit(directoryFd, name);
  try {
    sendStart(connection, late);
    await readVerdict(connection);
  } finally {
    closeSync(connection);
  }
}

/** `late`: in place of the plan's. */
function sendStart(connection: number, late: LateTender | undefined): void {
  if (late === undefined) {
    sendMessage(connection, Buffer.from(message.start));
    return;
  }
  const argvFd = sealedMemfd('runnc-tender', encodeStrings(late.argv), 'data');
  try {
    sendMessage(connection, Buffer.from(message.start), [argvFd, ...late.lateDescriptors]);
  } finally {
    closeSync(argvFd);
  }
}

function connectToInit(directoryFd: number, name: string): number {
  try {
    return connectUnix(directoryFd, name);
  } catch (error) {
    if (errnoOf(error) !== 'ECONNREFUSED' && errnoOf(error) !== 'ENOENT') throw error;
    throw new RunncError('STATE', 'cannot start a container that is not in the created state', {
      cause: error,
    });
  }
}

/** Resolves if init's last word before the end of the connection is that it executes the tender. */
async function readVerdict(connection: number): Promise<void> {
  let said = Buffer.alloc(0);
  for (;;) {
    const { data } = await receiveMessage(connection, INIT_HOLD_MS);
    if (data.length === 0) break;
    said = Buffer.concat([said, data]);
    // At start it is the first thing that init says, or nothing.
    if (kindOf(said) === message.fault) process.kill(process.pid, 'SIGKILL');
  }
  // A failure's text takes all the rest. It may follow the announcement: the execution itself failed.
  const rest = kindOf(said) === message.executing ? said.subarray(1) : said;
  if (kindOf(rest) === message.failed) throw failureOf(rest.subarray(1));
  // The tender's execution closed the connection; without the word before it, it was the death of init.
  if (rest === said || rest.length > 0) throw endedEarly(undefined);
}
