/**
 * Memory of the image verbs with a layer of 300 MB: everything is streamed, so the peak is that of the program and its buffers.
 * docs/testing.md has the figures.
 */
import { expect } from 'chai';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '../../src/image/digest.ts';
import { linuxEntries } from '../support/linux-image.ts';
import { runtime } from '../support/paths.ts';
import { TestRegistry } from '../support/registry.ts';
import { makeTar } from '../support/tar.ts';

const LAYER_BYTES = 300_000_000;
const LIMIT_KIB = 150 * 1024;
const POLL_MS = 10;

describe('images with a layer of 300 MB', function () {
  this.timeout(600_000);
  const folder = mkdtempSync(join(tmpdir(), 'runnc-long-images-'));
  const archive = join(folder, 'big.tar');
  let registry: TestRegistry;

  before(async () => {
    registry = await TestRegistry.start();
    const layer = await makeTar([
      ...linuxEntries(),
      { name: 'big', content: randomFillSync(Buffer.alloc(LAYER_BYTES)) },
    ]);
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/ls', '/big'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    });
    const manifest = [{ Config: 'config.json', RepoTags: ['big:1'], Layers: ['layer.tar'] }];
    writeFileSync(
      archive,
      await makeTar([
        { name: 'layer.tar', content: layer },
        { name: 'config.json', content: config },
        { name: 'manifest.json', content: JSON.stringify(manifest) },
      ]),
    );
  });
  after(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true });
  });

  const store = join(folder, 'images');
  const calls: readonly (readonly [string, () => readonly string[]])[] = [
    ['load', () => ['load', '--store', store, '--input', archive]],
    ['run', () => ['run', '--store', store, '--rm', '--name', 'store-long-big', 'big:1']],
    ['save', () => ['save', '--store', store, '--output', join(folder, 'out.tar'), 'big:1']],
    ['push', () => ['push', '--store', store, 'big:1', `${registry.host}/big:1`]],
    ['pull', () => ['pull', '--store', join(folder, 'other'), `${registry.host}/big:1`]],
  ];
  for (const [name, args] of calls) {
    it(`${name} takes less than 150 MiB of memory`, async () => {
      const peakKib = await peakOf(spawn(runtime, args(), { stdio: ['ignore', 'ignore', 'inherit'] }));
      console.log(`      ${name}: ${String(Math.round(peakKib / 1024))} MiB at the most`);
      expect(peakKib).to.be.within(1, LIMIT_KIB);
    });
  }
});

/** The kernel's own high-water mark, as it was when last looked at. */
async function peakOf(child: ChildProcess): Promise<number> {
  let peakKib = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${String(child.pid)}/status`, 'latin1');
      peakKib = Math.max(peakKib, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It has ended.
    }
  }, POLL_MS);
  const [status] = (await once(child, 'exit')) as [number | null];
  clearInterval(timer);
  expect(status).to.equal(0);
  return peakKib;
}
