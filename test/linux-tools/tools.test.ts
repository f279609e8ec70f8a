/**
 * Unchanged everyday tools of Debian in the Linux guest, on a tree of 10,000 files, under the tender alone: what
 * they print and how they end must be as natively.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tree, type Outcome, type RunOptions } from '../linux-abi/guest.ts';

const sources = join(dirname(fileURLToPath(import.meta.url)), 'programs');
const FOLDERS = 100;
const FILES_PER_FOLDER = 100;

const TOOLS = [
  ...['cat', 'chmod', 'cp', 'cut', 'dd', 'du', 'find', 'grep', 'head', 'ls', 'mv', 'readlink', 'rm', 'sed'],
  ...['sha256sum', 'sort', 'stat', 'tac', 'tail', 'tar', 'tr', 'uniq', 'wc'],
];

function where(program: string): string {
  return program.startsWith('/') ? program : execFileSync('which', [program], { encoding: 'utf8' }).trim();
}

/** A program of the host with the libraries it loads, each at its own path. */
function install(tree: Tree, program: string): void {
  const loaded = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/[^\s:]+/g) ?? [];
  for (const path of new Set([program, ...loaded])) {
    const target = join(tree.folder, path);
    fs.mkdirSync(dirname(target), { recursive: true });
    fs.copyFileSync(path, target);
  }
}

function installPython(tree: Tree): void {
  const version = fs.readdirSync('/usr/lib').find((name) => /^python3\.\d+$/.test(name)) ?? '';
  const library = join('/usr/lib', version);
  install(tree, `/usr/bin/${version}`);
  fs.symlinkSync(version, join(tree.folder, 'usr/bin/python3'));
  fs.cpSync(library, join(tree.folder, library), {
    recursive: true,
    dereference: true,
    filter: (path) => !/\/(test|idlelib|lib2to3|__pycache__|dist-packages|config-3.*)$/.test(path),
  });
  for (const name of fs.readdirSync(join(library, 'lib-dynload')))
    install(tree, join(library, 'lib-dynload', name));
}

function makeFiles(tree: Tree): void {
  for (let d = 0; d < FOLDERS; d++) {
    const folder = join(tree.folder, 'tree', `folder ${d}`);
    fs.mkdirSync(folder, { recursive: true });
    for (let f = 0; f < FILES_PER_FOLDER; f++) {
      const n = d * FILES_PER_FOLDER + f;
      const text = `number ${n}\n`.repeat(1 + (n % 60)) + (n % 97 === 0 ? 'needle\n' : '');
      fs.writeFileSync(join(folder, `file-${f}`), text);
    }
    fs.symlinkSync(`file-${d}`, join(folder, 'link'));
    fs.linkSync(join(folder, 'file-1'), join(folder, 'hard'));
    fs.chmodSync(join(folder, 'file-2'), 0o4751);
    fs.chownSync(join(folder, 'file-3'), 1000, 33);
    fs.utimesSync(join(folder, 'file-4'), 1_000_000 + d, 2_000_000 + d);
  }
  const lines = Array.from({ length: 50_000 }, (_, i) => `${(i * 7919) % 50_021} line ${i % 13}`);
  fs.writeFileSync(join(tree.folder, 'lines'), lines.join('\n') + '\n');
}

function compileGo(tree: Tree): void {
  const cache = fs.mkdtempSync(join(tmpdir(), 'runnc-go-'));
  const env = { ...process.env, CGO_ENABLED: '0', GOCACHE: cache, GO111MODULE: 'off' };
  execFileSync('go', ['build', '-o', join(tree.folder, 'bin/busy'), join(sources, 'busy.go')], { env });
  fs.rmSync(cache, { recursive: true, force: true });
}

function filesOf(folder: number): readonly string[] {
  return Array.from({ length: FILES_PER_FOLDER }, (_, i) => `/tree/folder ${folder}/file-${i}`);
}

const FIND_FORMAT = '%p %y %s %m %n %U %G %T@ %l\\n';

/** `any`: the order of lines is the file system's affair. */
const commands: readonly (readonly [sentence: string, argv: readonly string[], order?: 'any'])[] = [
  ['lists all names', ['ls', '-R', '/tree']],
  ['finds by busybox', ['/bin/busybox', 'find', '/tree'], 'any'],
  [
    'finds with modes, owners, links and times',
    ['find', '/tree', '!', '-type', 'd', '-printf', FIND_FORMAT],
    'any',
  ],
  [
    'finds by size, time and name',
    ['find', '/tree', '-name', '*7', '-size', '+1', '-newermt', '1990-01-01'],
    'any',
  ],
  ['deletes what it finds', ['find', '/tree', '-name', 'file-1*', '-print', '-delete'], 'any'],
  ['measures', ['du', '-b', '-a', '-c', '/lines', ...filesOf(6)]],
  ['searches', ['grep', '-rn', 'needle', '/tree'], 'any'],
  ['searches in vain', ['grep', '-rq', 'no such text', '/tree']],
  ['archives everything', ['tar', '--sort=name', '--mtime=@0', '-cf', '-', '/tree']],
  ['archives with times', ['tar', '-cf', '-', '/tree/folder 3/file-4', '/tree/folder 3/file-3', '/lines']],
  ['copies a tree', ['cp', '-av', '/tree', '/tmp/copy'], 'any'],
  ['moves a tree', ['mv', '-v', '/tree', '/moved']],
  ['removes a tree', ['rm', '-rv', '/tree'], 'any'],
  ['changes modes', ['chmod', '-v', 'g-r,o+w,u+s', ...filesOf(8)]],
  ['sorts by number', ['sort', '-n', '/lines']],
  ['sorts through temporary files', ['sort', '-S', '64k', '-T', '/tmp', '-u', '-k3', '-k1n', '/lines']],
  ['counts', ['wc', '/lines', ...filesOf(9)]],
  ['hashes', ['sha256sum', '/lines', ...filesOf(5)]],
  ['edits in place', ['sed', '-i', '-n', '-e', '1,5p', '-e', 'w /dev/stdout', '/tree/folder 1/file-20']],
  ['cuts', ['cut', '-d', ' ', '-f', '2-', '/lines']],
  ['shows the end', ['tail', '-n', '20', '/lines']],
  ['shows the start', ['head', '-c', '3000000', '/dev/zero']],
  ['turns lines round', ['tac', '/lines']],
  ['tells attributes', ['stat', '-c', '%n %F %s %a %h %u %g %Y', ...filesOf(1), '/tree/folder 1/link']],
  ['complains', ['cat', '/missing', '/tree', '/lines']],
  ['follows links', ['readlink', '-f', '/tree/folder 9/link']],
  ['copies blocks', ['dd', 'if=/lines', 'bs=1000', 'skip=3', 'count=5', 'status=none']],
];

describe('tools in the Linux guest', function () {
  this.timeout(180_000);
  let tree: Tree;

  before(() => {
    tree = new Tree('overlay');
    for (const folder of ['bin', 'tmp', 'proc', 'dev', 'sys', 'root', 'etc', 'work']) {
      fs.mkdirSync(join(tree.folder, folder), { recursive: true });
    }
    for (const tool of TOOLS) install(tree, where(tool));
    fs.copyFileSync('/bin/busybox', join(tree.folder, 'bin/busybox'));
    installPython(tree);
    makeFiles(tree);
    compileGo(tree);
    fs.copyFileSync(join(sources, 'everyday.py'), join(tree.folder, 'everyday.py'));
    tree.makeImage();
  });
  after(() => tree.remove());

  async function compare(
    argv: readonly string[],
    order: 'same' | 'any',
    options: RunOptions = {},
  ): Promise<Outcome> {
    const command = [where(argv[0] ?? ''), ...argv.slice(1)];
    const native = await tree.native(command, { timeoutMs: 60_000, ...options });
    const guest = await tree.guest(command, { timeoutMs: 60_000, ...options });
    const sorted = (text: string): readonly string[] => text.split('\n').sort();
    if (order === 'same') expect(guest.stdout, guest.stderr).to.equal(native.stdout);
    else expect(sorted(guest.stdout), guest.stderr).to.deep.equal(sorted(native.stdout));
    expect(guest.status, guest.stderr).to.equal(native.status);
    return guest;
  }

  for (const [sentence, argv, order] of commands) {
    it(`${argv[0] ?? ''} ${sentence}`, async () => {
      await compare(argv, order ?? 'same');
    });
  }

  it('filters read standard input to its end', async () => {
    await compare(['tr', 'a-z', 'A-Z'], 'same', { stdin: 'some text\n'.repeat(20_000) });
    await compare(['uniq', '-c'], 'same', { stdin: 'a\na\nb\n' });
    await compare(['wc'], 'same', { stdin: '' });
  });

  it('a Go program runs with goroutines, timers, garbage and files', async () => {
    const said = await compare(['/bin/busy', 'x'], 'same');
    expect(said.status).to.equal(7);
    expect(said.stdout).to.match(/^goroutines 10000$/m);
  });

  it('python3 runs with threads, json, sqlite, zlib, ssl, asyncio, mmap and 10,000 files', async () => {
    const said = await compare(['/usr/bin/python3', '/everyday.py', 'argument'], 'same');
    expect(said.stdout).to.match(/^memory_returns: freed$/m);
    expect(said.stdout).to.match(/^tree_of_files: \(10200,/m);
    expect(said.stdout).to.match(/^event_loop: \(\[0, 1, 4, 9, 16\]/m);
  });
});
