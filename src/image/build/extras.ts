/**
 * What makes an image one for runnc, in a layer of its own on top: a unikernel as entrypoint, the block image that it
 * reads, and the annotations that reach the runtime as files, for Docker hands on none.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, createReadStream, fstatSync, openSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { errorMessage, RunncError, shorten } from '../../errors.ts';
import { ANNOTATIONS_FILE, isForImages, URUNC_FILE, URUNC_PREFIX } from '../../guest/image-annotations.ts';
import { inspect } from '../../guest/inspect.ts';
import { type Manifest, manifestJson } from '../../guest/manifest.ts';
import { solo5Guest } from '../../guest/solo5.ts';
import { CARRIED_EROFS, CARRIED_ISO } from '../../rootfs/carried.ts';
import { openFolder, parseScan, scan, type TreeEntry } from '../../rootfs/tree.ts';
import type { RunConfig } from '../descriptor.ts';
import { type Changes, ROOT_OWNER } from './changes.ts';
import type { Content, FileTree, Node } from './file-tree.ts';
import type { Session } from './session.ts';
import type { StageBuilder } from './stage-builder.ts';
import { textFile } from './text-file.ts';
import { unpackStage } from './unpack-stage.ts';
import { WorkFolder } from './work-folder.ts';

export type BlockImage = 'iso' | 'erofs' | 'none';

export interface ExtrasOptions {
  /** A Solo5 unikernel on the host. */
  readonly unikernel?: string;
  /** Default: what the base image carries, iso for a unikernel that declares a block device, else none. */
  readonly blockImage?: BlockImage;
  /** Of the manifest, as the user gave them. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Extras {
  readonly config: RunConfig;
  readonly annotations: Readonly<Record<string, string>>;
  /** undefined: there is nothing to add. */
  readonly layer?: {
    /** For the progress and the history. */
    readonly name: string;
    readonly key: readonly unknown[];
    readonly make: (changes: Changes) => Promise<void>;
    /** What must be gone when the layer is made, or is not needed. */
    readonly close: () => void;
  };
}

/** In the configuration: which block image the image carries, and so must not be handed down as it is. */
const BLOCK_IMAGE_LABEL = 'io.runnc.block-image';
const URUNC_BLOCK = `${URUNC_PREFIX}block`;
const URUNC_MOUNT_POINT = `${URUNC_PREFIX}blkMntPoint`;
const CARRIED = [CARRIED_ISO, CARRIED_EROFS].map((path) => path.slice(1));

interface Unikernel {
  /** In the image, with a slash. */
  readonly path: string;
  readonly manifest: Manifest;
  readonly content: Content;
}

/** Throws NOT_FOUND, INVALID and EXEC_DENIED for a unikernel that runnc does not run. */
export async function planExtras(
  options: ExtrasOptions,
  stage: StageBuilder,
  session: Session,
): Promise<Extras> {
  const unikernel = options.unikernel === undefined ? undefined : await readUnikernel(options.unikernel);
  const inherited = inheritedKind(stage.config);
  const kind = options.blockImage ?? inherited ?? (hasBlockDevice(unikernel?.manifest) ? 'iso' : 'none');
  const config = withBlockImage(withEntrypoint(stage.config, unikernel), kind);
  const annotations = { ...describe(unikernel, config, kind), ...options.annotations };
  const files = textFiles(annotations, unikernel !== undefined, session.now);
  if (unikernel === undefined && kind === 'none' && files.size === 0 && inherited === undefined) {
    return { config, annotations };
  }
  let work: WorkFolder | undefined;
  return {
    config,
    annotations,
    layer: {
      name: nameOf(unikernel, kind),
      key: ['EXTRAS', unikernel?.path, unikernel?.content.sha256, kind, [...files.keys()], annotations],
      make: async (changes) => {
        const before =
          inherited === undefined ? [] : CARRIED.filter((path) => changes.tree.get(path) !== undefined);
        for (const path of before) changes.remove(path);
        if (inherited !== undefined && kind === 'none') await forgetBlockImage(stage, changes, session.now);
        if (kind !== 'none') {
          work = WorkFolder.open(session);
          await addBlockImage(kind, stage, work.path, changes, session);
        }
        if (unikernel !== undefined) {
          changes.put(unikernel.path.slice(1), fileNode(unikernel.content, 0o755, session.now));
        }
        for (const [path, node] of files) {
          changes.makeFolder(path.slice(0, Math.max(path.lastIndexOf('/'), 0)), ROOT_OWNER);
          changes.put(path, node);
        }
      },
      close: () => {
        work?.remove();
      },
    },
  };
}

function inheritedKind({ Labels = {} }: RunConfig): 'iso' | 'erofs' | undefined {
  const kind = Labels[BLOCK_IMAGE_LABEL];
  return kind === 'iso' || kind === 'erofs' ? kind : undefined;
}

/** urunc.json of the base image names what is gone now. */
async function forgetBlockImage(stage: StageBuilder, changes: Changes, now: number): Promise<void> {
  const text = await stage.readText(URUNC_FILE);
  if (text === undefined) return;
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    // It was none before either.
    return;
  }
  const kept = Object.entries(values ?? {}).filter(
    ([name]) => name !== URUNC_BLOCK && name !== URUNC_MOUNT_POINT,
  );
  changes.put(URUNC_FILE, textFile(JSON.stringify(Object.fromEntries(kept)), now));
}

function nameOf(unikernel: Unikernel | undefined, kind: BlockImage): string {
  const parts = [
    ...(unikernel === undefined ? [] : [`unikernel ${unikernel.path}`]),
    ...(kind === 'none' ? [] : [`${kind} image of the files`]),
  ];
  return parts.length === 0 ? 'annotations' : parts.join(', ');
}

async function readUnikernel(file: string): Promise<Unikernel> {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw new RunncError('NOT_FOUND', `--unikernel ${file}: cannot be opened: ${errorMessage(error)}`);
  }
  try {
    const path = `/${basename(file)}`;
    const inspection = inspect(fd, file);
    const { manifest } = solo5Guest({ fd, path: file, inspection, args: [], annotations: {} });
    return { path, manifest, content: await fileContent(file, fstatSync(fd).size) };
  } catch (error) {
    if (!(error instanceof RunncError)) throw error;
    throw new RunncError(error.code, `--unikernel ${file}: ${error.message}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/** Of the host's own files: what is written is checked against the hash again. */
async function fileContent(file: string, sizeBytes: number): Promise<Content> {
  const read = (): AsyncIterable<Uint8Array> => createReadStream(file) as AsyncIterable<Uint8Array>;
  const hash = createHash('sha256');
  for await (const chunk of read()) hash.update(chunk);
  return { sizeBytes, sha256: hash.digest('hex'), origin: { type: 'stream', read } };
}

function fileNode(content: Content, mode: number, mtime: number): Node {
  return { kind: 'file', mode, ...ROOT_OWNER, mtime, content, children: new Map() };
}

function hasBlockDevice(manifest: Manifest | undefined): boolean {
  return manifest?.devices.some(({ type }) => type === 'BLOCK_BASIC') ?? false;
}

/** CMD, if there is one, are its arguments. */
function withEntrypoint(config: RunConfig, unikernel: Unikernel | undefined): RunConfig {
  return unikernel === undefined ? config : { ...config, Entrypoint: [unikernel.path] };
}

function withBlockImage({ Labels, ...config }: RunConfig, kind: BlockImage): RunConfig {
  const labels = Object.entries(Labels ?? {}).filter(([name]) => name !== BLOCK_IMAGE_LABEL);
  if (kind !== 'none') labels.push([BLOCK_IMAGE_LABEL, kind]);
  return labels.length === 0 ? config : { ...config, Labels: Object.fromEntries(labels) };
}

/** What runnc and urunc know of a unikernel by annotation. */
function describe(
  unikernel: Unikernel | undefined,
  { Cmd = [] }: RunConfig,
  kind: BlockImage,
): Record<string, string> {
  if (unikernel === undefined) return {};
  return {
    'io.runnc.unikernel.abi': 'spt/2',
    'io.runnc.unikernel.manifest': JSON.stringify(manifestJson(unikernel.manifest)),
    // urunc has no other name for guests that take Solo5's plain command line.
    [`${URUNC_PREFIX}unikernelType`]: unikernel.path.endsWith('.nabla') ? 'rumprun' : 'mirage',
    [`${URUNC_PREFIX}hypervisor`]: 'spt',
    [`${URUNC_PREFIX}binary`]: unikernel.path,
    [`${URUNC_PREFIX}cmdline`]: Cmd.join(' '),
    ...(kind === 'iso' ? { [URUNC_BLOCK]: CARRIED_ISO, [URUNC_MOUNT_POINT]: '/' } : {}),
  };
}

/** The files that carry annotations. */
function textFiles(
  annotations: Readonly<Record<string, string>>,
  hasUnikernel: boolean,
  now: number,
): ReadonlyMap<string, Node> {
  const files = new Map<string, Node>();
  const own: Record<string, string> = {};
  const urunc: Record<string, string> = {};
  for (const [name, value] of Object.entries(annotations)) {
    if (name.startsWith(URUNC_PREFIX)) urunc[name] = Buffer.from(value).toString('base64');
    else if (isForImages(name, value)) own[name] = value;
    else if (name.startsWith('io.runnc.') && !name.startsWith('io.runnc.unikernel.')) {
      throw new RunncError(
        'INVALID',
        `--annotation ${name}=${shorten(value)}: an image may not ask for that`,
      );
    }
  }
  if (hasUnikernel || Object.keys(urunc).length > 0)
    files.set(URUNC_FILE, textFile(JSON.stringify(urunc), now));
  if (Object.keys(own).length > 0) files.set(ANNOTATIONS_FILE, textFile(JSON.stringify(own), now));
  return files;
}

/** Of the stage as it is below this layer. */
async function addBlockImage(
  kind: 'iso' | 'erofs',
  stage: StageBuilder,
  work: string,
  changes: Changes,
  session: Session,
): Promise<void> {
  const root = `${work}/rootfs`;
  await unpackStage(session, stage.layers, root);
  for (const path of CARRIED) rmSync(`${root}/${path}`, { force: true });
  const fd = openFolder(root, 'the stage');
  try {
    const tree = withOwners(parseScan(scan(fd, root), fd, root), await stage.tree());
    const { buildErofs, buildIso } = await import('../../rootfs/build.ts');
    const context = { toUid: (id: number) => id, toGid: (id: number) => id };
    changes.makeFolder('.runnc', ROOT_OWNER);
    const add = async (path: string, name: string, sizeBytes: number): Promise<void> => {
      changes.put(
        path.slice(1),
        fileNode(await fileContent(`${work}/${name}`, sizeBytes), 0o644, session.now),
      );
    };
    if (kind === 'iso') {
      await add(CARRIED_ISO, 'image', (await buildIso(root, tree, work, context)).sizeBytes);
      return;
    }
    const { image } = await buildErofs(tree, work, context, { segments: true });
    await add(CARRIED_EROFS, 'image', image.sizeBytes);
  } finally {
    closeSync(fd);
  }
}

/** An ordinary user cannot give the unpacked files their owners: the image gets them from what the layers say. */
function withOwners(entry: TreeEntry, stage: FileTree, path = ''): TreeEntry {
  const { uid = entry.uid, gid = entry.gid } = stage.get(path) ?? {};
  return {
    ...entry,
    uid,
    gid,
    children: entry.children.map((child) => {
      const name = Buffer.from(child.name, 'latin1').toString();
      return withOwners(child, stage, path === '' ? name : `${path}/${name}`);
    }),
  };
}
