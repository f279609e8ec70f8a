/** A Linux program under the tender alone, as runnc starts it: what its own start-up costs is not in the figures. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeBootConfig } from '../src/guest/boot-config.ts';
import { findFixedProgram } from '../src/rootfs/fixed-program.ts';
import { openRootfsImage } from '../src/rootfs/open.ts';
import { linuxAddressSpaceMib } from '../src/sandbox/guest-memory.ts';
import { MOUNTS } from '../test/linux-abi/guest.ts';
import type { Rootfs } from '../test/linux-programs/rootfs.ts';
import { dist } from './measure.ts';

const EXTRAS = 'exec-heap,boot-config,sud,rootfs-map,vtimer,stdio,memctl';
const MEMORY_LIMIT_BYTES = 1n << 32n;

export class TenderGuest {
  readonly #folder: string;
  readonly #rootfs: Rootfs;
  readonly #entry: string;
  readonly #segments: { readonly fd: number; readonly sizeBytes: number } | undefined;
  #configs = 0;

  private constructor(
    folder: string,
    rootfs: Rootfs,
    entry: string,
    segments: { readonly fd: number; readonly sizeBytes: number } | undefined,
  ) {
    this.#folder = folder;
    this.#rootfs = rootfs;
    this.#entry = entry;
    this.#segments = segments;
  }

  /** @param folder for the image and the boot configs; the caller removes it */
  static async of(rootfs: Rootfs, folder: string): Promise<TenderGuest> {
    const cacheDir = join(folder, 'cache');
    const image = await openRootfsImage({ rootfs: rootfs.folder, format: 'erofs', cacheDir });
    const [key = ''] = readdirSync(join(cacheDir, 'entries'));
    return new TenderGuest(folder, rootfs, join(cacheDir, 'entries', key), image.segments);
  }

  /** argv[0] is the program's path in the rootfs. */
  command(argv: readonly string[]): readonly string[] {
    const config = join(this.#folder, `config-${String(this.#configs++)}`);
    const exe = argv[0] ?? '';
    writeFileSync(config, encodeBootConfig({ ...COMMON, args: argv, exe }));
    const size = statSync(this.#rootfs.path(exe)).size;
    const program = this.#segments === undefined ? undefined : findFixedProgram(this.#segments, size);
    const place =
      program === undefined
        ? []
        : [`--program=${[program.offset, program.size, program.address].map(String).join(',')}`];
    return [
      join(dist, 'tender-spt'),
      ...[`--mem=${String(linuxAddressSpaceMib)}`, `--allow-extras=${EXTRAS}`, `--boot-config=${config}`],
      ...[`--rootfs=${this.#entry}/image`, `--segments=${this.#entry}/segments`, ...place],
      join(dist, 'linux.spt'),
    ];
  }
}

const COMMON = {
  env: ['PATH=/usr/bin', 'HOME=/root'],
  cwd: '/',
  credentials: {
    ...{ uid: 0, gid: 0, umask: 0o022, groups: [] },
    ...{ capEffective: 0n, capPermitted: 0n, capInheritable: 0n, capBounding: 0n, capAmbient: 0n },
  },
  hostname: 'bench',
  rlimits: [],
  memoryBytes: MEMORY_LIMIT_BYTES,
  files: [],
  mounts: MOUNTS,
  sysctl: {},
  strace: false,
  rootReadonly: false,
  noNewPrivileges: false,
};
