/** From a bundle to what runs: the guest, its memory, and what it finds attached. */
import { accessSync, constants, fileSystemType, statSync } from '../files.ts';
import { RunncError, shorten } from '../errors.ts';
import type { Guest } from '../guest/guest.ts';
import { withImageAnnotations } from '../guest/image-annotations.ts';
import { resolveGuest, type ResolvedGuest, rumprunConfig } from '../guest/resolve.ts';
import { NET_ANNOTATION_PREFIX } from '../guest/solo5.ts';
import type { Solo5NetworkPlan } from '../guest/solo5-network.ts';
import type { HostConfig } from '../host-config.ts';
import { sealedMemfd, socketPair } from '../native.ts';
import type { GuestNetworking } from '../network/guest-networking.ts';
import { checkNetDevices, networkMode } from '../network/mode.ts';
import type { Bundle } from '../oci/bundle.ts';
import type { RunnableSpec } from '../oci/spec-rules.ts';
import type { BlockPlan } from '../rootfs/block.ts';
import { isMapped } from '../rootfs/id-map.ts';
import type { GuestMount, MountedFolder, MountOptions } from '../rootfs/mounts.ts';
import type { OpenRootfsOptions, RootfsFormat, RootfsImage } from '../rootfs/rootfs-image.ts';
import type { FileServer } from '../sandbox/file-server.ts';
import {
  CONFIGURED_LIMIT,
  guestMemoryMib,
  linuxAddressSpaceMib,
  linuxMemoryBytes,
} from '../sandbox/guest-memory.ts';
import type { FileServerPlan } from '../sandbox/launch-plan.ts';
import type { LinuxInput, TenderInput } from '../sandbox/tender-command.ts';
import type { CreateOptions } from './create.ts';

export interface PreparedGuest extends Pick<
  TenderInput,
  'guest' | 'memoryMib' | 'blocks' | 'linux' | 'control'
> {
  /** How it is joined to the interfaces that its namespace may hold: to be called once the hooks have run. */
  readonly networking?: () => GuestNetworking<Pick<TenderInput, 'guest' | 'late'>>;
  /** Its namespace is new and empty: what comes there until start is its. */
  readonly joinsAtStart?: boolean;
  /** And how a Solo5 guest is joined to it. */
  readonly solo5Network?: Solo5NetworkPlan;
  /** What init starts beside it, if any mount is to be served. */
  readonly fileServer?: FileServerPlan;
}

interface PrepareOptions extends CreateOptions {
  /** See OpenRootfsOptions. */
  readonly isServed?: boolean;
  /** Read once for the whole creation. */
  readonly hostConfig: HostConfig;
}

/** Puts a descriptor on the list of those that are closed when the creation is over. */
type Keep = (fd: number) => number;

/** Throws EXEC_NOT_FOUND, EXEC_DENIED, INVALID, UNSUPPORTED, HOST. */
export async function prepareGuest(
  given: Bundle,
  rootfsFd: number,
  options: PrepareOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  const bundle = { ...given, spec: withImageAnnotations(given.spec, rootfsFd, options.onWarning) };
  checkNetDevices(bundle.spec);
  const resolved = resolveGuest(bundle, rootfsFd, options.onWarning);
  return resolved.kind === 'linux'
    ? prepareLinux(resolved, bundle, rootfsFd, options, keep)
    : prepareUnikernel(resolved.guest, bundle, options, keep);
}

async function prepareUnikernel(
  guest: Guest,
  bundle: Bundle,
  options: PrepareOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  if (guest.kernel.type === 'descriptor') keep(guest.kernel.fd);
  if (options.strace === true) {
    throw new RunncError('INVALID', '--strace: a unikernel makes no system calls; it is for Linux programs');
  }
  const network = await solo5Network(guest, bundle, options);
  const mounts = await mountsOf(bundle, 'packed');
  const blocks = await attachBlocks(guest, mounts, bundle, options, keep);
  return {
    guest,
    memoryMib: guestMemoryMib(bundle.spec),
    blocks,
    ...network,
  };
}

async function solo5Network(
  guest: Guest,
  { spec }: Bundle,
  { hostConfig, onWarning }: PrepareOptions,
): Promise<Pick<PreparedGuest, 'networking' | 'joinsAtStart' | 'solo5Network'>> {
  const { annotations = {} } = spec;
  const declares = guest.manifest.devices.some(({ type }) => type === 'NET_BASIC');
  if (!declares && !Object.keys(annotations).some((key) => key.startsWith(NET_ANNOTATION_PREFIX))) return {};
  const { planSolo5Network, solo5Networking } = await import('../guest/solo5-network.ts');
  const rumprun = guest.kind === 'rumprun' ? rumprunConfig(spec, guest) : undefined;
  const plan = planSolo5Network(guest, annotations, rumprun);
  if (networkMode(spec) === 'new') return { joinsAtStart: true, solo5Network: plan };
  const networking = solo5Networking(plan, onWarning);
  // It cannot run without: it says so itself.
  if (!hasNetwork(spec, hostConfig)) networking.choose([]);
  const joined: GuestNetworking<Pick<TenderInput, 'guest' | 'late'>> = {
    ...networking,
    joined: (network) => {
      const { args, late } = networking.joined(network);
      return { guest: { ...guest, args }, late };
    },
  };
  return { networking: () => joined };
}

/** Throws UNSUPPORTED for the host's network. */
function hasNetwork(spec: RunnableSpec, hostConfig: HostConfig): boolean {
  const mode = networkMode(spec);
  if (mode !== 'host') return mode === 'namespace';
  if (hostConfig.network.host === 'none') return false;
  throw new RunncError(
    'UNSUPPORTED',
    "network: a guest cannot have the host's network: give the container one of its own (--network bridge, or none), " +
      'or let such containers run without any ("network": {"host": "none"} in /etc/runnc/config.json)',
  );
}

async function mountsOf(bundle: Bundle, binds: MountOptions['binds']): Promise<GuestMount[]> {
  const mounts = bundle.spec.mounts ?? [];
  if (mounts.length === 0) return [];
  const { resolveMounts } = await import('../rootfs/mounts.ts');
  return resolveMounts(mounts, { bundle: bundle.path, binds, ...idMappings(bundle) });
}

/**
 * What the manifest's block devices are: files and mounted folders named by annotation, and the rootfs as an image. Says
 * what of config.json's mounts the guest will not see.
 */
async function attachBlocks(
  guest: Guest,
  mounts: readonly GuestMount[],
  bundle: Bundle,
  options: PrepareOptions,
  keep: Keep,
): Promise<PreparedGuest['blocks']> {
  const { rootfsDevice, files, folders } = await planBlocks(guest, mounts, bundle);
  await reportMounts(mounts, folders, options);
  if (rootfsDevice === undefined && files.length === 0 && folders.length === 0) return [];
  const { openBlockDevices } = await import('../rootfs/block.ts');
  const blocks = openBlockDevices(files);
  for (const { fd } of blocks) keep(fd);
  for (const { name, folder } of folders) {
    blocks.push({ name, fd: await openFolder(folder, 'iso9660', bundle, options, keep), readonly: true });
  }
  if (rootfsDevice !== undefined) {
    const { fd } = await openImage('iso9660', bundle, options, keep);
    blocks.push({ name: rootfsDevice, fd, readonly: true });
  }
  return blocks;
}

interface PlannedBlocks extends Omit<BlockPlan, 'mounts'> {
  readonly folders: readonly { readonly name: string; readonly folder: MountedFolder }[];
}

async function planBlocks(
  guest: Guest,
  mounts: readonly GuestMount[],
  bundle: Bundle,
): Promise<PlannedBlocks> {
  const { annotations = {} } = bundle.spec;
  const declares = guest.manifest.devices.some(({ type }) => type === 'BLOCK_BASIC');
  if (!declares && !Object.keys(annotations).some((key) => key.startsWith('io.runnc.block.'))) {
    return { files: [], folders: [] };
  }
  const { matchBlockDevices, mountedFolder, parseBlockAnnotations } = await import('../rootfs/block.ts');
  const plan = matchBlockDevices(guest.manifest, parseBlockAnnotations(annotations, bundle.path));
  const folders = plan.mounts.map((request) => ({
    name: request.name,
    folder: mountedFolder(request, mounts),
  }));
  return { ...plan, folders };
}

async function reportMounts(
  mounts: readonly GuestMount[],
  attached: PlannedBlocks['folders'],
  { onWarning }: PrepareOptions,
): Promise<void> {
  if (mounts.length === 0) return;
  const { unusedBySolo5 } = await import('../rootfs/mounts.ts');
  const targets = attached.map(({ folder }) => folder.target);
  for (const line of unusedBySolo5(mounts, targets)) onWarning?.(line);
}

async function prepareLinux(
  program: Extract<ResolvedGuest, { kind: 'linux' }>,
  bundle: Bundle,
  rootfsFd: number,
  options: PrepareOptions,
  keep: Keep,
): Promise<PreparedGuest> {
  const [{ release, totalmem }, { checkLinuxHost, linuxGuest }] = await Promise.all([
    import('node:os'),
    import('../guest/linux.ts'),
  ]);
  const { spec } = bundle;
  checkLinuxHost(process.arch, release());
  const isNetworked = hasNetwork(spec, options.hostConfig);
  const joinsAtStart = networkMode(spec) === 'new';
  const mounts = [...lastingRoot(bundle), ...(await mountsOf(bundle, bindsOf(spec)))];
  const server = await serve(mounts, keep);
  const folders = mounts.filter((mount) => mount.kind === 'folder');
  checkFolderCount(folders);
  const imageFds: number[] = [];
  for (const folder of folders) imageFds.push(await openFolder(folder, 'erofs', bundle, options, keep));
  const isServed = mounts[0]?.kind === 'served' && mounts[0].target === '/';
  const image = await openImage('erofs', bundle, { ...options, isServed }, keep);
  const memoryBytes = linuxMemoryBytes(
    spec.linux?.resources?.memory?.limit ?? 0,
    totalmem(),
    CONFIGURED_LIMIT,
  );
  const describe = (mounts: readonly GuestMount[]): Guest =>
    linuxGuest({
      spec,
      rootfsFd,
      path: program.path,
      mounts,
      delta: image.delta,
      memoryBytes,
      strace: options.strace ?? false,
    });
  const guest = describe(mounts);
  const networking = isNetworked ? await linuxNetworkingOf(bundle, mounts, describe, keep) : undefined;
  const bootConfigFd = keep(sealedMemfd('boot-config', guest.bootConfig ?? Buffer.alloc(0), 'data'));
  const [runtimeFd, guestFd] = socketPair();
  return {
    guest,
    memoryMib: linuxAddressSpaceMib,
    blocks: [],
    control: { runtimeFd: keep(runtimeFd), guestFd: keep(guestFd) },
    linux: {
      bootConfigFd,
      rootfsFd: image.fd,
      imageFds,
      ...(server === undefined ? {} : { channels: [server.channel] }),
      ...(await segmentsOf(image, program.fixedBytes)),
    },
    ...(networking === undefined ? {} : { networking }),
    joinsAtStart,
    ...(server === undefined ? {} : { fileServer: server.plan }),
  };
}

async function linuxNetworkingOf(
  bundle: Bundle,
  before: readonly GuestMount[],
  describe: (mounts: readonly GuestMount[]) => Guest,
  keep: Keep,
): Promise<NonNullable<PreparedGuest['networking']>> {
  const { linuxNetworking } = await import('../guest/linux-network.ts');
  const { readFilesAgain } = await import('../rootfs/mounts.ts');
  return () => {
    const mounts = readFilesAgain(before, { bundle: bundle.path, ...idMappings(bundle) });
    return linuxNetworking({ guest: describe(mounts), mounts, keep });
  };
}

/** "image": folders that are mounted read-only are packed at create, as they are then; default: "served". */
const MOUNTS_ANNOTATION = 'io.runnc.mounts';

function bindsOf({ annotations = {} }: RunnableSpec): MountOptions['binds'] {
  const value = annotations[MOUNTS_ANNOTATION] ?? 'served';
  if (value === 'served') return 'served';
  if (value === 'image') return 'images';
  throw new RunncError(
    'INVALID',
    `config.json: annotations[${MOUNTS_ANNOTATION}]: expected "served" or "image", got ${shorten(value)}`,
  );
}

/** "memory": what a container writes to its root is gone with it; default: "lasting", where the root may be written. */
const ROOTFS_ANNOTATION = 'io.runnc.rootfs';

/** linux/magic.h */
const OVERLAYFS_MAGIC = 0x794c7630;

/** The bundle's rootfs as what the file server serves: there the guest keeps what changes in its root. */
function lastingRoot(bundle: Bundle): GuestMount[] {
  const { spec, rootfs } = bundle;
  const value = spec.annotations?.[ROOTFS_ANNOTATION] ?? 'lasting';
  if (value !== 'lasting' && value !== 'memory') {
    throw new RunncError(
      'INVALID',
      `config.json: annotations[${ROOTFS_ANNOTATION}]: expected "lasting" or "memory", got ${shorten(value)}`,
    );
  }
  if (value === 'memory' || spec.root?.readonly === true || !isWritable(bundle)) return [];
  // overlayfs cannot rename what it has of two folders: the guest says so to its programs as Linux would.
  const options = fileSystemType(rootfs) === OVERLAYFS_MAGIC ? ['kept=overlay'] : [];
  const where = 'config.json root';
  return [{ kind: 'served', target: '/', source: rootfs, options, readonly: false, recursive: false, where }];
}

/** By the container's root, whose user namespace may not have the owner. */
function isWritable(bundle: Bundle): boolean {
  try {
    accessSync(bundle.rootfs, constants.W_OK);
    const { uidMappings } = idMappings(bundle);
    return uidMappings === undefined || isMapped(statSync(bundle.rootfs).uid, uidMappings);
  } catch {
    return false;
  }
}

async function serve(mounts: readonly GuestMount[], keep: Keep): Promise<FileServer | undefined> {
  const served = mounts.filter((mount) => mount.kind === 'served');
  if (served.length === 0) return undefined;
  const { fileServer } = await import('../sandbox/file-server.ts');
  return fileServer(served, keep);
}

async function segmentsOf(
  { fd, segments }: RootfsImage,
  fixedBytes: number | undefined,
): Promise<Pick<LinuxInput, 'segments' | 'program'>> {
  if (segments === undefined) return {};
  if (fixedBytes === undefined) return { segments };
  const { findFixedProgram } = await import('../rootfs/segments-file.ts');
  const program = findFixedProgram(fd, segments, fixedBytes);
  return { segments, ...(program === undefined ? {} : { program }) };
}

/** RUNNC_IMAGES_MAX of tender/common/abi/runnc_extras.h. */
const MAX_FOLDERS = 64;

function checkFolderCount(folders: readonly MountedFolder[]): void {
  const tooMany = folders[MAX_FOLDERS];
  if (tooMany === undefined) return;
  throw new RunncError(
    'UNSUPPORTED',
    `${tooMany.where}: a container can have ${String(MAX_FOLDERS)} folders mounted`,
  );
}

async function openFolder(
  folder: MountedFolder,
  format: RootfsFormat,
  bundle: Bundle,
  options: PrepareOptions,
  keep: Keep,
): Promise<number> {
  const { openFolderImage } = await import('../rootfs/folder.ts');
  return keep(await openFolderImage(folder, { format, ...imageOptions(bundle, options) }));
}

async function openImage(
  format: RootfsFormat,
  bundle: Bundle,
  options: PrepareOptions,
  keep: Keep,
): Promise<RootfsImage> {
  const started = performance.now();
  const { openRootfsImage } = await import('../rootfs/open.ts');
  const { annotations } = bundle.spec;
  const image = await openRootfsImage({
    rootfs: bundle.rootfs,
    format,
    ...imageOptions(bundle, options),
    ...(annotations === undefined ? {} : { annotations }),
    ...contentIdOf(options),
    isServed: options.isServed ?? false,
  });
  keep(image.fd);
  const ms = (performance.now() - started).toFixed(2);
  options.onDebug?.(`rootfs: ${format} image of ${String(image.sizeBytes)} bytes in ${ms} ms`);
  return image;
}

function contentIdOf({ bundle }: PrepareOptions): Pick<OpenRootfsOptions, 'contentId'> {
  if (typeof bundle === 'string' || bundle.contentId === undefined) return {};
  return { contentId: bundle.contentId };
}

function imageOptions(
  bundle: Bundle,
  { hostConfig, onProgress, onWarning }: PrepareOptions,
): Omit<OpenRootfsOptions, 'rootfs' | 'format' | 'annotations'> {
  return {
    ...idMappings(bundle),
    cacheLimitBytes: hostConfig.cacheLimitBytes,
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(onWarning === undefined ? {} : { onWarning }),
  };
}

function idMappings({ spec }: Bundle): Pick<OpenRootfsOptions, 'uidMappings' | 'gidMappings'> {
  const { uidMappings, gidMappings } = spec.linux ?? {};
  return {
    ...(uidMappings === undefined ? {} : { uidMappings }),
    ...(gidMappings === undefined ? {} : { gidMappings }),
  };
}
