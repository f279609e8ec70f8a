/** What Node asks of a kernel: files, threads, processes, compression, ciphers, sockets, faults of WebAssembly. */
/* global URL, WebAssembly, clearInterval, performance, setInterval, setTimeout */
import { execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import * as crypto from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import * as http from 'node:http';
import * as net from 'node:net';
import * as os from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import * as zlib from 'node:zlib';

const self = new URL(import.meta.url);

if (!isMainThread) {
  const { shared, rounds } = workerData;
  for (let i = 0; i < rounds; i++) Atomics.add(new Int32Array(shared), 0, 1);
  parentPort.on('message', (n) => {
    parentPort.postMessage(n * 2);
    parentPort.close();
  });
} else if (process.argv[2] === 'child') {
  process.on('message', (text) => process.send(text.toUpperCase(), () => process.disconnect()));
} else {
  const say = (what, ...values) => console.log(what, ...values);
  const folder = fs.mkdtempSync(join(os.tmpdir(), 'everyday-'));
  const path = join(folder, 'file');

  // fs
  const changes = fs.watch(folder);
  fs.writeFileSync(path, 'one\n');
  const [, changed] = await once(changes, 'change');
  changes.close();
  await fsp.appendFile(path, 'two\n');
  fs.symlinkSync('file', join(folder, 'link'));
  fs.renameSync(path, join(folder, 'moved'));
  fs.linkSync(join(folder, 'moved'), path);
  fs.copyFileSync(path, join(folder, 'copy'));
  fs.truncateSync(join(folder, 'copy'), 2);
  say('watched', changed, fs.readFileSync(join(folder, 'link'), 'utf8').split('\n'), fs.statSync(path).nlink);
  say(
    'names',
    fs.readdirSync(folder).sort(),
    fs.readlinkSync(join(folder, 'link')),
    fs.statSync(join(folder, 'copy')).size,
  );
  try {
    await fsp.readFile(join(folder, 'missing'));
  } catch (error) {
    say('missing', error.code, error.syscall);
  }
  await fsp.mkdir(join(folder, 'a/b/c'), { recursive: true });
  await fsp.writeFile(join(folder, 'a/b/c/big'), Buffer.alloc(3_000_000, 'x'));
  say('stream', (await fsp.stat(join(folder, 'a/b/c/big'))).size);

  // zlib
  await pipeline(
    fs.createReadStream(join(folder, 'a/b/c/big')),
    zlib.createGzip(),
    fs.createWriteStream(join(folder, 'gz')),
  );
  say(
    'zlib',
    zlib.gunzipSync(fs.readFileSync(join(folder, 'gz'))).length,
    (await promisify(zlib.brotliCompress)('x'.repeat(10_000))).length,
  );

  // crypto
  say('sha256', crypto.createHash('sha256').update('text').digest('hex'));
  say('pbkdf2', (await promisify(crypto.pbkdf2)('password', 'salt', 1000, 32, 'sha512')).toString('hex'));
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = crypto.sign('sha256', Buffer.from('text'), privateKey);
  say(
    'signature',
    crypto.verify('sha256', Buffer.from('text'), publicKey, signature),
    crypto.randomBytes(32).length,
  );

  // worker_threads
  const shared = new SharedArrayBuffer(4);
  const workers = [1, 2, 3, 4].map(() => new Worker(self, { workerData: { shared, rounds: 1000 } }));
  const answers = await Promise.all(
    workers.map(async (worker, i) => {
      const exited = once(worker, 'exit'); // which may follow the message at once
      worker.postMessage(i);
      const [answer] = await once(worker, 'message');
      const [code] = await exited;
      return [answer, code];
    }),
  );
  say('workers', answers, new Int32Array(shared)[0]);

  // child_process
  say('execFile', execFileSync('/bin/echo', ['two words'], { encoding: 'utf8' }));
  say(
    'status',
    spawnSync('/bin/sh', ['-c', 'exit 3']).status,
    spawnSync('/bin/sh', ['-c', 'kill -9 $$']).signal,
  );
  const cat = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  cat.stdin.end('through a pipe');
  const catEnded = once(cat, 'exit');
  say('cat', String(await once(cat.stdout, 'data')), await catEnded);
  const child = fork(self.pathname, ['child']);
  child.send('by ipc');
  const ended = once(child, 'exit');
  say('fork', (await once(child, 'message'))[0], (await ended)[0]);
  const sleeper = spawn('sleep', ['1000']);
  sleeper.kill();
  say('killed', await once(sleeper, 'exit'));
  say(
    'many',
    (
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => once(spawn('/bin/sh', ['-c', `exit ${i}`]), 'exit')),
      )
    )
      .map(([code]) => code)
      .join(),
  );

  // sockets
  const server = http
    .createServer((request, response) => response.end(`you asked for ${request.url}`))
    .listen(join(folder, 'socket'));
  await once(server, 'listening');
  const [response] = await once(http.get({ socketPath: join(folder, 'socket'), path: '/x' }), 'response');
  response.setEncoding('utf8');
  say('http', await once(response, 'data'));
  server.close();
  const tcp = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const socket = net.connect(tcp.address().port, '127.0.0.1');
  socket.write('echo');
  say('tcp', String(await once(socket, 'data')));
  socket.destroy();
  tcp.close();

  // signals, timers
  const alive = setInterval(() => undefined, 1000); // a handler alone does not keep it running
  setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 1);
  await once(process, 'SIGUSR2');
  clearInterval(alive);
  const before = performance.now();
  await delay(20);
  say('timer', performance.now() - before >= 19);

  // WebAssembly: unreachable, and loads outside of its memory, which are faults of the processor
  const bytes = (...parts) => new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...parts.flat()]);
  const trap = (f) => {
    try {
      return f();
    } catch (error) {
      return `${error.constructor.name}: ${error.message}`;
    }
  };
  const unreachable = bytes([1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11]);
  say('wasm', trap(new WebAssembly.Instance(new WebAssembly.Module(unreachable)).exports.f));
  const load = bytes(
    [1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0],
    [10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11],
  );
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(load)).exports;
  let sum = 0;
  for (let i = 0; i < 100_000; i++) sum += f(i % 60_000);
  say(
    'wasm',
    sum,
    trap(() => f(65_533)),
    trap(() => f(-1)),
    trap(() => f(1 << 30)),
  );
  const deeper = () => deeper();
  say('stack', trap(deeper));

  fs.rmSync(folder, { recursive: true });
  say('gone', fs.existsSync(folder));
  process.exitCode = 4;
}
