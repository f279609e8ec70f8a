import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../guest/manifest.ts';
import {
  matchBlockDevices,
  mountedFolder,
  openBlockDevices,
  parseBlockAnnotations,
  type BlockPlan,
} from './block.ts';
import type { MountedFolder } from './mounts.ts';

const manifest = (...names: string[]): Manifest => ({
  version: 1,
  devices: [
    { name: 'net0', type: 'NET_BASIC' },
    ...names.map((name) => ({ name, type: 'BLOCK_BASIC' }) as const),
  ],
});
const parse = (annotations: Record<string, string>): ReturnType<typeof parseBlockAnnotations> =>
  parseBlockAnnotations(annotations, '/bundle');

describe('block device annotations', () => {
  it('name a file on the host, absolute or in the bundle, with its options', () => {
    expect(
      parse({
        'io.runnc.block.data': '/srv/data.img',
        'io.runnc.block.log': 'log.img,size=10M',
        'io.runnc.block.base': 'base.img,ro',
        'io.runnc.block.root': 'rootfs',
        'io.runnc.other': 'x',
      }),
    ).to.deep.equal([
      { name: 'data', file: { path: '/srv/data.img', readonly: false } },
      { name: 'log', file: { path: '/bundle/log.img', readonly: false, createBytes: 10 * 2 ** 20 } },
      { name: 'base', file: { path: '/bundle/base.img', readonly: true } },
      { name: 'root' },
    ]);
  });

  for (const [value, message] of [
    ['', /a path is missing/],
    [',ro', /a path is missing/],
    ['x,what', /"what" is not an option/],
    ['x,size=', /"" is not a size/],
    ['x,size=0', /"0" is not a size/],
    ['x,size=-1', /is not a size/],
    ['x,size=1000', /multiple of 512/],
    ['x,size=99999999999999T', /multiple of 512|is not a size/],
    ['x,ro,size=1M', /exclude each other/],
  ] as const) {
    it(`refuse "${value}", naming the annotation`, () => {
      expect(() => parse({ 'io.runnc.block.data': value })).to.throw(/^annotation io\.runnc\.block\.data=/);
      expect(() => parse({ 'io.runnc.block.data': value })).to.throw(message);
    });
  }

  it('refuse names that no device can have', () => {
    for (const name of ['', 'a-b', '../x', 'x'.repeat(68)]) {
      expect(() => parse({ [`io.runnc.block.${name}`]: '/x' })).to.throw(/1 to 67 letters and digits/);
    }
  });
});

describe('the block devices of a manifest', () => {
  const match = (names: string[], annotations: Record<string, string>): BlockPlan =>
    matchBlockDevices(manifest(...names), parse(annotations));

  it('get the rootfs when there is one of them, whatever its name', () => {
    expect(match(['anything'], {})).to.deep.equal({ rootfsDevice: 'anything', files: [], mounts: [] });
    expect(match([], {})).to.deep.equal({ files: [], mounts: [] });
  });

  it('get mounted folders by annotation', () => {
    const plan = match(['data', 'disk'], { 'io.runnc.block.data': 'mount:/srv//data/' });
    expect(plan).to.deep.equal({
      rootfsDevice: 'disk',
      files: [],
      mounts: [{ name: 'data', mount: '/srv/data' }],
    });
    const [request = { name: '', mount: '' }] = plan.mounts;
    const folder = (target: string): MountedFolder => ({
      ...{ kind: 'folder', target, source: '/x', options: [], recursive: true, where: '' },
    });
    expect(mountedFolder(request, [folder('/a'), folder('/srv/data')]).target).to.equal('/srv/data');
    expect(() => mountedFolder(request, [folder('/a')])).to.throw(
      'annotation io.runnc.block.data=mount:/srv/data: config.json mounts no folder there',
    );
    expect(() => parse({ 'io.runnc.block.data': 'mount:data' })).to.throw(/needs the absolute path/);
  });

  it('get what annotations say, and the last one the rootfs', () => {
    const plan = match(['data', 'root'], { 'io.runnc.block.data': '/d' });
    expect(plan.rootfsDevice).to.equal('root');
    expect(plan.files.map(({ name }) => name)).to.deep.equal(['data']);
    expect(match(['only'], { 'io.runnc.block.only': '/d' }).rootfsDevice).to.equal(undefined);
    expect(
      match(['a', 'b'], { 'io.runnc.block.a': 'rootfs', 'io.runnc.block.b': '/b' }).rootfsDevice,
    ).to.equal('a');
  });

  it('are refused where it is not clear which is the rootfs, or an annotation has no device', () => {
    expect(() => match(['a', 'b'], {})).to.throw(
      /declares the block devices a, b and only one can be the rootfs/,
    );
    expect(() => match(['a', 'b'], { 'io.runnc.block.a': 'rootfs' })).to.throw(/only one can be the rootfs/);
    expect(() => match(['a'], { 'io.runnc.block.z': '/z' })).to.throw(/block\.z: the guest declares a$/);
    expect(() => match([], { 'io.runnc.block.z': '/z' })).to.throw(/declares no block device$/);
  });
});

describe('block device files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-block-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (...values: string[]): ReturnType<typeof openBlockDevices> => {
    const annotations = Object.fromEntries(values.map((value, i) => [`io.runnc.block.d${i}`, value]));
    return openBlockDevices(
      parseBlockAnnotations(annotations, folder).flatMap(({ name, file }) => (file ? [{ name, file }] : [])),
    );
  };

  it('are created sparse when a size is given, and left as they are when they are there', () => {
    for (let round = 0; round < 2; round++) {
      const [device] = open('new.img,size=1G');
      const stat = fstatSync(device?.fd ?? -1);
      expect(stat.size).to.equal(2 ** 30);
      expect(stat.mode & 0o777).to.equal(0o600);
      expect(stat.blocks).to.be.lessThan(100);
      writeSync(device?.fd ?? -1, 'x', 0);
      closeSync(device?.fd ?? -1);
    }
    expect(() => open('new.img,size=2G')).to.throw(/is there and has 1073741824 bytes, not 2147483648/);
  });

  it('cannot be written through when read-only', () => {
    writeFileSync(join(folder, 'base.img'), 'x'.repeat(512));
    const [device] = open('base.img,ro');
    expect(() => writeSync(device?.fd ?? -1, 'y')).to.throw(/EBADF/);
    closeSync(device?.fd ?? -1);
  });

  it('that are missing, folders or fifos are refused in one line, and nothing created stays', () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    for (const [value, message] of [
      ['missing.img', /d1: .*missing\.img does not exist: give the annotation a size=/],
      ['.', /d1: .* cannot be opened: EISDIR/],
      ['.,ro', /d1: .* is neither a file nor a block device/],
      ['fifo', /d1: .*fifo is neither a file nor a block device/],
      ['none/x.img,size=1M', /d1: .*does not exist/],
    ] as const) {
      const before = readdirSync('/proc/self/fd').length;
      expect(() => open('new.img,size=1M', value), value).to.throw(message);
      expect(existsSync(join(folder, 'new.img'))).to.equal(false);
      expect(readdirSync('/proc/self/fd')).to.have.length(before);
    }
    expect(statSync(folder).isDirectory()).to.equal(true);
  });
});
