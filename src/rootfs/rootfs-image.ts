/**
 * A bundle's rootfs as a read-only block image: what src/rootfs makes and the launch plan attaches.
 *
 * The functions behind these types:
 *
 *     openRootfsImage(options): Promise<RootfsImage>        open.ts    carried, cached or built now
 *     splitMounts(mounts, { bundle, … }): SplitMounts       mounts.ts  config.json's mounts
 *     parseBlockAnnotations(annotations, bundle), matchBlockDevices(manifest, requests),
 *     openBlockDevices(files)                               block.ts   a Solo5 guest's block devices
 *     new Cache(dir)                                        cache.ts   `runnc cache ls|prune|rm|verify`
 */
import type { IdMapping } from '../oci/spec.ts';
import type { SegmentsArea } from './segments.ts';

export type RootfsFormat = 'iso9660' | 'erofs';

export interface RootfsImage {
  readonly format: RootfsFormat;
  /**
   * Open read-only on the image. The caller closes it, and hands it to the sandbox: a lock on this open file
   * description keeps the image in the cache for as long as any process holds it or has it mapped.
   */
  readonly fd: number;
  readonly sizeBytes: number;
  /**
   * EROFS only: the part of the image that holds ELF segments laid out by address, mapped private into guest memory
   * (tender/common/abi/runnc_segments.h).
   */
  readonly segments?: SegmentsArea;
  /**
   * EROFS only: what the container's own layers (Docker's -init and upper) change, to be laid over the image
   * in this order. An ISO image has them merged already.
   */
  readonly delta: readonly LayerEntry[];
}

/** A file of a container's own layer, or one given by a mount. Paths are bytes: file names need not be UTF-8. */
export type LayerEntry = LayerAttributes &
  (
    | { readonly type: 'file'; readonly content: Buffer }
    /** A regular file that is read when it is needed, through the file server (OpenRootfsOptions.isServed). */
    | { readonly type: 'served'; readonly sizeBytes: number }
    | { readonly type: 'folder'; /** Hides what the image has in it. */ readonly opaque: boolean }
    | { readonly type: 'symlink'; readonly target: Buffer }
    | { readonly type: 'char' | 'block'; readonly major: number; readonly minor: number }
    | { readonly type: 'fifo' | 'socket' }
    /** The same file as the earlier entry of that path. */
    | { readonly type: 'hardlink'; readonly to: Buffer }
    /** The image's entry of this name is gone. */
    | { readonly type: 'whiteout' }
  );

export interface LayerAttributes {
  /** Absolute in the container, without "." and "..", no trailing slash. "/" is the rootfs itself. */
  readonly path: Buffer;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  /** As the container sees them. */
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since the epoch. */
  readonly mtimeNs: bigint;
}

export interface OpenRootfsOptions {
  /** Absolute path of the rootfs folder on the host. */
  readonly rootfs: string;
  readonly format: RootfsFormat;
  /** config.json's annotations: com.urunc.unikernel.block names an image inside the rootfs. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** linux.uidMappings and gidMappings: owners in the image are those the container sees. */
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  /**
   * What the whole content of `rootfs` is known by to a caller whose own folder it is and stays: the image store's, by the
   * digests of the layers it has unpacked there. The folder is not looked at unless there is an image to build. Never
   * anything that the image's author, a bundle or a container could have chosen.
   */
  readonly contentId?: string;
  /** Default: defaultCacheDir() of cache.ts. */
  readonly cacheDir?: string;
  /** Bytes the cache may take before the least recently used images go. Default 20 GiB. */
  readonly cacheLimitBytes?: number;
  /** The guest can read what is in the rootfs through a file server: what is large in its own layers can stay there. */
  readonly isServed?: boolean;
  /** Cancels a build; nothing partial stays. */
  readonly signal?: AbortSignal;
  /** Called while an image is built, a few times a second. */
  readonly onProgress?: (progress: BuildProgress) => void;
  /** One line for the log: a cache entry was damaged and is built again, and the like. */
  readonly onWarning?: (message: string) => void;
}

/** Bytes of the image written, of those expected. */
export interface BuildProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}
