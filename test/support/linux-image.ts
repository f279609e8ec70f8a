/** An image of an ordinary Linux system, made of this machine's busybox, as docker save writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../src/image/digest.ts';
import { makeTar, type TestEntry } from './tar.ts';

const APPLETS = [
  'cat',
  'chmod',
  'chown',
  'cp',
  'echo',
  'env',
  'false',
  'hostname',
  'id',
  'ln',
  'ls',
  'mkdir',
  'pwd',
  'rm',
  'sh',
  'sleep',
  'stat',
  'tr',
  'tty',
];

export interface LinuxImage {
  readonly name: string;
  /** `config` of the image's configuration. */
  readonly config?: object;
  /** A second layer. */
  readonly entries?: readonly TestEntry[];
  /** Of that layer; default: gzip. */
  readonly compress?: (layer: Buffer) => Buffer;
}

/** The files, in the order of an archive. */
export function linuxEntries(): TestEntry[] {
  const folder = (name: string, mode = 0o755): TestEntry => ({ name, type: 'directory', mode });
  const file = (name: string, content: string): TestEntry => ({ name, content, mode: 0o644 });
  return [
    ...['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'work'].map((name) => folder(name)),
    folder('tmp', 0o1777),
    { ...folder('home/alice'), uid: 1000, gid: 1001 },
    { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
    ...APPLETS.map((name): TestEntry => ({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' })),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n'),
    file('etc/group', 'root:x:0:\nalice:x:1001:\nvideo:x:44:alice\n'),
    file('etc/motd', 'from the image\n'),
  ];
}

/** In Docker's older form; the second layer gzipped. */
export async function linuxArchive({
  name,
  config = {},
  entries = [],
  compress = gzipSync,
}: LinuxImage): Promise<Buffer> {
  const layers = [
    await makeTar(linuxEntries()),
    await makeTar([{ name: 'etc/layer', content: 'two\n', mode: 0o644 }, ...entries]),
  ];
  const document = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    created: '2026-01-02T03:04:05Z',
    config: { Env: ['PATH=/bin', 'FROM=image'], Cmd: ['cat', '/etc/motd'], ...config },
    rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
    history: layers.map(() => ({ created: '2026-01-02T03:04:05Z' })),
  });
  const configName = `${digestOf(document).slice('sha256:'.length)}.json`;
  const manifest = [{ Config: configName, RepoTags: [name], Layers: ['a/layer.tar', 'b/layer.tar'] }];
  return makeTar([
    { name: 'a/layer.tar', content: layers[0] ?? '' },
    { name: 'b/layer.tar', content: compress(layers[1] ?? Buffer.alloc(0)) },
    { name: configName, content: document },
    { name: 'manifest.json', content: JSON.stringify(manifest) },
  ]);
}

export async function writeLinuxArchive(file: string, image: LinuxImage): Promise<void> {
  writeFileSync(file, await linuxArchive(image));
}
