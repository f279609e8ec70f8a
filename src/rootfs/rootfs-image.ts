/** A bundle's rootfs as a read-only block image: what src/rootfs makes and the launch plan attaches. */
export type RootfsFormat = 'iso9660' | 'erofs';

export interface RootfsImage {
  readonly format: RootfsFormat;
  /** Open read-only on the image. The caller closes it. An image in use is never evicted from the cache. */
  readonly fd: number;
  readonly sizeBytes: number;
  /**
   * EROFS only: the companion that holds ELF segments laid out by address, mapped private into guest memory.
   */
  readonly segments?: { readonly fd: number; readonly sizeBytes: number };
  /** Docker's -init and upper layers over a cached image: an image of their own, to be laid over this one. */
  readonly delta?: { readonly fd: number; readonly sizeBytes: number };
}
