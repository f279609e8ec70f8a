/** From a Dockerfile and a context to an image in the store. */
import { RunncError } from '../../errors.ts';
import {
  type Descriptor,
  type ImageConfig,
  type ImageManifest,
  mediaTypes,
  type Platform,
  type RunConfig,
} from '../descriptor.ts';
import { formatPlatform, HOST_PLATFORM, type Image, parsePlatform } from '../platform.ts';
import type { ImageStore } from '../store.ts';
import { BuildCache } from './build-cache.ts';
import { BuildContext } from './context.ts';
import { failAt, type Instruction, parseDockerfile } from './dockerfile.ts';
import { type BlockImage, type Extras, planExtras } from './extras.ts';
import { Interrupts } from './interrupts.ts';
import { Layers } from './layers.ts';
import { type BuildObserver, observe, silentObserver, type StepObserver } from './observer.ts';
import { PROXY_ARGS } from './run-instruction.ts';
import { isoTime, LayeredTree, layersOf, type Session } from './session.ts';
import { sweepWork } from './work-folder.ts';
import { isStep, type SourceFiles, StageBuilder } from './stage-builder.ts';
import { checkKeyword, findStage, findTarget, readStages, type Stage, type Stages } from './stages.ts';

export interface BuildOptions {
  readonly store: ImageStore;
  /** The folder that COPY and ADD take from. */
  readonly context: string;
  readonly dockerfile: {
    /** For messages. */
    readonly name: string;
    readonly text: string;
  };
  /** The text of .dockerignore. */
  readonly ignored?: string;
  /** A stage by name or number; default: the last one. */
  readonly target?: string;
  readonly buildArgs?: ReadonlyMap<string, string>;
  /** Of the image; default: that of this machine. */
  readonly platform?: Platform;
  /** Over those of the Dockerfile. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of the manifest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** A Solo5 unikernel on the host that becomes the entrypoint; see extras.ts. */
  readonly unikernel?: string;
  /** The block image that the image carries; default: iso for a unikernel that declares a block device, else none. */
  readonly blockImage?: BlockImage;
  /** Carry out every instruction anew. */
  readonly noCache?: boolean;
  /** SOURCE_DATE_EPOCH, in seconds: what the build makes has this time, and no file is younger. */
  readonly sourceDateEpoch?: number;
  /** The image that FROM or COPY --from names; whole in the store. */
  readonly openImage: (name: string, platform: Platform) => Promise<Image>;
  readonly observer?: BuildObserver;
  readonly onWarning?: (message: string) => void;
}

export interface BuiltImage {
  /** Of the manifest, in the store, without a name. */
  readonly descriptor: Descriptor;
  /** Of the configuration: Docker's id of the image. */
  readonly config: Descriptor;
}

/**
 * Throws INVALID, NOT_FOUND, UNSUPPORTED and HOST, with file, line and instruction where there is one. What was made until
 * then stays in the cache; no image is left in part.
 */
export async function build(options: BuildOptions): Promise<BuiltImage> {
  const builder = new Builder(options);
  try {
    return await builder.build();
  } finally {
    builder.close();
  }
}

class Builder {
  readonly #options: BuildOptions;
  readonly #observer: BuildObserver;
  readonly #session: Session;
  readonly #stages: Stages;
  /** Those that were asked for, by index. */
  readonly #built = new Map<number, Promise<StageBuilder>>();
  readonly #images = new Map<string, Promise<Image>>();
  readonly #running: StageBuilder[] = [];
  readonly #interrupts = new Interrupts();
  #context: BuildContext | undefined;

  constructor(options: BuildOptions) {
    const { store, buildArgs = new Map<string, string>(), onWarning = () => undefined } = options;
    this.#options = options;
    this.#observer = options.observer ?? silentObserver;
    const dockerfile = parseDockerfile(options.dockerfile.text, options.dockerfile.name);
    this.#stages = readStages(dockerfile, buildArgs, platformArgs(options.platform ?? HOST_PLATFORM));
    warnOfUnused(dockerfile.instructions, buildArgs, onWarning);
    const cache = new BuildCache(store);
    this.#session = {
      ...{ store, cache, buildArgs, onWarning },
      layers: new Layers(store, cache),
      observer: this.#observer,
      interrupts: this.#interrupts,
      noCache: options.noCache ?? false,
      now: options.sourceDateEpoch ?? 0,
      ...(options.sourceDateEpoch === undefined ? {} : { latest: options.sourceDateEpoch }),
      context: () =>
        (this.#context ??= BuildContext.open(options.context, options.ignored, cache, onWarning)),
      openImage: (name, platform) => this.#openImage(name, platform),
    };
  }

  async build(): Promise<BuiltImage> {
    this.#interrupts.listen();
    await sweepWork(this.#session.cache);
    const target = findTarget(this.#stages.stages, this.#options.target);
    const stage = await this.#stage(target);
    const extras = await this.#addExtras(stage);
    const image = await observe(this.#observer, 'exporting the image', () => this.#export(stage, extras));
    const { cache } = this.#session;
    if (cache.hasNews) await cache.sweep();
    return image;
  }

  close(): void {
    for (const stage of this.#running) stage.close();
    this.#context?.close();
    this.#interrupts.close();
  }

  async #addExtras(stage: StageBuilder): Promise<Extras> {
    const { unikernel, blockImage, annotations = {} } = this.#options;
    const extras = await planExtras(
      {
        annotations,
        ...(unikernel === undefined ? {} : { unikernel }),
        ...(blockImage === undefined ? {} : { blockImage }),
      },
      stage,
      this.#session,
    );
    const { layer } = extras;
    if (layer === undefined) return extras;
    const step = this.#observer.begin(`[extras] ${layer.name}`);
    try {
      await stage.addLayer(`runnc build: ${layer.name}`, step, layer.key, layer.make);
    } catch (error) {
      step.failed();
      throw error;
    } finally {
      layer.close();
    }
    return extras;
  }

  /** Built once, with the stages it needs before it. */
  #stage(stage: Stage): Promise<StageBuilder> {
    const building = this.#built.get(stage.index) ?? this.#buildStage(stage);
    this.#built.set(stage.index, building);
    return building;
  }

  async #buildStage(stage: Stage): Promise<StageBuilder> {
    const builder = await this.#begin(stage);
    const instructions = [...triggers(builder.config), ...stage.instructions];
    const config = withoutTriggers(builder.config);
    const running = new StageBuilder({ ...this.#startOf(builder, stage), config });
    this.#running.push(running);
    const total = 1 + instructions.filter(isStep).length;
    let number = 1;
    for (const instruction of instructions) {
      if (!isStep(instruction)) {
        await running.carryOut(instruction, NO_STEP);
        continue;
      }
      for (const needed of this.#neededBy(instruction, stage)) await this.#stage(needed);
      number++;
      const step = this.#observer.begin(`${label(stage, number, total)} ${instruction.place.text}`);
      try {
        await running.carryOut(instruction, step);
      } catch (error) {
        step.failed();
        throw error;
      }
    }
    return running;
  }

  /** The stage as FROM leaves it. */
  async #begin(stage: Stage): Promise<StageBuilder> {
    const { base, from } = stage;
    const earlier = findStage(this.#stages.stages.slice(0, stage.index), isNumber(base) ? '' : base);
    if (earlier !== undefined) return this.#stage(earlier);
    const total = 1 + stage.instructions.filter(isStep).length;
    try {
      const platform = stage.platform === undefined ? this.#platform : parsePlatform(stage.platform);
      if (base === 'scratch') {
        return new StageBuilder(this.#startWith(stage, { platform, config: {}, layers: [], history: [] }));
      }
      const image = await observe(this.#observer, `${label(stage, 1, total)} ${from.place.text}`, () =>
        this.#openImage(base, platform),
      );
      checkPlatform(image, platform);
      return new StageBuilder(this.#startWith(stage, startOfImage(image)));
    } catch (error) {
      throw failAt(from.place, error);
    }
  }

  get #platform(): Platform {
    return this.#options.platform ?? HOST_PLATFORM;
  }

  #startOf(builder: StageBuilder, stage: Stage): ConstructorParameters<typeof StageBuilder>[0] {
    const { config, platform, layers, history, author } = builder;
    return this.#startWith(stage, {
      ...{ config, platform, layers, history },
      ...(author === undefined ? {} : { author }),
    });
  }

  #startWith(
    stage: Stage,
    start: Pick<
      ConstructorParameters<typeof StageBuilder>[0],
      'config' | 'platform' | 'layers' | 'history' | 'author'
    >,
  ): ConstructorParameters<typeof StageBuilder>[0] {
    return {
      ...start,
      globalArgs: this.#stages.globalArgs,
      escape: this.#stages.escape,
      session: this.#session,
      findSource: (name) => this.#findSource(name, stage),
    };
  }

  /** Stages that COPY --from and RUN --mount=from=… name. */
  #neededBy({ flags }: Instruction, stage: Stage): Stage[] {
    const earlier = this.#stages.stages.slice(0, stage.index);
    return flags.flatMap(({ name, value }) => {
      const [, from] = name === 'from' ? ['', value] : (/(?:^|,)from=([^,]*)/.exec(value) ?? []);
      const found = from === undefined ? undefined : findStage(earlier, from);
      return found === undefined ? [] : [found];
    });
  }

  async #findSource(name: string, stage: Stage): Promise<SourceFiles> {
    const earlier = findStage(this.#stages.stages.slice(0, stage.index), name);
    if (earlier !== undefined) {
      const built = await this.#stage(earlier);
      return { name: `the stage ${name}`, layers: built.layers, tree: () => built.tree() };
    }
    if (isNumber(name))
      throw new RunncError('NOT_FOUND', `--from=${name}: there is no such stage before this one`);
    if (findStage(this.#stages.stages, name) !== undefined) {
      throw new RunncError('INVALID', `--from=${name}: the stage must be before this one`);
    }
    const layers = layersOf(await this.#openImage(name, this.#platform));
    for (const layer of layers) this.#session.layers.add(layer);
    const tree = new LayeredTree(this.#session.layers);
    return { name: `the image ${name}`, layers, tree: () => tree.get(layers) };
  }

  #openImage(name: string, platform: Platform): Promise<Image> {
    const key = `${name} ${formatPlatform(platform)}`;
    const opening = this.#images.get(key) ?? this.#options.openImage(name, platform);
    this.#images.set(key, opening);
    return opening;
  }

  async #export(stage: StageBuilder, { config: runConfig, annotations }: Extras): Promise<BuiltImage> {
    const { store, labels = {} } = this.#options;
    const { architecture, os, variant } = stage.platform;
    const config: ImageConfig = {
      created: isoTime(this.#session.now),
      ...(stage.author === undefined ? {} : { author: stage.author }),
      architecture,
      os,
      ...(variant === undefined ? {} : { variant }),
      config: withLabels(runConfig, labels),
      rootfs: { type: 'layers', diff_ids: stage.layers.map(({ diffId }) => diffId) },
      history: stage.history,
    };
    const configDescriptor = await store.putJson(mediaTypes.config, config);
    const manifest: ImageManifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: configDescriptor,
      layers: stage.layers.map(({ descriptor: { mediaType, digest, size } }) => ({
        mediaType,
        digest,
        size,
      })),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    };
    return { descriptor: await store.putJson(mediaTypes.manifest, manifest), config: configDescriptor };
  }
}

const NO_STEP: StepObserver = silentObserver.begin('');

/** BuildKit's: "[name 2/5]", without the name where there is one stage. */
function label(stage: Stage, number: number, total: number): string {
  const name = stage.name ?? (stage.index === 0 ? '' : `stage-${String(stage.index)}`);
  return `[${name === '' ? '' : `${name} `}${String(number)}/${String(total)}]`;
}

/** The ONBUILD instructions of the base image. */
function triggers({ OnBuild = [] }: RunConfig): readonly Instruction[] {
  return OnBuild.flatMap((text) => {
    const { instructions } = parseDockerfile(text, 'ONBUILD of the base image');
    for (const { keyword, place } of instructions) {
      try {
        checkKeyword(keyword);
        if (keyword === 'ONBUILD') throw new RunncError('INVALID', 'ONBUILD cannot be a trigger');
      } catch (error) {
        throw failAt(place, error);
      }
    }
    return instructions;
  });
}

/** They have done their duty. */
function withoutTriggers(config: RunConfig): RunConfig {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name !== 'OnBuild'));
}

function startOfImage(
  image: Image,
): Pick<
  ConstructorParameters<typeof StageBuilder>[0],
  'config' | 'platform' | 'layers' | 'history' | 'author'
> {
  const { architecture, os, variant, author, config = {}, history = [] } = image.config;
  return {
    config,
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
    layers: layersOf(image),
    history,
    ...(author === undefined ? {} : { author }),
  };
}

function withLabels(config: RunConfig, labels: Readonly<Record<string, string>>): RunConfig {
  return Object.keys(labels).length === 0 ? config : { ...config, Labels: { ...config.Labels, ...labels } };
}

/** An image for one platform alone is found whatever was asked for. */
function checkPlatform({ config }: Image, wanted: Platform): void {
  if (config.os === wanted.os && config.architecture === wanted.architecture) return;
  throw new RunncError(
    'INVALID',
    `the image is for ${formatPlatform(config)}, not for ${formatPlatform(wanted)}`,
  );
}

function platformArgs(target: Platform): Map<string, string> {
  const of = (prefix: string, platform: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
  return new Map([...of('BUILD', HOST_PLATFORM), ...of('TARGET', target)]);
}

function warnOfUnused(
  instructions: readonly Instruction[],
  buildArgs: ReadonlyMap<string, string>,
  onWarning: (message: string) => void,
): void {
  const declared = instructions
    .filter(({ keyword }) => keyword === 'ARG')
    .flatMap(({ rest }) => rest.split(/\s+/).map((word) => word.replace(/=.*/s, '')));
  for (const name of buildArgs.keys()) {
    if (!declared.includes(name) && !PROXY_ARGS.includes(name)) {
      onWarning(`--build-arg ${name}: no ARG of that name uses it`);
    }
  }
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}
