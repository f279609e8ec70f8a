import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withImageAnnotations } from './image-annotations.ts';

describe('annotations that an image brings along', () => {
  let folder: string;
  let rootfsFd: number;
  let warnings: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-annotations-'));
    mkdirSync(join(folder, 'rootfs/.runnc'), { recursive: true });
    rootfsFd = openSync(join(folder, 'rootfs'), constants.O_RDONLY | constants.O_DIRECTORY);
    warnings = [];
  });

  afterEach(() => {
    closeSync(rootfsFd);
    rmSync(folder, { recursive: true });
  });

  const write = (path: string, content: unknown): void => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(join(folder, 'rootfs', path), text);
  };
  const read = (
    annotations?: Readonly<Record<string, string>>,
  ): Readonly<Record<string, string>> | undefined =>
    withImageAnnotations({ ...(annotations === undefined ? {} : { annotations }) }, rootfsFd, (message) =>
      warnings.push(message),
    ).annotations;

  it('are those of its two files, and config.json has the last word', () => {
    expect(read()).to.equal(undefined);
    expect(read({ a: 'b' })).to.deep.equal({ a: 'b' });
    write('urunc.json', {
      'com.urunc.unikernel.cmdline': Buffer.from('--x y').toString('base64'),
      'com.urunc.unikernel.unikernelType': Buffer.from('rumprun').toString('base64'),
      'io.runnc.profile': 'never from here',
    });
    write('.runnc/annotations.json', { 'io.runnc.profile': 'strict', 'io.runnc.guest': 'solo5' });
    expect(read({ 'io.runnc.guest': 'rumprun', a: 'b' })).to.deep.equal({
      'com.urunc.unikernel.cmdline': '--x y',
      'com.urunc.unikernel.unikernelType': 'rumprun',
      'io.runnc.profile': 'strict',
      'io.runnc.guest': 'rumprun',
      a: 'b',
    });
    expect(warnings).to.deep.equal([]);
  });

  it('cannot name anything of the host', () => {
    const allowed = {
      'io.runnc.block.one': 'rootfs',
      'io.runnc.block.two': 'mount:/data',
      'io.runnc.net.net0': 'eth1',
      'io.runnc.network': 'none',
    };
    const refused = {
      'io.runnc.block.disk': '/etc/shadow,ro',
      'io.runnc.network.x': 'y',
      'io.runnc.strace': 'true',
      'io.runnc.mounts': 'x',
      'org.example': 'x',
    };
    write('.runnc/annotations.json', { ...allowed, ...refused });
    expect(read()).to.deep.equal(allowed);
    expect(warnings).to.deep.equal(
      Object.keys(refused).map(
        (name) => `annotation "${name}" of the image is left out: only config.json may set it`,
      ),
    );
  });

  it('are read inside the rootfs, from small regular files only', () => {
    writeFileSync(join(folder, 'outside'), '{"io.runnc.guest":"x"}');
    symlinkSync('../../outside', join(folder, 'rootfs/.runnc/annotations.json'));
    expect(read()).to.equal(undefined);
    rmSync(join(folder, 'rootfs/.runnc/annotations.json'));
    for (const [content, message] of [
      ['{', 'is not JSON'],
      ['[]', 'is not an object'],
      ['{"a":1}', '"a" is not a string'],
      [`{"a":"${'x'.repeat(70_000)}"}`, 'has more than 64 KiB'],
    ] as const) {
      write('.runnc/annotations.json', content);
      expect(() => read()).to.throw(message);
    }
    rmSync(join(folder, 'rootfs/.runnc/annotations.json'));
    execFileSync('mkfifo', [join(folder, 'rootfs/urunc.json')]);
    expect(() => read()).to.throw('/urunc.json in the rootfs is not a regular file');
  });
});
