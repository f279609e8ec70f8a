/** Questions to a Linux guest kernel, over the control channel. */
import { closeSync, constants, openSync } from '../files.ts';
import { RunncError } from '../errors.ts';
import { encodeQuestion, Question } from '../guest/session-request.ts';
import { receiveMessage, socketPair } from '../native.ts';
import { type GuestProcess, type GuestStats, parseMemory, parseProcesses } from './guest-answers.ts';
import type { ContainerRecord } from './record.ts';
import { type Session, SessionRefused, startSession } from './session.ts';

/** A guest that keeps to the protocol answers in milliseconds, however busy its programs are. */
const PATIENCE_MS = 10_000;
/** The command lines of a few thousand processes. */
const MAX_ANSWER_BYTES = 16 * 2 ** 20;
const EBUSY = 16;

/** Its container must be running. Throws STATE, HOST. */
export async function askMemory(record: ContainerRecord, folder: string): Promise<GuestStats> {
  return parseMemory(await ask(record, folder, Question.MEMORY));
}

/** The same. */
export async function askProcesses(
  record: ContainerRecord,
  folder: string,
): Promise<readonly GuestProcess[]> {
  return parseProcesses(await ask(record, folder, Question.PROCESSES));
}

/** The same. False: more than these bytes are in use, and the limit stays as it was. */
export async function setMemoryLimit(
  record: ContainerRecord,
  folder: string,
  bytes: number,
): Promise<boolean> {
  try {
    await ask(record, folder, Question.MEMORY_LIMIT, bytes);
    return true;
  } catch (error) {
    if (error instanceof SessionRefused && error.errno === EBUSY) return false;
    throw error;
  }
}

async function ask(record: ContainerRecord, folder: string, question: number, value = 0): Promise<Buffer> {
  const [output, proxyOutput] = socketPair();
  const deadline = patience();
  try {
    const session = await start(
      record,
      folder,
      encodeQuestion(question, value),
      proxyOutput,
      deadline.passed,
    );
    const reading = readAll(output);
    const end = session.wait();
    try {
      const answer = await Promise.race([reading, deadline.passed]);
      const status = await Promise.race([end, deadline.passed]);
      // It was cut short by the container's end, or the broker's.
      if (status.type !== 'exited' || status.code !== 0) throw noAnswer();
      return answer;
    } finally {
      session.kill(SIGKILL);
      // Nobody may wait on the socket any more when it is closed; and who is not buried holds up the container's end.
      await reading.catch(() => undefined);
      await end;
    }
  } finally {
    deadline.clear();
    closeSync(output);
  }
}

/** Takes `output`. */
async function start(
  record: ContainerRecord,
  folder: string,
  request: Uint8Array,
  output: number,
  unwanted: Promise<never>,
): Promise<Session> {
  const nothing = openSync('/dev/null', constants.O_RDWR);
  try {
    return await startSession(record, folder, {
      request,
      argv: ['runnc-ask'],
      stdio: [nothing, output, nothing],
      unwanted,
    });
  } finally {
    closeSync(nothing);
    closeSync(output);
  }
}

const SIGKILL = 9;

async function readAll(socket: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let left = MAX_ANSWER_BYTES; left >= 0;) {
    const { data } = await receiveMessage(socket);
    if (data.length === 0) return Buffer.concat(parts);
    left -= data.length;
    parts.push(data);
  }
  throw noAnswer();
}

function patience(): { readonly passed: Promise<never>; clear(): void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(noAnswer());
    }, PATIENCE_MS);
  });
  // Whoever races against it hears of it.
  passed.catch(() => undefined);
  return {
    passed,
    clear: () => {
      clearTimeout(timer);
    },
  };
}

function noAnswer(): RunncError {
  return new RunncError('HOST', 'the guest does not answer on its control channel');
}
