/** From a bundle to what runs: the guest, its memory, and what it finds attached. */
import { release } from 'node:os';
import { RunncError } from '../errors.ts';
import type { Guest } from '../guest/guest.ts';
import { resolveGuest, type ResolvedGuest } from '../guest/resolve.ts';
import { sealedMemfd } from '../native.ts';
import type { Bundle } from '../oci/bundle.ts';
import type { MountedFolder } from '../rootfs/mounts.ts';
import type { LayerEntry, OpenRootfsOptions, RootfsFormat, RootfsImage } from '../rootfs/rootfs-image.ts';
import { guestMemoryMib, linuxAddressSpaceMib, linuxMemoryBytes } from '../sandbox/guest-memory.ts';
import type { LinuxInput, TenderInput } from '../sandbox/tender-command.ts';
import type { CreateOptions } from './create.ts';

export type PreparedGuest = Pick<TenderInput, 'guest' | 'memoryMib' | 'blocks' | 'linux'>;

/** Puts a descriptor on the list of those that are closed when the creation is over. */
type Keep = (fd: number) => number;

/** Throws EXEC_NOT_FOUND, EXEC_DENIED, INVALID, UNSUPPORTED, HOST. */
export async function prepareGuest(
  bundle: Bundle,
  rootfsFd: number,
  options: CreateOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  const resolved = resolveGuest(bundle, rootfsFd, options.onWarning);
  return resolved.kind === 'linux'
    ? prepareLinux(resolved, bundle, rootfsFd, options, keep)
    : prepareUnikernel(resolved.guest, bundle, options, keep);
}

async function prepareUnikernel(
  guest: Guest,
  bundle: Bundle,
  options: CreateOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  if (guest.kernel.type === 'descriptor') keep(guest.kernel.fd);
  if (options.strace === true) {
    throw new RunncError('INVALID', '--strace: a unikernel makes no system calls; it is for Linux programs');
  }
  checkDevices(guest);
  const blocks = await attachBlocks(guest, bundle, options, keep);
  await reportMounts(bundle, options);
  return { guest, memoryMib: guestMemoryMib(bundle.spec), blocks };
}

function checkDevices({ manifest }: Guest): void {
  const net = manifest.devices.find(({ type }) => type === 'NET_BASIC');
  if (net !== undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      `the guest needs the network device ${net.name}: networks are not supported yet`,
    );
  }
}

/** What the manifest's block devices are: files named by annotation, and the rootfs as an image. */
async function attachBlocks(
  guest: Guest,
  bundle: Bundle,
  options: CreateOptions,
  keep: Keep,
): Promise<PreparedGuest['blocks']> {
  const { annotations = {} } = bundle.spec;
  const declares = guest.manifest.devices.some(({ type }) => type === 'BLOCK_BASIC');
  if (!declares && !Object.keys(annotations).some((key) => key.startsWith('io.runnc.block.'))) return [];
  const { matchBlockDevices, openBlockDevices, parseBlockAnnotations } = await import('../rootfs/block.ts');
  const { rootfsDevice, files } = matchBlockDevices(
    guest.manifest,
    parseBlockAnnotations(annotations, bundle.path),
  );
  const blocks = openBlockDevices(files);
  for (const { fd } of blocks) keep(fd);
  if (rootfsDevice === undefined) return blocks;
  const image = await openImage('iso9660', bundle, options, keep);
  return [...blocks, { name: rootfsDevice, fd: image.fd, readonly: true }];
}

/** Says what of config.json's mounts the guest will not see; refuses what no guest can have. */
async function reportMounts({ path, spec }: Bundle, { onWarning }: CreateOptions): Promise<void> {
  const mounts = spec.mounts ?? [];
  if (mounts.length === 0) return;
  const { splitMounts, unusedBySolo5 } = await import('../rootfs/mounts.ts');
  for (const line of unusedBySolo5(splitMounts(mounts, { bundle: path }))) onWarning?.(line);
}

async function prepareLinux(
  program: Extract<ResolvedGuest, { kind: 'linux' }>,
  bundle: Bundle,
  rootfsFd: number,
  options: CreateOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  const [{ checkLinuxHost, linuxGuest }, { splitMounts }] = await Promise.all([
    import('../guest/linux.ts'),
    import('../rootfs/mounts.ts'),
  ]);
  const { spec } = bundle;
  checkLinuxHost(process.arch, release());
  const { facts, files, folders } = splitMounts(spec.mounts ?? [], {
    bundle: bundle.path,
    ...idMappings(bundle),
  });
  const folderEntries = await readFolders(folders, rootfsFd, bundle);
  const image = await openImage('erofs', bundle, options, keep);
  const guest = linuxGuest({
    spec,
    rootfsFd,
    path: program.path,
    facts,
    files,
    delta: [...image.delta, ...folderEntries],
    memoryBytes: linuxMemoryBytes(spec),
    strace: options.strace ?? false,
  });
  const bootConfigFd = keep(sealedMemfd('boot-config', guest.bootConfig ?? Buffer.alloc(0), 'data'));
  return {
    guest,
    memoryMib: linuxAddressSpaceMib,
    blocks: [],
    linux: {
      bootConfigFd,
      rootfsFd: image.fd,
      ...(await segmentsOf(image, program.fixedBytes)),
    },
  };
}

async function segmentsOf(
  { segments }: RootfsImage,
  fixedBytes: number | undefined,
): Promise<Pick<LinuxInput, 'segmentsFd' | 'program'>> {
  if (segments === undefined) return {};
  if (fixedBytes === undefined) return { segmentsFd: segments.fd };
  const { findFixedProgram } = await import('../rootfs/fixed-program.ts');
  const program = findFixedProgram(segments, fixedBytes);
  return { segmentsFd: segments.fd, ...(program === undefined ? {} : { program }) };
}

/** Read-only folders of the host, as of now. */
async function readFolders(
  folders: readonly MountedFolder[],
  rootfsFd: number,
  bundle: Bundle,
): Promise<LayerEntry[]> {
  if (folders.length === 0) return [];
  const [{ readMountedFolder }, { idTranslation }] = await Promise.all([
    import('../rootfs/folder.ts'),
    import('../rootfs/id-map.ts'),
  ]);
  const ids = idTranslation(idMappings(bundle));
  return folders.flatMap((folder) => readMountedFolder(folder, rootfsFd, ids));
}

async function openImage(
  format: RootfsFormat,
  bundle: Bundle,
  { onProgress, onWarning }: CreateOptions,
  keep: Keep,
): Promise<RootfsImage> {
  const { openRootfsImage } = await import('../rootfs/open.ts');
  const { annotations } = bundle.spec;
  const image = await openRootfsImage({
    rootfs: bundle.rootfs,
    format,
    ...idMappings(bundle),
    ...(annotations === undefined ? {} : { annotations }),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(onWarning === undefined ? {} : { onWarning }),
  });
  keep(image.fd);
  if (image.segments !== undefined) keep(image.segments.fd);
  return image;
}

function idMappings({ spec }: Bundle): Pick<OpenRootfsOptions, 'uidMappings' | 'gidMappings'> {
  const { uidMappings, gidMappings } = spec.linux ?? {};
  return {
    ...(uidMappings === undefined ? {} : { uidMappings }),
    ...(gidMappings === undefined ? {} : { gidMappings }),
  };
}
