/**
 * The host's end of the control channel (dist/control) with a guest in front of it that is the test: it says whatever it
 * likes. One proxy, the witness, is left in peace, so that its end would tell of the broker's.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeProxyPlan } from '../../src/container/exec-plan.ts';
import {
  type ExitStatus,
  pidfdOpen,
  pidfdSendSignal,
  receiveMessage,
  sealedMemfd,
  sendMessage,
  socketPair,
  spawn,
  waitExit,
} from '../../src/native.ts';
import { readAsset } from '../../src/assets.ts';
import { errnoOf } from '../../src/errors.ts';

/** enum runnc_control_type. */
export const Type = {
  HELLO: 1,
  OPEN: 2,
  HANGUP: 5,
  STARTED: 6,
  FAILED: 7,
  EXIT: 8,
  DATA: 16,
  CLOSE: 17,
  CREDIT: 18,
} as const;
const HEAD_BYTES = 16;
const MESSAGE_MAX = 32768 + HEAD_BYTES;
const WINDOW = 65536;
const MESSAGE_COST = 1024;
const LIES_PER_PROXY = 200;

interface Message {
  readonly type: number;
  readonly stream?: number;
  readonly value?: number;
  readonly session: bigint;
  readonly data?: Uint8Array;
}

export interface HostileGuestResult {
  /** How the proxies ended that were lied to. */
  readonly statuses: readonly ExitStatus[];
  /** Bytes of input, with the messages' own cost, that a proxy sent beyond its credit. */
  readonly overdrawn: number;
  /** How the witness ended, which was told to end with 42, and what it wrote. */
  readonly witness: ExitStatus;
  readonly written: string;
}

/** mulberry32: a run can be repeated by its seed. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}

class Proxy {
  readonly pid: number;
  readonly #pidfd: number;
  readonly #first: number;
  #ended: Promise<ExitStatus> | undefined;

  private constructor(pid: number, first: number) {
    this.pid = pid;
    this.#pidfd = pidfdOpen(pid);
    this.#first = first;
  }

  static async start(
    guest: Guest,
    stdio: readonly [number, number, number],
  ): Promise<readonly [Proxy, bigint]> {
    const [report, proxyReport] = socketPair();
    const folder = openSync(guest.folder, 'r');
    const plan = sealedMemfd('plan', encodeProxyPlan({ taskFds: 0, request: Buffer.alloc(100) }), 'data');
    const program = sealedMemfd('control', await readAsset('control'), 'executable');
    const own = pidfdOpen(process.pid);
    const first = spawn({
      executableFd: program,
      argv: ['proxy'],
      environment: [],
      descriptors: [...stdio, proxyReport, folder, guest.runtimeEnd, plan, own, plan],
    });
    for (const fd of [proxyReport, folder, plan, program, own]) closeSync(fd);
    const session = await guest.answerOpen();
    await guest.send({ type: Type.STARTED, value: 7, session });
    const { data: here } = await receiveMessage(report);
    if (here.toString() !== 'P') throw new Error(`no proxy: ${here.toString()}`);
    const { data, senderPid } = await receiveMessage(report);
    if (data.toString() !== 'S' || senderPid === undefined) throw new Error(`no start: ${data.toString()}`);
    sendMessage(report, Buffer.from('A'));
    closeSync(report);
    await waitExit(first.pidfd);
    return [new Proxy(senderPid, first.pidfd), session];
  }

  /** Once only. */
  end(): Promise<ExitStatus> {
    this.#ended ??= waitExit(this.#pidfd).finally(() => {
      closeSync(this.#pidfd);
      closeSync(this.#first);
    });
    return this.#ended;
  }

  kill(): void {
    try {
      pidfdSendSignal(this.#pidfd, 9);
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  }
}

/** The guest of a container that there is not: the other end of its channel is a descriptor of this process. */
export class Guest {
  readonly folder = mkdtempSync(join(tmpdir(), 'runnc-control-'));
  readonly runtimeEnd: number;
  readonly #own: number;
  readonly #received: Message[] = [];

  constructor() {
    [this.#own, this.runtimeEnd] = socketPair();
  }

  async send({ type, stream = 0, value = 0, session, data = new Uint8Array(0) }: Message): Promise<void> {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt16LE(type, 0);
    head.writeUInt16LE(stream, 2);
    head.writeUInt32LE(value >>> 0, 4);
    head.writeBigUInt64LE(session, 8);
    await this.sendBytes(Buffer.concat([head, data]));
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (;;) {
      try {
        sendMessage(this.#own, bytes);
        return;
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error;
        // The broker has not read the others yet.
        await delay(1);
      }
    }
  }

  /** The next message for which `wanted` holds; those before it are kept for take(). */
  async receive(wanted: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const { data } = await receiveMessage(this.#own);
      const message = {
        type: data.readUInt16LE(0),
        stream: data.readUInt16LE(2),
        value: data.readUInt32LE(4),
        session: data.readBigUInt64LE(8),
        data: data.subarray(HEAD_BYTES),
      };
      if (message.type === Type.HELLO)
        await this.send({ type: Type.HELLO, value: 1, session: message.session });
      if (wanted(message)) return message;
      this.#received.push(message);
    }
  }

  /** Hears that somebody is there, and says nothing. */
  async hello(): Promise<void> {
    await receiveMessage(this.#own);
  }

  /** The session that was asked for. */
  async answerOpen(): Promise<bigint> {
    const { session } = await this.receive(({ type, value }) => type === Type.OPEN && value === 1);
    return session;
  }

  /** What came meanwhile. */
  take(): Message[] {
    return this.#received.splice(0);
  }

  close(): void {
    closeSync(this.#own);
    closeSync(this.runtimeEnd);
    rmSync(this.folder, { recursive: true });
  }
}

/** Tells `count` random messages, in rounds of one proxy each. */
export async function lieToProxies(count: number, seed: number): Promise<HostileGuestResult> {
  const guest = new Guest();
  const [output, witnessOutput] = socketPair();
  const zero = openSync('/dev/zero', 'r');
  const null_ = openSync('/dev/null', 'r+');
  const below = random(seed);
  const statuses: ExitStatus[] = [];
  let overdrawn = 0;
  try {
    const [witness, witnessSession] = await Proxy.start(guest, [null_, witnessOutput, null_]);
    closeSync(witnessOutput);
    for (let told = 0; told < count;) {
      const [proxy, session] = await Proxy.start(guest, [zero, null_, null_]);
      guest.take();
      let credit = WINDOW;
      for (let i = 0; i < LIES_PER_PROXY && told < count; i++, told++) {
        const lie = randomMessage(below, session, witnessSession);
        const value = lie.value ?? 0;
        if (lie.type === Type.CREDIT && lie.session === session && value <= WINDOW) credit += value;
        if (below(10) > 0) await guest.send(lie);
        else await guest.sendBytes(Buffer.alloc(1 + below(HEAD_BYTES + 8), below(256)));
      }
      proxy.kill();
      statuses.push(await proxy.end());
      // What it sent stands before the next one's request.
      const [next] = await Proxy.start(guest, [null_, null_, null_]);
      const spent = guest
        .take()
        .filter((message) => message.type === Type.DATA && message.session === session)
        .reduce((sum, { data }) => sum + (data?.length ?? 0) + MESSAGE_COST, 0);
      overdrawn = Math.max(overdrawn, spent - credit);
      next.kill();
      await next.end();
    }
    await guest.send({
      type: Type.DATA,
      stream: 1,
      session: witnessSession,
      data: Buffer.from('still here'),
    });
    await guest.send({ type: Type.EXIT, value: 42 << 8, session: witnessSession });
    const status = await witness.end();
    const text = Buffer.alloc(100);
    const written = text.toString('utf8', 0, readSync(output, text));
    return { statuses, overdrawn, witness: status, written };
  } finally {
    closeSync(output);
    closeSync(zero);
    closeSync(null_);
    guest.close();
  }
}

function randomMessage(below: (n: number) => number, session: bigint, witness: bigint): Message {
  const types = [...Object.values(Type), 0, 3, 4, 9, 99, 0xffff];
  const sizes = [0, 1, 2, 8, 100, 4096, 32767, 32768];
  const values = [0, 1, 9, 255, 256, 0xffff, 0x7fffffff, 0xffffffff, 32768, 65536];
  const others = [
    0n,
    session + 1n,
    session + 4096n,
    session ^ (1n << 40n),
    0xffffffffffffffffn,
    session & ~0xffffffffn,
  ];
  const other = others[below(others.length)] ?? 0n;
  // Ends and starts less often than the rest, for nothing counts behind an end.
  const type = types[below(types.length)] ?? 0;
  const rare = type === Type.EXIT || type === Type.FAILED;
  return {
    type: rare && below(20) > 0 ? Type.DATA : type,
    stream: below(4) === 0 ? below(0x10000) : below(3),
    value: values[below(values.length)] ?? 0,
    session: below(4) > 0 || other === witness ? session : other,
    data: Buffer.alloc(Math.min(sizes[below(sizes.length)] ?? 0, MESSAGE_MAX - HEAD_BYTES), below(256)),
  };
}
