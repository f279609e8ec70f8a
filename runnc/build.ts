/** `runnc build`: an image out of a Dockerfile. */
import { writeFileSync } from 'node:fs';
import { errorMessage, RunncError, shorten } from '../src/errors.ts';
import { build, type BuildOptions, type BuiltImage } from '../src/image/build/build.ts';
import type { BlockImage } from '../src/image/build/extras.ts';
import { readInputs } from '../src/image/build/inputs.ts';
import { parseOutput, type Output, writeOutput } from '../src/image/build/output.ts';
import { openImage, parsePlatform } from '../src/image/platform.ts';
import { normalizeReference } from '../src/image/reference.ts';
import { obtainImage, parseSource } from '../src/image/source.ts';
import { ImageStore, type StoredImage } from '../src/image/store.ts';
import { type BuildProgress, buildProgress, type ProgressMode } from './build-progress.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const request = readRequest(call);
  const store = await ImageStore.open(call.options.text('store'));
  const progress = buildProgress(request.progress);
  try {
    const image = await buildImage(store, request, progress, call);
    await deliver(store, image, request, progress, call);
    progress.finish();
    if (request.idFile !== undefined) writeIdFile(request.idFile, image);
    if (!request.outputs.some(({ dest }) => dest === '-')) print(`${image.descriptor.digest}\n`);
    return 0;
  } catch (error) {
    progress.finish();
    throw error;
  } finally {
    store.release();
  }
}

interface Request extends Pick<BuildOptions, 'context' | 'buildArgs' | 'labels' | 'annotations' | 'noCache'> {
  readonly inputs: ReturnType<typeof readInputs>;
  /** Whole names. */
  readonly names: readonly string[];
  readonly outputs: readonly Output[];
  readonly push: boolean;
  readonly load: boolean;
  readonly pull: boolean;
  readonly progress: ProgressMode;
  readonly idFile?: string;
  readonly more: Pick<BuildOptions, 'target' | 'platform' | 'sourceDateEpoch' | 'unikernel' | 'blockImage'>;
}

/** All that can be wrong with the command line is said before anything is done. */
function readRequest({ options, operands }: Call): Request {
  const context = operands[0] ?? '.';
  const file = options.text('file');
  const target = options.text('target');
  const platform = options.text('platform');
  const idFile = options.text('iidfile');
  const unikernel = options.text('unikernel');
  const blockImage = options.text('rootfs') as BlockImage | undefined;
  const sourceDateEpoch = readEpoch(process.env['SOURCE_DATE_EPOCH']);
  const names = options.texts('tag').map(normalizeReference);
  if (options.flag('push') && names.length === 0) {
    throw new RunncError('INVALID', '--push: needs a name: add --tag REGISTRY/NAME');
  }
  return {
    context,
    inputs: readInputs({
      context,
      ...(file === undefined ? {} : { file }),
      ...(unikernel === undefined ? {} : { fallback: 'FROM scratch' }),
    }),
    names,
    outputs: options.texts('output').map(parseOutput),
    push: options.flag('push'),
    load: options.flag('load'),
    pull: options.flag('pull'),
    noCache: options.flag('no-cache'),
    progress: options.flag('quiet') ? 'quiet' : ((options.text('progress') ?? 'auto') as ProgressMode),
    buildArgs: new Map(options.texts('build-arg').flatMap(readBuildArg)),
    labels: Object.fromEntries(options.texts('label').map((text) => readPair('--label', text))),
    annotations: Object.fromEntries(
      options.texts('annotation').map((text) => readPair('--annotation', text)),
    ),
    ...(idFile === undefined ? {} : { idFile }),
    more: {
      ...(target === undefined ? {} : { target }),
      ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
      ...(sourceDateEpoch === undefined ? {} : { sourceDateEpoch }),
      ...(unikernel === undefined ? {} : { unikernel }),
      ...(blockImage === undefined ? {} : { blockImage }),
    },
  };
}

async function buildImage(
  store: ImageStore,
  request: Request,
  progress: BuildProgress,
  { log }: Call,
): Promise<BuiltImage> {
  const onWarning = (message: string): void => {
    log.warn(message);
  };
  const { context, inputs, buildArgs, labels, annotations, noCache, pull, more } = request;
  return build({
    store,
    context,
    ...inputs,
    ...(buildArgs === undefined ? {} : { buildArgs }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(noCache === undefined ? {} : { noCache }),
    ...more,
    observer: progress,
    onWarning,
    openImage: async (name, platform) => {
      const found = await obtainImage(store, parseSource(name), {
        platform,
        pull: pull ? 'always' : 'missing',
        onWarning,
      });
      return openImage(store, found, platform);
    },
  });
}

/** Names, files, engines and registries that get the image. */
async function deliver(
  store: ImageStore,
  { descriptor }: BuiltImage,
  { names, outputs, push, load }: Request,
  progress: BuildProgress,
  { log }: Call,
): Promise<void> {
  const images: StoredImage[] =
    names.length === 0 ? [{ descriptor }] : names.map((reference) => ({ reference, descriptor }));
  for (const name of names) {
    await observed(progress, `naming to ${name}`, () => store.tag(name, descriptor));
  }
  if (names.length === 0 && outputs.length === 0 && !load) await store.keep(descriptor);
  for (const output of outputs) {
    await observed(progress, `writing ${output.type} to ${output.dest}`, () =>
      writeOutput(store, images, output, (message) => {
        log.warn(message);
      }),
    );
  }
  if (load) {
    await observed(progress, 'loading into dockerd', async () => {
      const { loadIntoDocker } = await import('../src/image/engines.ts');
      const { saveArchive } = await import('../src/image/archive-save.ts');
      await loadIntoDocker(saveArchive(store, images, 'docker-archive'));
    });
  }
  for (const name of push ? names : []) {
    await observed(progress, `pushing ${name}`, async () => {
      const { pushImage } = await import('../src/image/registry/push.ts');
      await pushImage(store, name, descriptor);
    });
  }
}

async function observed(progress: BuildProgress, name: string, work: () => Promise<void>): Promise<void> {
  const { observe } = await import('../src/image/build/observer.ts');
  await observe(progress, name, work);
}

/** "NAME=value"; "NAME" takes what the environment has, if it has it. */
function readBuildArg(text: string): (readonly [string, string])[] {
  const equals = text.indexOf('=');
  if (equals > 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
  if (equals === 0 || text === '') {
    throw new RunncError('INVALID', `--build-arg: expected NAME=value, got ${shorten(text)}`);
  }
  const value = process.env[text];
  return value === undefined ? [] : [[text, value]];
}

function readPair(flag: string, text: string): readonly [string, string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new RunncError('INVALID', `${flag}: expected NAME=value, got ${shorten(text)}`);
}

function readEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const seconds = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!Number.isNaN(seconds)) return seconds;
  throw new RunncError('INVALID', `SOURCE_DATE_EPOCH: expected seconds since 1970, got ${shorten(text)}`);
}

/** Docker's id of the image. */
function writeIdFile(path: string, { config }: BuiltImage): void {
  try {
    writeFileSync(path, config.digest);
  } catch (error) {
    throw new RunncError('HOST', `--iidfile ${path}: cannot be written: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
