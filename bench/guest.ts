/** A Linux program under the tender alone, as runnc starts it: what its own start-up costs is not in the figures. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeBootConfig } from '../src/guest/boot-config.ts';
import { findFixedProgram } from '../src/rootfs/segments-file.ts';
import { openRootfsImage } from '../src/rootfs/open.ts';
import type { RootfsImage } from '../src/rootfs/rootfs-image.ts';
import { linuxAddressSpaceMib } from '../src/sandbox/guest-memory.ts';
import { MOUNTS } from '../test/linux-abi/guest.ts';
import type { Rootfs } from '../test/linux-programs/rootfs.ts';
import { dist } from './measure.ts';

const EXTRAS = 'exec-heap,boot-config,sud,rootfs-map,vtimer,stdio,memctl';
const MEMORY_LIMIT_BYTES = 1n << 32n;

export class TenderGuest {
  readonly #folder: string;
  readonly #rootfs: Rootfs;
  readonly #image: RootfsImage;
  #configs = 0;

  private constructor(folder: string, rootfs: Rootfs, image: RootfsImage) {
    this.#folder = folder;
    this.#rootfs = rootfs;
    this.#image = image;
  }

  /** @param folder for the image and the boot configs; the caller removes it */
  static async of(rootfs: Rootfs, folder: string): Promise<TenderGuest> {
    const cacheDir = join(folder, 'cache');
    return new TenderGuest(
      folder,
      rootfs,
      await openRootfsImage({ rootfs: rootfs.folder, format: 'erofs', cacheDir }),
    );
  }

  /** argv[0] is the program's path in the rootfs. */
  command(argv: readonly string[]): readonly string[] {
    const config = join(this.#folder, `config-${String(this.#configs++)}`);
    const exe = argv[0] ?? '';
    writeFileSync(config, encodeBootConfig({ ...COMMON, args: argv, exe }));
    const size = statSync(this.#rootfs.path(exe)).size;
    const { fd, segments } = this.#image;
    if (segments === undefined) throw new Error('an image without programs');
    const program = findFixedProgram(fd, segments, size);
    const image = `/proc/${String(process.pid)}/fd/${String(fd)}`;
    const area = `offset=${String(segments.offset)},size=${String(segments.sizeBytes)}`;
    const place =
      program === undefined
        ? []
        : [`--program=${[program.offset, program.size, program.address].map(String).join(',')}`];
    return [
      join(dist, 'tender-spt'),
      ...[`--mem=${String(linuxAddressSpaceMib)}`, `--allow-extras=${EXTRAS}`, `--boot-config=${config}`],
      ...[`--rootfs=${image}`, `--segments=${image},${area}`, ...place],
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
