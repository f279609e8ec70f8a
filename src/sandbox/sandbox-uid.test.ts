import { expect } from 'chai';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunncError } from '../errors.ts';
import { readHostConfig } from '../host-config.ts';
import { claimUid, releaseAllUids, releaseUid } from './sandbox-uid.ts';

describe('uids for sandboxes', () => {
  let folder: string;
  let claims: string;
  const range = { start: 5000, size: 4 };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-uids-'));
    claims = join(folder, 'uids');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const container = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  };

  it('are all different while their containers are there, and run out', async () => {
    const uids = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => claimUid(range, container(name), claims)),
    );
    expect([...uids].sort()).to.deep.equal([5000, 5001, 5002, 5003]);
    let error: unknown;
    await claimUid(range, container('e'), claims).catch((problem: unknown) => (error = problem));
    expect(error)
      .to.be.instanceOf(RunncError)
      .with.property('message')
      .that.includes('all 4 uids for sandboxes are taken');
  });

  it('are free again when released, and when their container is gone without a word', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await claimUid(range, container(name), claims);
    rmSync(join(folder, 'b'), { recursive: true });
    const stale = await claimUid(range, container('e'), claims);
    expect(stale).to.be.within(5000, 5003);
    releaseUid(stale, join(folder, 'e'), claims);
    expect(await claimUid(range, container('f'), claims)).to.equal(stale);
  });

  it('are released by their owner alone', async () => {
    const uid = await claimUid(range, container('a'), claims);
    releaseUid(uid, join(folder, 'b'), claims);
    expect(readdirSync(claims)).to.deep.equal([String(uid)]);
    releaseAllUids(join(folder, 'a'), claims);
    releaseAllUids(join(folder, 'a'), claims);
    expect(readdirSync(claims)).to.deep.equal([]);
  });

  it('are not taken from what is no claim of ours', async () => {
    mkdirSync(claims);
    symlinkSync(container('a'), join(claims, '5000'));
    expect(await claimUid({ start: 5000, size: 2 }, container('b'), claims)).to.equal(5001);
  });
});

describe("the host's configuration", () => {
  let file: string;

  before(() => {
    file = join(mkdtempSync(join(tmpdir(), 'runnc-config-')), 'config.json');
  });
  after(() => {
    rmSync(join(file, '..'), { recursive: true });
  });

  it('has defaults that lie beyond what other programs hand out', () => {
    expect(readHostConfig(file).uidRange).to.deep.equal({ start: 1879048192, size: 65536 });
    writeFileSync(file, '{}');
    expect(readHostConfig(file).uidRange.size).to.equal(65536);
  });

  it('is read', () => {
    writeFileSync(file, '{"uidRange":{"start":100000,"size":10}}');
    expect(readHostConfig(file).uidRange).to.deep.equal({ start: 100000, size: 10 });
    expect(readHostConfig(file).cacheLimitBytes).to.equal(20 * 2 ** 30);
    writeFileSync(file, '{"cacheLimit":"512m","network":{"host":"none"}}');
    expect(readHostConfig(file)).to.deep.equal({
      uidRange: { start: 1879048192, size: 65536 },
      cacheLimitBytes: 512 * 2 ** 20,
      network: { host: 'none' },
    });
  });

  it('is refused with the file and the field when it is wrong', () => {
    for (const [text, message] of [
      ['{', 'config.json: '],
      ['{"network":{"host":"yes"}}', 'config.json: network.host: expected'],
      ['{"uidRange":{"start":0,"size":1}}', 'config.json: uidRange.start: expected an integer from 1'],
      ['{"uidRange":{"start":4294967290,"size":10}}', 'config.json: uidRange: ends beyond the last uid'],
      ['{"cacheLimit":20}', 'config.json: cacheLimit: expected a size such as "512m" or "20g", got 20'],
      ['{"cacheLimit":"20 GiB"}', 'config.json: cacheLimit: expected a size such as "512m" or "20g"'],
      ['{"uidRange":{"start":1}}', 'config.json: uidRange.size: is required'],
    ] as const) {
      writeFileSync(file, text);
      expect(() => readHostConfig(file)).to.throw(RunncError, message);
    }
  });
});
