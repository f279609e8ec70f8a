/** The socket that a caller of `create --console-socket` listens on, and the terminal that it is sent. */
import { once } from 'node:events';
import { closeSync, readSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  getWindowSize,
  makeRaw,
  receiveMessage,
  restoreTerminal,
  setWindowSize,
  waitReadable,
  type WindowSize,
} from '../../src/native.ts';

/** For one container. */
export class ConsoleSocket {
  readonly #server: Server;
  readonly #connected: Promise<unknown[]>;

  private constructor(server: Server) {
    this.#server = server;
    this.#connected = once(server, 'connection');
  }

  /** Listening when this resolves. */
  static async listen(path: string): Promise<ConsoleSocket> {
    // Node cannot receive descriptors: it must leave the connection alone.
    const server = createServer({ pauseOnConnect: true });
    const socket = new ConsoleSocket(server);
    server.listen(path);
    await once(server, 'listening');
    return socket;
  }

  /** What the first to connect sends. */
  async receive(): Promise<Console> {
    const [connection] = (await this.#connected) as [Socket & { readonly _handle: { readonly fd: number } }];
    try {
      const { data, fds } = await receiveMessage(connection._handle.fd);
      const [master] = fds;
      if (master === undefined || fds.length !== 1) throw new Error(`${String(fds.length)} descriptors came`);
      return new Console(data.toString(), master);
    } finally {
      connection.destroy();
    }
  }

  close(): void {
    this.#server.close();
  }
}

/** The master of a terminal. */
export class Console {
  /** The name of its slave, as its sender knows it. */
  readonly name: string;
  readonly #master: number;
  #text = '';

  constructor(name: string, master: number) {
    this.name = name;
    this.#master = master;
  }

  /** Everything shown, up to the first `end` after what was read before. */
  async readUntil(end: string): Promise<string> {
    const chunk = Buffer.alloc(4096);
    for (;;) {
      const at = this.#text.indexOf(end);
      if (at >= 0) {
        const text = this.#text.slice(0, at + end.length);
        this.#text = this.#text.slice(at + end.length);
        return text;
      }
      await waitReadable(this.#master);
      this.#text += chunk.toString('utf8', 0, readSync(this.#master, chunk));
    }
  }

  type(keys: string): void {
    writeSync(this.#master, keys);
  }

  get size(): WindowSize {
    return getWindowSize(this.#master);
  }

  set size(size: WindowSize) {
    setWindowSize(this.#master, size);
  }

  /** Whether the host's line discipline does nothing. */
  get isRaw(): boolean {
    const settings = makeRaw(this.#master);
    const raw = makeRaw(this.#master);
    restoreTerminal(this.#master, settings);
    return settings.equals(raw);
  }

  close(): void {
    closeSync(this.#master);
  }
}
