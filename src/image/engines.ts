/** Images of engines on this host, as archives: a dockerd by its API, containerd by ctr. */
import { spawn } from 'node:child_process';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { errnoOf, errorMessage, RunncError, shorten } from '../errors.ts';

const DOCKER_SOCKET = '/var/run/docker.sock';

/** What an engine may say of an error. */
const MAX_MESSAGE_BYTES = 64 * 1024;

/** Where DOCKER_HOST says, as docker itself. Throws UNSUPPORTED for a dockerd that is elsewhere. */
export function dockerSocket(host = process.env['DOCKER_HOST'] ?? ''): string {
  if (host === '') return DOCKER_SOCKET;
  if (host.startsWith('unix://')) return host.slice('unix://'.length);
  throw new RunncError(
    'UNSUPPORTED',
    `DOCKER_HOST=${host}: only a dockerd of this host can be reached, by unix://SOCKET`,
  );
}

/** `docker save NAME`. Throws NOT_FOUND and HOST. */
export async function* readFromDocker(name: string, socket = dockerSocket()): AsyncGenerator<Uint8Array> {
  const response = await call(socket, 'GET', `/images/${encodeURIComponent(name)}/get`);
  if (response.statusCode === 404) {
    response.resume();
    throw new RunncError('NOT_FOUND', `docker-daemon:${name} does not exist there: see "docker images"`);
  }
  if (response.statusCode !== 200) throw new RunncError('HOST', `docker: ${await messageOf(response)}`);
  for await (const chunk of response) yield chunk as Uint8Array;
  if (!response.complete) throw new RunncError('HOST', 'docker: the connection broke off');
}

/** `docker load`. Returns what it says. Throws HOST. */
export async function loadIntoDocker(
  archive: AsyncIterable<Uint8Array>,
  socket = dockerSocket(),
): Promise<readonly string[]> {
  const response = await call(socket, 'POST', '/images/load?quiet=1', archive);
  if (response.statusCode !== 200) throw new RunncError('HOST', `docker: ${await messageOf(response)}`);
  const lines: string[] = [];
  for (const line of (await textOf(response)).split('\n').filter((text) => text !== '')) {
    const { stream, error } = parseLine(line);
    if (error !== undefined) throw new RunncError('HOST', `docker: ${error}`);
    if (stream !== undefined) lines.push(stream.trim());
  }
  return lines;
}

/**
 * `ctr image export`: there is no other way to containerd's images without gRPC. CONTAINERD_ADDRESS and
 * CONTAINERD_NAMESPACE are obeyed by ctr itself. Throws HOST.
 */
export async function* readFromContainerd(name: string): AsyncGenerator<Uint8Array> {
  const child = spawn('ctr', ['image', 'export', '-', name], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) => {
      reject(
        errnoOf(error) === 'ENOENT'
          ? new RunncError('HOST', 'containerd: the program ctr does not exist: install containerd')
          : new RunncError('HOST', `containerd: ctr cannot be run: ${errorMessage(error)}`),
      );
    });
    child.on('close', resolve);
  });
  ended.catch(() => undefined);
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-MAX_MESSAGE_BYTES);
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    const status = await ended;
    if (status !== 0) {
      throw new RunncError(
        'HOST',
        `containerd: ctr image export ${shorten(name)}: ${said.trim().split('\n').at(-1) ?? ''}`,
      );
    }
  } finally {
    child.kill();
  }
}

type Response = IncomingMessage;

function call(
  socketPath: string,
  method: string,
  path: string,
  body?: AsyncIterable<Uint8Array>,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const why =
        errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED'
          ? 'no dockerd listens there'
          : errorMessage(error);
      reject(error instanceof RunncError ? error : new RunncError('HOST', `docker: ${socketPath}: ${why}`));
    };
    const sent = request(
      {
        socketPath,
        method,
        path,
        headers: body === undefined ? {} : { 'content-type': 'application/x-tar' },
      },
      resolve,
    );
    sent.on('error', fail);
    if (body === undefined) sent.end();
    else {
      send(sent, body).catch((error: unknown) => {
        fail(error);
        sent.destroy();
      });
    }
  });
}

async function send(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  const closed = new Promise<void>((resolve) => request.once('close', resolve));
  for await (const chunk of body) {
    if (request.destroyed) return;
    if (request.write(chunk)) continue;
    await Promise.race([new Promise<void>((resolve) => request.once('drain', resolve)), closed]);
  }
  request.end();
}

async function messageOf(response: Response): Promise<string> {
  const text = await textOf(response);
  return parseLine(text).message ?? `answered ${String(response.statusCode)} ${shorten(text)}`;
}

async function textOf(response: Response): Promise<string> {
  let text = '';
  for await (const chunk of response) text = (text + String(chunk)).slice(0, MAX_MESSAGE_BYTES);
  return text;
}

interface DockerLine {
  readonly stream?: string;
  readonly error?: string;
  readonly message?: string;
}

function parseLine(text: string): DockerLine {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
