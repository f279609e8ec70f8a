/** Carries out the instructions of one stage, one after the other. */
import { posix } from 'node:path';
import { RunncError, shorten } from '../../errors.ts';
import type { History, Platform, RunConfig } from '../descriptor.ts';
import { formatPlatform, HOST_PLATFORM } from '../platform.ts';
import { openArchive, unpackArchive } from './add.ts';
import { filesOf } from './archive.ts';
import { BuildCache } from './build-cache.ts';
import { Changes, type Owner, ROOT_OWNER } from './changes.ts';
import { applyConfig, workingDirectory, words } from './config-instructions.ts';
import { readScanned } from './context.ts';
import { copySources, type CopyTarget, describeSources, type Selected, selectSources } from './copy.ts';
import { failAt, type Instruction, isHeredoc } from './dockerfile.ts';
import type { Content, FileTree } from './file-tree.ts';
import { Flags } from './instruction-flags.ts';
import { type Layer, writeLayer } from './layer-writer.ts';
import type { StepObserver } from './observer.ts';
import { commandOfRun, PROXY_ARGS, readRunMount, type RunMount } from './run-instruction.ts';
import { chainOf, isoTime, LayeredTree, type Session } from './session.ts';
import type { StageRoot } from './stage-root.ts';
import { readArgs } from './stages.ts';
import { fetchFile } from './remote-file.ts';
import { textFile } from './text-file.ts';
import { type ReadText, resolveOwner, resolveRunUser } from './users.ts';
import { expandText, expandWord } from './words.ts';

/** Files that COPY --from takes from: a stage or an image. */
export interface SourceFiles {
  /** For messages. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly tree: () => Promise<FileTree>;
}

export interface StageStart {
  readonly config: RunConfig;
  readonly platform: Platform;
  readonly author?: string;
  readonly layers: readonly Layer[];
  readonly history: readonly History[];
  /** What ARG without a default takes. */
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly escape: string;
  readonly session: Session;
  readonly findSource: (name: string) => Promise<SourceFiles>;
}

/** What the history says of a step. */
type Remembered = Pick<Instruction, 'keyword' | 'original'>;

/** A target whose owner may be a name. */
interface UnresolvedTarget extends Omit<CopyTarget, 'owner'> {
  readonly chown?: string;
}

/** Instructions that are steps of their own in the progress. */
const STEPS: readonly string[] = ['ADD', 'COPY', 'RUN', 'WORKDIR'];

export function isStep({ keyword }: Instruction): boolean {
  return STEPS.includes(keyword);
}

/** No user or group file is larger. */
const MAX_TEXT_BYTES = 4 * 2 ** 20;

export class StageBuilder {
  readonly #start: StageStart;
  readonly #session: Session;
  readonly #tree: LayeredTree;
  readonly #args = new Map<string, string>();
  readonly #layers: Layer[];
  readonly #history: History[];
  #config: RunConfig;
  #author: string | undefined;
  #hasOwnCmd = false;
  #root: StageRoot | undefined;

  constructor(start: StageStart) {
    this.#start = start;
    this.#session = start.session;
    this.#tree = new LayeredTree(start.session.layers);
    this.#layers = [...start.layers];
    this.#history = [...start.history];
    this.#config = start.config;
    this.#author = start.author;
    for (const layer of start.layers) this.#session.layers.add(layer);
  }

  get config(): RunConfig {
    return this.#config;
  }

  get platform(): Platform {
    return this.#start.platform;
  }

  get author(): string | undefined {
    return this.#author;
  }

  get layers(): readonly Layer[] {
    return this.#layers;
  }

  get history(): readonly History[] {
    return this.#history;
  }

  tree(): Promise<FileTree> {
    return this.#tree.get(this.#layers);
  }

  /** `step` is that of isStep() instructions. Throws with the place of the instruction. */
  async carryOut(instruction: Instruction, step: StepObserver): Promise<void> {
    try {
      await this.#carryOut(instruction, step);
    } catch (error) {
      throw failAt(instruction.place, error);
    }
  }

  /** A layer that no instruction asks for; `key` is all it depends on beside the files below it. */
  addLayer(
    name: string,
    step: StepObserver,
    key: readonly unknown[],
    make: (changes: Changes) => Promise<void>,
  ): Promise<void> {
    return this.#layerStep({ keyword: '', original: name }, step, key, make);
  }

  async #carryOut(instruction: Instruction, step: StepObserver): Promise<void> {
    switch (instruction.keyword) {
      case 'ARG':
        this.#declareArgs(instruction);
        return this.#remember(instruction);
      case 'MAINTAINER':
        this.#author = this.#expand(instruction.rest);
        return this.#remember(instruction);
      case 'WORKDIR':
        return this.#workdir(instruction, step);
      case 'COPY':
        return this.#copy(instruction, step);
      case 'ADD':
        return this.#add(instruction, step);
      case 'RUN':
        return this.#run(instruction, step);
      default: {
        const config = applyConfig(instruction, {
          config: this.#config,
          hasOwnCmd: this.#hasOwnCmd,
          expand: (word) => this.#expand(word),
          escape: this.#start.escape,
        });
        if (config === undefined)
          throw new RunncError('INVALID', `there is no instruction ${instruction.keyword}`);
        this.#config = config;
        this.#hasOwnCmd ||= instruction.keyword === 'CMD';
        return this.#remember(instruction);
      }
    }
  }

  #declareArgs(instruction: Instruction): void {
    const { buildArgs } = this.#session;
    for (const [name, value] of readArgs(instruction, this.#start.escape, (n) => this.#lookup(n))) {
      const effective = buildArgs.get(name) ?? value ?? this.#start.globalArgs.get(name);
      if (effective !== undefined) this.#args.set(name, effective);
    }
  }

  /** ENV hides ARG. */
  #lookup(name: string): string | undefined {
    const variable = this.#config.Env?.findLast((entry) => entry.startsWith(`${name}=`));
    return variable === undefined ? this.#args.get(name) : variable.slice(name.length + 1);
  }

  #expand(word: string): string {
    return expandWord(word, (name) => this.#lookup(name), this.#start.escape);
  }

  async #workdir(instruction: Instruction, step: StepObserver): Promise<void> {
    new Flags(instruction, []);
    const path = workingDirectory(this.#expand(instruction.rest), this.#config);
    this.#config = { ...this.#config, WorkingDir: path };
    const { User = '' } = this.#config;
    await this.#layerStep(instruction, step, ['WORKDIR', path, User], async (changes) => {
      if (changes.tree.locate(path).node?.kind === 'folder') return;
      const owner = User === '' ? ROOT_OWNER : await resolveOwner(User, this.readText);
      changes.makeFolder(path, owner);
    });
  }

  async #copy(instruction: Instruction, step: StepObserver): Promise<void> {
    const flags = new Flags(instruction, ['from', 'chown', 'chmod', 'link']);
    const { sources, inline, destination } = this.#readPaths(instruction);
    const from = flags.text('from');
    if (from?.includes('$') === true) {
      throw new RunncError(
        'INVALID',
        '--from takes no variables: name a stage "FROM $IMAGE AS name" and copy from it',
      );
    }
    const target = this.#target(flags, destination);
    const make = (selected: readonly Selected[]) => async (changes: Changes) => {
      copySources([...inline, ...selected], await this.#resolved(target), changes);
    };
    if (from === undefined) {
      const context = this.#session.context();
      const selected = sources.length === 0 ? [] : this.#select(context.tree, sources, 'the build context');
      checkMany([...inline, ...selected], destination);
      const lines = await describeSources([...inline, ...selected], false, (content) => this.#hash(content));
      return this.#layerStep(instruction, step, ['COPY', target, lines], make(selected));
    }
    const source = await this.#start.findSource(from);
    const quick = ['COPY', target, inline.map(({ name }) => name), sources, chainOf(source.layers)];
    return this.#layerStep(instruction, step, quick, async (changes, tryKey) => {
      const selected = this.#select(await source.tree(), sources, source.name);
      checkMany([...inline, ...selected], destination);
      // The same files of another image make the same layer.
      const lines = await describeSources([...inline, ...selected], true, (content) => this.#hash(content));
      if (await tryKey(['COPY', target, lines])) return;
      await make(selected)(changes);
    });
  }

  async #add(instruction: Instruction, step: StepObserver): Promise<void> {
    const flags = new Flags(instruction, ['chown', 'chmod', 'checksum', 'link']);
    const { sources, inline, destination } = this.#readPaths(instruction);
    const target = this.#target(flags, destination);
    const remote = sources.filter(isRemote);
    const local = sources.filter((source) => !isRemote(source));
    const checksum = flags.text('checksum');
    const fetched: Selected[] = [];
    const key: unknown[] = ['ADD', target, checksum, remote];
    if (remote.length > 0 || checksum !== undefined) {
      const [url, ...others] = remote;
      if (url === undefined || others.length > 0 || local.length > 0) {
        throw new RunncError('INVALID', '--checksum is for one URL as the only source');
      }
      if (checksum === undefined) {
        throw new RunncError(
          'UNSUPPORTED',
          `a URL needs --checksum=sha256:…, or each build could get another file`,
        );
      }
      return this.#layerStep(instruction, step, key, async (changes) => {
        fetched.push(await fetchFile(url, checksum, this.#session, step));
        copySources(fetched, await this.#resolved(target), changes);
      });
    }
    const selected =
      local.length === 0 ? [] : this.#select(this.#session.context().tree, local, 'the build context');
    checkMany([...inline, ...selected], destination);
    const lines = await describeSources([...inline, ...selected], false, (content) => this.#hash(content));
    return this.#layerStep(instruction, step, [...key, lines], async (changes) => {
      const resolved = await this.#resolved(target);
      for (const source of [...inline, ...selected]) {
        const { content } = source.node;
        const archive =
          content?.origin.type === 'scanned' ? await openArchive(source.name, readerOf(content)) : undefined;
        if (archive === undefined) copySources([source], resolved, changes);
        else await unpackArchive(archive, resolved, changes);
      }
    });
  }

  async #run(instruction: Instruction, step: StepObserver): Promise<void> {
    const flags = new Flags(instruction, ['mount', 'network']);
    this.#checkRunnable(flags);
    const { args, files } = commandOfRun(instruction, this.#config);
    const { User = '', WorkingDir = '' } = this.#config;
    const cwd = posix.resolve('/', WorkingDir);
    const env = this.#environment();
    const mounts = await this.#mounts(flags);
    const key = ['RUN', args, files, env, cwd, User, mounts.map(({ identity }) => identity)];
    let root: StageRoot | undefined;
    await this.#layerStep(instruction, step, key, async (changes) => {
      const { runProgram } = await import('./run-program.ts');
      const stageRoot = await this.#stageRoot();
      root = stageRoot;
      const user = await resolveRunUser(User, this.readText);
      const mounted = await Promise.all(mounts.map(({ mount }) => mount(stageRoot)));
      const program = { args, files, env: [...env, ...this.#proxies()], cwd, user, mounts: mounted };
      await stageRoot.change(this.#layers, changes, () =>
        runProgram(program, stageRoot, step, this.#session),
      );
    });
    root?.isAt(this.#layers.length);
  }

  #checkRunnable(flags: Flags): void {
    const { platform } = this.#start;
    if (platform.os !== HOST_PLATFORM.os || platform.architecture !== HOST_PLATFORM.architecture) {
      throw new RunncError(
        'UNSUPPORTED',
        `RUN: this machine runs no programs for ${formatPlatform(platform)}`,
      );
    }
    const network = flags.text('network') ?? 'default';
    if (network !== 'default' && network !== 'none') {
      throw new RunncError('UNSUPPORTED', `--network=${network}: a build has no network`);
    }
  }

  /** ENV and ARG. */
  #environment(): string[] {
    const { Env = [] } = this.#config;
    const args = [...this.#args].filter(([name]) => !Env.some((variable) => variable.startsWith(`${name}=`)));
    return [...Env, ...args.map(([name, value]) => `${name}=${value}`)];
  }

  /** They change nothing of the result. */
  #proxies(): string[] {
    return [...this.#session.buildArgs]
      .filter(([name]) => PROXY_ARGS.includes(name) && !this.#args.has(name))
      .map(([name, value]) => `${name}=${value}`);
  }

  #mounts(flags: Flags): Promise<RunMount[]> {
    return Promise.all(
      flags.texts('mount').map((text) =>
        readRunMount(text, {
          session: this.#session,
          workingDir: this.#config.WorkingDir ?? '/',
          expand: (word) => this.#expand(word),
          hash: (content) => this.#hash(content),
          findSource: this.#start.findSource,
        }),
      ),
    );
  }

  async #stageRoot(): Promise<StageRoot> {
    const { StageRoot } = await import('./stage-root.ts');
    this.#root ??= StageRoot.open(this.#session);
    return this.#root;
  }

  /** Nothing more is carried out. */
  close(): void {
    this.#root?.close();
  }

  /** The sources and the destination of COPY and ADD. */
  #readPaths(instruction: Instruction): {
    readonly sources: readonly string[];
    readonly inline: readonly Selected[];
    readonly destination: string;
  } {
    const all = [...(instruction.json ?? words(instruction))];
    const last = all.pop();
    if (last === undefined || all.length === 0) {
      throw new RunncError('INVALID', 'expected at least one source and a destination');
    }
    const sources: string[] = [];
    const inline: Selected[] = [];
    for (const word of all) {
      const heredoc = isHeredoc(word) ? instruction.heredocs[inline.length] : undefined;
      if (heredoc === undefined) {
        sources.push(this.#expand(word));
        continue;
      }
      const { name, content, expand } = heredoc;
      const text = expand ? expandText(content, (n) => this.#lookup(n), this.#start.escape) : content;
      inline.push({ name, node: textFile(text, this.#session.now) });
    }
    if (sources.includes('')) throw new RunncError('INVALID', 'a source is empty');
    return { sources, inline, destination: this.#destination(this.#expand(last)) };
  }

  #destination(text: string): string {
    if (text === '') throw new RunncError('INVALID', 'the destination is empty');
    const path = posix.resolve('/', this.#config.WorkingDir ?? '/', text);
    return /(^|\/)\.?$/.test(text) && path !== '/' ? `${path}/` : path;
  }

  #target(flags: Flags, path: string): UnresolvedTarget {
    const chown = flags.text('chown');
    const chmod = flags.text('chmod');
    const mode = chmod === undefined ? undefined : this.#expand(chmod);
    if (mode !== undefined && !/^[0-7]{1,4}$/.test(mode)) {
      throw new RunncError('INVALID', `--chmod: expected an octal number such as 755, got ${shorten(mode)}`);
    }
    return {
      path,
      ...(chown === undefined ? {} : { chown: this.#expand(chown) }),
      ...(mode === undefined ? {} : { mode: parseInt(mode, 8) }),
    };
  }

  async #resolved(target: UnresolvedTarget): Promise<CopyTarget> {
    const { path, mode, chown } = target;
    const owner: Owner | undefined =
      chown === undefined ? undefined : await resolveOwner(chown, this.readText);
    return { path, ...(mode === undefined ? {} : { mode }), ...(owner === undefined ? {} : { owner }) };
  }

  #select(tree: FileTree, sources: readonly string[], where: string): Selected[] {
    const selected = selectSources(tree, sources, where);
    if (selected.length > 0) return selected;
    throw new RunncError('NOT_FOUND', `nothing in ${where} matches ${sources.map(shorten).join(', ')}`);
  }

  /** The text of a file of the stage, links followed inside it. */
  readonly readText: ReadText = async (path) => {
    const { node } = (await this.tree()).locate(path);
    const { content } = node ?? {};
    if (content === undefined) return undefined;
    if (content.sizeBytes > MAX_TEXT_BYTES)
      throw new RunncError('INVALID', `${path} of the stage is larger than 4 MiB`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#read(content)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };

  async *#read({ origin }: Content): AsyncGenerator<Uint8Array> {
    if (origin.type === 'scanned') yield* readScanned(origin.entry);
    else if (origin.type === 'stream') yield* origin.read();
    else {
      const archive = origin.type === 'layer' ? this.#session.layers.archive(origin.diffId) : origin.archive;
      for await (const { content } of filesOf(archive, new Set([origin.at]))) yield* content;
    }
  }

  async #hash(content: Content): Promise<string> {
    return content.sha256 ?? this.#session.context().hash(content);
  }

  /**
   * Finds the layer of an instruction, or makes it. `key` is all it depends on beside the files below it. `make` may know
   * better when it begins: a key that it tries and finds makes it unnecessary.
   */
  async #layerStep(
    instruction: Remembered,
    step: StepObserver,
    key: readonly unknown[],
    make: (changes: Changes, tryKey: (key: readonly unknown[]) => Promise<boolean>) => Promise<void> | void,
  ): Promise<void> {
    const { cache, noCache, now, latest } = this.#session;
    const chain = chainOf(this.#layers);
    const keys: string[] = [];
    const tryKey = async (parts: readonly unknown[]): Promise<boolean> => {
      const name = BuildCache.key(chain, now, latest, ...parts);
      keys.push(name);
      const found = noCache ? undefined : await cache.findStep(name);
      if (found === undefined) return false;
      for (const other of keys.slice(0, -1)) cache.writeStep(other, found);
      this.#addLayer(instruction, found.layer);
      step.cached();
      return true;
    };
    if (await tryKey(key)) return;
    const before = this.#history.length;
    const changes = new Changes(await this.tree(), { now, ...(latest === undefined ? {} : { latest }) });
    await make(changes, tryKey);
    if (this.#history.length > before) return;
    const layer = changes.isEmpty ? undefined : await this.#write(changes, step);
    for (const name of keys) cache.writeStep(name, layer === undefined ? {} : { layer });
    this.#addLayer(instruction, layer);
    step.done();
  }

  async #write(changes: Changes, step: StepObserver): Promise<Layer> {
    const { store, layers } = this.#session;
    const items = changes.items(layers, (content) => this.#hash(content));
    const written = await writeLayer(store, items, (count) => {
      step.bytes(count);
    });
    layers.add(written, written.entries);
    return { descriptor: written.descriptor, diffId: written.diffId };
  }

  #addLayer(instruction: Remembered, layer: Layer | undefined): void {
    if (layer !== undefined) {
      this.#session.layers.add(layer);
      this.#layers.push(layer);
    }
    this.#remember(instruction, layer !== undefined);
  }

  #remember({ keyword, original }: Remembered, hasLayer = false): void {
    this.#history.push({
      created: isoTime(this.#session.now),
      created_by: original === '' ? keyword : original,
      ...(hasLayer ? {} : { empty_layer: true }),
    });
  }
}

function checkMany(selected: readonly Selected[], destination: string): void {
  if (selected.length > 1 && !destination.endsWith('/')) {
    throw new RunncError(
      'INVALID',
      `several sources need a folder: write the destination as ${destination}/`,
    );
  }
}

function isRemote(source: string): boolean {
  return /^(https?|git|ssh):\/\/|^git@/.test(source);
}

function readerOf({ origin }: Content): () => AsyncIterable<Uint8Array> {
  if (origin.type !== 'scanned') throw new RunncError('INTERNAL', 'an archive that is not in the context');
  return () => readScanned(origin.entry);
}
