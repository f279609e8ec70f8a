/** `runnc run IMAGE [ARGUMENTS]`: from a name to a running container, without an engine. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Container } from '../src/container/container.ts';
import type { CreateOptions, Stdio } from '../src/container/create.ts';
import { createLog } from '../src/container/logs.ts';
import { sweepOwnData } from '../src/container/own-data.ts';
import { run as runInForeground, shellStatus } from '../src/container/run.ts';
import { errorMessage, RunncError } from '../src/errors.ts';
import { readHostConfig } from '../src/host-config.ts';
import { openImage, parsePlatform } from '../src/image/platform.ts';
import { RootfsStore, type UnpackedImage } from '../src/image/rootfs-store.ts';
import { type RunRequest, type SpecForImage, specForImage } from '../src/image/run-spec.ts';
import { type ObtainOptions, obtainImage, parseSource } from '../src/image/source.ts';
import type { ImageStore } from '../src/image/store.ts';
import { defaultStoreFolder } from '../src/image/store-folder.ts';
import { fillVolume, makeNamedVolume } from '../src/image/volume.ts';
import { checkContainerId } from '../src/oci/container-id.ts';
import { parseBytes } from '../src/size.ts';
import { createOptions } from './create-options.ts';
import { registryOptions, unpackedFolder, withStore } from './image-call.ts';
import { print } from './output.ts';
import { progressBar } from './progress.ts';
import { transferProgress } from './transfer-progress.ts';
import type { Call } from './verb.ts';

/** docker run's, for what fails before the program could. */
const STATUS_FAILED = 125;
const STATUS_NOT_EXECUTABLE = 126;
const STATUS_NO_PROGRAM = 127;

/** Of docker: less holds nothing. */
const MIN_MEMORY_BYTES = 6 * 2 ** 20;

export async function runImage(call: Call): Promise<number> {
  try {
    return await runChecked(call);
  } catch (error) {
    if (!(error instanceof RunncError) || error.code === 'INTERNAL') throw error;
    call.log.error(errorMessage(error));
    if (error.code === 'EXEC_NOT_FOUND') return STATUS_NO_PROGRAM;
    return error.code === 'EXEC_DENIED' ? STATUS_NOT_EXECUTABLE : STATUS_FAILED;
  }
}

async function runChecked(call: Call): Promise<number> {
  const { options } = call;
  const id = options.text('name') ?? randomBytes(6).toString('hex');
  checkContainerId(id);
  checkCombinations(call);
  const unpacked = await unpack(call);
  const opened: number[] = [];
  try {
    const own = `${unpacked.containers}/${id}-${randomBytes(4).toString('hex')}`;
    const { spec, files, volumes } = unpacked.spec(requestOf(call, id), own);
    const { rootfs, contentId } = unpacked.image;
    for (const volume of volumes) if (volume.name !== undefined) await makeNamedVolume(volume, rootfs);
    const ownVolumes = volumes.filter(({ name }) => name === undefined);
    const hasData = ownVolumes.length > 0 || options.flag('detach');
    if (hasData) await sweepOwnData(unpacked.containers);
    const fill = async (): Promise<void> => {
      for (const volume of ownVolumes) await fillVolume(volume, rootfs);
    };
    const create: CreateOptions = {
      ...createOptions(call),
      id,
      bundle: { spec, contentId, files, ...(hasData ? { data: { folder: own, fill } } : {}) },
      strace: options.flag('strace'),
      stdio: () => stdio(call, own, opened),
    };
    if (!options.flag('detach')) {
      const keep = options.flag('keep') || !options.flag('rm');
      return shellStatus(await runInForeground({ ...create, keep }));
    }
    const container = await Container.create(create);
    try {
      await container.start();
    } catch (error) {
      await container.delete({ force: true });
      throw error;
    }
    print(`${id}\n`);
    return 0;
  } finally {
    for (const fd of opened) closeSync(fd);
    unpacked.image.close();
  }
}

function checkCombinations({ options }: Call): void {
  if (options.texts('publish').length > 0) {
    throw new RunncError(
      'UNSUPPORTED',
      '--publish: stand-alone a container has no network whose ports could be published: ' +
        'run the image by Docker or Podman ("docker run --runtime=runnc -p …"), which make one',
    );
  }
  if (options.flag('detach') && options.flag('rm')) {
    throw new RunncError(
      'UNSUPPORTED',
      '--rm with --detach: there is no daemon that could remove it: leave --rm out and use "runnc delete" later',
    );
  }
  if (options.flag('detach') && options.flag('tty') && options.text('console-socket') === undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      '--tty with --detach: nobody would hold the terminal: leave one of them out',
    );
  }
}

interface Unpacked {
  readonly image: UnpackedImage;
  /** Folder of what containers of this store's images keep on disk. */
  readonly containers: string;
  /** `own`: the container's folder there. */
  readonly spec: (request: RunRequest, own: string) => SpecForImage;
}

/** The store is let go before the container runs. */
function unpack(call: Call): Promise<Unpacked> {
  const {
    operands: [name = ''],
    log,
  } = call;
  return withStore(call, async (store) => {
    const transfer = transferProgress({ active: 'Downloading', done: 'Complete', there: 'Already there' });
    const onWarning = (message: string): void => {
      log.warn(message);
    };
    let descriptor;
    try {
      descriptor = await obtainImage(store, parseSource(name), {
        ...registryOptions(call),
        ...pullOption(call),
        ...platformOption(call),
        onEvent: transfer.onEvent,
        onWarning,
      });
    } finally {
      transfer.stop();
    }
    const platform = platformOption(call).platform;
    const image = openImage(store, descriptor, platform);
    const rootfsStore = new RootfsStore(unpackedFolder(store), {
      limitBytes: readHostConfig().cacheLimitBytes,
      onWarning,
      onProgress: progressBar('unpacking the image'),
    });
    const unpacked = await rootfsStore.open(store, image);
    const uid = process.geteuid?.() ?? 0;
    const gid = process.getegid?.() ?? 0;
    return {
      image: unpacked,
      containers: `${dataFolder(store)}/containers`,
      spec: (request, own) =>
        specForImage(image, request, {
          rootfs: unpacked.rootfs,
          ...(uid === 0 ? {} : { rootless: { uid, gid } }),
          environment: process.env,
          workingFolder: process.cwd(),
          maxOpenFiles: maxOpenFiles(),
          volumesFolder: `${dataFolder(store)}/volumes`,
          ownVolumesFolder: `${own}/volumes`,
        }),
    };
  });
}

function pullOption({ options }: Call): Pick<ObtainOptions, 'pull'> {
  const pull = options.text('pull');
  return pull === 'always' || pull === 'never' || pull === 'missing' ? { pull } : {};
}

function platformOption({ options }: Call): { platform?: ReturnType<typeof parsePlatform> } {
  const platform = options.text('platform');
  return platform === undefined ? {} : { platform: parsePlatform(platform) };
}

function requestOf({ options, operands }: Call, id: string): RunRequest {
  return {
    id,
    args: operands.slice(1),
    entrypoint: options.text('entrypoint'),
    env: options.texts('env'),
    workingDir: options.text('workdir'),
    user: options.text('user'),
    hostname: options.text('hostname'),
    terminal: options.flag('tty'),
    readonlyRoot: options.flag('read-only'),
    volumes: options.texts('volume'),
    network: options.text('network') ?? 'none',
    memoryBytes: memory(options.text('memory')),
    cpus: cpus(options.text('cpus')),
    annotations: options.texts('annotation'),
  };
}

function memory(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes >= MIN_MEMORY_BYTES) return bytes;
  throw new RunncError(
    'INVALID',
    `--memory: expected a size of at least 6m, such as 512m or 2g, got "${text}"`,
  );
}

function cpus(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (number >= 0.01) return number;
  throw new RunncError('INVALID', `--cpus: expected a number of at least 0.01, such as 1.5, got "${text}"`);
}

/** A container in the background holds nothing of whoever started it open. */
function stdio({ options }: Call, own: string, opened: number[]): Stdio {
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  const nothing = (): number => keep(openSync('/dev/null', 'r+'));
  if (options.flag('detach')) {
    const log = keep(createLog(own));
    return [nothing(), log, log];
  }
  return [options.flag('interactive') || options.flag('tty') ? 0 : nothing(), 1, 2];
}

/** This process's hard limit. */
function maxOpenFiles(): number {
  const found = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return found === undefined ? Infinity : Number(found);
}

/** Of volumes and containers, beside the images: /var/lib/runnc for root. */
function dataFolder({ folder }: ImageStore): string {
  return folder === defaultStoreFolder() ? dirname(folder) : folder;
}
