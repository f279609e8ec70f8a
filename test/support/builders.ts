/** Dockerfiles built by the installed runnc and by the two builders of a real dockerd, and what comes out of them. */
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadArchive } from '../../src/image/archive-load.ts';
import type { RunConfig } from '../../src/image/descriptor.ts';
import { ImageStore } from '../../src/image/store.ts';
import { type CommandResult, run } from './command.ts';
import { Dockerd } from './dockerd.ts';
import { type Files, readDockerArchive } from './image-files.ts';
import { runtime } from './paths.ts';

export type Builder = 'classic' | 'buildkit';

export interface Built {
  readonly files: Files;
  readonly config: RunConfig;
}

/** The one that has BuildKit in itself; newer ones need a plugin. */
const CLIENT = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker';

/** For a machine with a lot to do; mocha has the last word. */
const TIMEOUT_MS = 900_000;

export class Builders {
  /** Temporary. */
  readonly folder: string;
  /** In it, empty. */
  readonly context: string;
  readonly #docker: Dockerd;

  private constructor(docker: Dockerd) {
    this.#docker = docker;
    this.folder = mkdtempSync(join(tmpdir(), 'runnc-builders-'));
    this.context = join(this.folder, 'context');
    mkdirSync(this.context);
  }

  static async start(): Promise<Builders> {
    return new Builders(await Dockerd.start({ defaultRuntime: 'runc' }));
  }

  async stop(): Promise<void> {
    await this.#docker.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runnc's store. */
  get images(): string {
    return join(this.folder, 'images');
  }

  /** An image of the files in a folder, which belong to root then, for all. `changes`: instructions, as docker import has them. */
  async importImage(name: string, root: string, changes: readonly string[] = []): Promise<void> {
    const tar = join(this.folder, 'root.tar');
    execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', tar, '.']);
    await this.#docker.docker('import', ...changes.map((change) => `--change=${change}`), tar, name);
    await this.#docker.docker('save', '--output', tar, name);
    const store = await ImageStore.open(this.images);
    for (const { descriptor } of await loadArchive(store, createReadStream(tar), tar)) {
      await store.tag(name, descriptor);
    }
    store.release();
    rmSync(tar);
  }

  /** The image that dockerd makes. */
  async docker(builder: Builder, dockerfile: string, args: readonly string[] = []): Promise<Built> {
    const tag = `built-${builder}`;
    const command = [
      'build',
      '--network=none',
      '--no-cache',
      ...args,
      '-t',
      tag,
      '-f',
      dockerfile,
      this.context,
    ];
    const { status, stdout, stderr } = await run(CLIENT, [...this.#docker.client, ...command], {
      env: { ...process.env, DOCKER_BUILDKIT: builder === 'buildkit' ? '1' : '0' },
      timeoutMs: TIMEOUT_MS,
    });
    expect(status, `${stdout}${stderr}`).to.equal(0);
    await this.#docker.docker('save', '--output', this.#archive, tag);
    return this.#read();
  }

  /** The image that we make. */
  async runnc(dockerfile: string, args: readonly string[] = []): Promise<Built> {
    const { status, stderr } = await this.tryRunnc(dockerfile, args);
    expect(status, stderr).to.equal(0);
    return this.#read();
  }

  tryRunnc(dockerfile: string, args: readonly string[] = []): Promise<CommandResult> {
    const options = [
      `--store=${this.images}`,
      `--output=type=docker,dest=${this.#archive}`,
      '--progress=plain',
    ];
    return run(runtime, ['build', ...options, ...args, '--file', dockerfile, this.context], {
      timeoutMs: TIMEOUT_MS,
    });
  }

  get #archive(): string {
    return join(this.folder, 'image.tar');
  }

  async #read(): Promise<Built> {
    const { files, config } = await readDockerArchive(this.#archive);
    rmSync(this.#archive);
    return { files: linksByTarget(files), config: config.config ?? {} };
  }
}

/** Hard links by what they lead to: which of several names comes first is no difference. */
function linksByTarget(files: Files): Files {
  const result: Record<string, string> = {};
  for (const path of Object.keys(files).sort()) {
    const line = files[path] ?? '';
    const [, target] = /^h\d+ \d+:\d+ (.*)$/s.exec(line) ?? [];
    result[path] = target === undefined ? line : (files[target] ?? line);
  }
  return result;
}
