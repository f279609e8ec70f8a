/** What will run: the kernel ELF, its manifest, its arguments. Plain data, made at create, used by the launch plan. */
import type { Manifest } from './manifest.ts';

export type GuestKind = 'solo5' | 'rumprun' | 'linux';

/** The names --allow-extras takes; tender/common/abi/runnc_extras.h says what each grants. */
export type Extra =
  'exec-heap' | 'boot-config' | 'sud' | 'rootfs-map' | 'vnet' | 'vtimer' | 'memctl' | 'stdio' | 'channel';

export type KernelSource =
  /** A unikernel of the image: an open descriptor on it, so that it cannot be exchanged after it was checked. */
  | { readonly type: 'descriptor'; readonly fd: number; readonly path: string }
  /** Our own Linux guest kernel. */
  | { readonly type: 'asset'; readonly name: 'linux.spt' };

export interface Guest {
  readonly kind: GuestKind;
  readonly kernel: KernelSource;
  readonly manifest: Manifest;
  /** What ps(1) on the host shows in place of the tender's name. */
  readonly title?: string;
  /** Arguments after the kernel on the tender's command line. */
  readonly args: readonly string[];
  /** Extras the plan allows; what the kernel's note does not ask for is not granted anyway. */
  readonly allowedExtras: readonly Extra[];
  /** The Linux guest's boot config (tender/common/abi/runnc_boot_config.h). */
  readonly bootConfig?: Uint8Array;
}
