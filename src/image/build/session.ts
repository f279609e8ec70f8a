/** What all stages of one build share. */
import type { ImageStore } from '../store.ts';
import { mediaTypes, type Platform } from '../descriptor.ts';
import type { Image } from '../platform.ts';
import type { BuildCache } from './build-cache.ts';
import type { BuildContext } from './context.ts';
import { FileTree } from './file-tree.ts';
import type { Layer } from './layer-writer.ts';
import type { Layers } from './layers.ts';
import type { Interrupts } from './interrupts.ts';
import type { BuildObserver } from './observer.ts';

export interface Session {
  readonly store: ImageStore;
  readonly cache: BuildCache;
  readonly layers: Layers;
  readonly observer: BuildObserver;
  readonly interrupts: Interrupts;
  readonly onWarning: (message: string) => void;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly noCache: boolean;
  /** Of what the build makes itself, in seconds. */
  readonly now: number;
  /** SOURCE_DATE_EPOCH: no file is younger. */
  readonly latest?: number;
  /** Scanned when the first instruction needs it. */
  readonly context: () => BuildContext;
  readonly openImage: (name: string, platform: Platform) => Promise<Image>;
}

/** The layers of an image, named by their diff ids. */
export function layersOf({ manifest, config }: Image): Layer[] {
  return manifest.layers.map((descriptor, i) => ({
    descriptor: { ...descriptor, mediaType: LAYER_TYPES[descriptor.mediaType] ?? descriptor.mediaType },
    diffId: config.rootfs.diff_ids[i] ?? '',
  }));
}

/** Docker's names for the same things. */
const LAYER_TYPES: Readonly<Record<string, string>> = {
  [mediaTypes.dockerLayer]: mediaTypes.layer,
  [mediaTypes.dockerLayerGzip]: mediaTypes.layerGzip,
};

/** What the files of a stage are, in one word. */
export function chainOf(layers: readonly Layer[]): string {
  return layers.map(({ diffId }) => diffId).join(' ');
}

/** The files of layers laid over each other. */
export class LayeredTree {
  readonly #layers: Layers;
  readonly #tree = new FileTree();
  #applied = 0;

  constructor(layers: Layers) {
    this.#layers = layers;
  }

  /** `wanted` begins with what it was the last time. */
  async get(wanted: readonly Layer[]): Promise<FileTree> {
    for (const layer of wanted.slice(this.#applied)) {
      this.#tree.apply(await this.#layers.entries(layer.diffId), layer.diffId);
      this.#applied++;
    }
    return this.#tree;
  }
}

/** RFC 3339, as images have it. */
export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
