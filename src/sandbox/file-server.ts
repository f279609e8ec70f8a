/** What a container's file server (tender/fileserver) needs: its program, a channel to the guest, and what it serves. */
import { O_PATH, openSync } from '../files.ts';
import { readAsset } from '../assets.ts';
import { errnoOf, errorMessage, RunncError } from '../errors.ts';
import { channelPair, pipePair, sealedMemfd, windowMemfd } from '../native.ts';
import type { ServedSource } from '../rootfs/mounts.ts';
import type { FileServerPlan, ServedMount } from './launch-plan.ts';
import type { ChannelInput } from './tender-command.ts';

export interface FileServer {
  readonly plan: FileServerPlan;
  /** The guest's end. */
  readonly channel: ChannelInput;
}

/** RUNNC_FILES_* of tender/common/abi/runnc_files.h. */
const CHANNEL = 'files';
const WINDOW_BYTES = 4 * 1024 * 1024;
const MAX_MOUNTS = 64;
const PIPES = 4;
const PIPE_BYTES = 1024 * 1024;

/** `keep` closes a descriptor when the creation is over. Throws NOT_FOUND, UNSUPPORTED, HOST. */
export async function fileServer(
  sources: readonly ServedSource[],
  keep: (fd: number) => number,
): Promise<FileServer> {
  const tooMany = sources[MAX_MOUNTS];
  if (tooMany !== undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      `${tooMany.where}: a container can have ${String(MAX_MOUNTS)} files and folders mounted`,
    );
  }
  const program = await readAsset('fileserver');
  const mounts = sources.map((source) => servedMount(source, keep));
  const [guestEnd, serverEnd] = channelPair();
  const windowFd = keep(windowMemfd('runnc-files', WINDOW_BYTES));
  // A root that lasts has its data in memory, and reads little.
  const onDemand = sources.every(({ target }) => target === '/');
  const pipes = Array.from({ length: onDemand ? 0 : PIPES }, () => pipePair(PIPE_BYTES).map(keep));
  return {
    plan: {
      executableFd: keep(sealedMemfd('runnc-fileserver', program, 'executable')),
      channelFd: keep(serverEnd),
      windowFd,
      pipeFds: pipes.flatMap((ends) => ends.slice(1)),
      onDemand,
      mounts,
    },
    channel: {
      name: CHANNEL,
      fd: keep(guestEnd),
      windowFd,
      pipeFds: pipes.flatMap((ends) => ends.slice(0, 1)),
    },
  };
}

function servedMount(
  { source, readonly, recursive, options, where }: ServedSource,
  keep: (fd: number) => number,
): ServedMount {
  const noatime = options.includes('noatime');
  try {
    return { fd: keep(openSync(source, O_PATH)), readonly, recursive, noatime };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new RunncError('NOT_FOUND', `${where}: the source ${source} does not exist`, { cause: error });
    }
    throw new RunncError('HOST', `${where}: ${source} cannot be opened: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
