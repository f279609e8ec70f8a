/** After the suite: images of the tests' own folders, which are gone, leave the host's cache. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Cache } from '../../src/rootfs/cache.ts';

export function mochaGlobalTeardown(): void {
  const cache = new Cache();
  for (const { entry, inUse } of cache.list()) {
    const isOfTest = entry.source.startsWith(`${tmpdir()}/`) && !existsSync(entry.source);
    if (!isOfTest || inUse) continue;
    try {
      cache.remove(entry.key, { force: false });
    } catch {
      // Somebody was faster, or has just begun to use it.
    }
  }
}
