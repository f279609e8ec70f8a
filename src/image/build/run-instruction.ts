/** What RUN says: its command, and what is mounted while it runs. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { posix } from 'node:path';
import { errorMessage, RunncError, shorten } from '../../errors.ts';
import type { Mount } from '../../oci/spec.ts';
import type { RunConfig } from '../descriptor.ts';
import { commandOf } from './config-instructions.ts';
import { describeSources } from './copy.ts';
import { type Instruction, isHeredoc } from './dockerfile.ts';
import type { Content } from './file-tree.ts';
import type { Session } from './session.ts';
import type { SourceFiles } from './stage-builder.ts';
import type { StageRoot } from './stage-root.ts';
import { unpackStage } from './unpack-stage.ts';

/** Build arguments that need no ARG and are not part of what is remembered. */
export const PROXY_ARGS: readonly string[] = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'],
  ...['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'],
];

/** Where a heredoc with an interpreter of its own can be executed. */
export const SCRIPT_FOLDER = '/dev';

export interface RunCommand {
  readonly args: readonly string[];
  /** Name in SCRIPT_FOLDER → content. */
  readonly files: Readonly<Record<string, string>>;
}

/** A heredoc alone is a script; beside other words it is for the shell. */
export function commandOfRun(instruction: Instruction, config: RunConfig): RunCommand {
  const { rest, heredocs } = instruction;
  if (rest === '') throw new RunncError('INVALID', 'expected a command');
  const [first] = heredocs;
  if (first === undefined) return { args: commandOf(instruction, config), files: {} };
  if (heredocs.length > 1 || !isHeredoc(rest)) {
    const bodies = heredocs.map(({ name, content }) => `${content}${name}\n`).join('');
    return { args: commandOf({ rest: `${rest}\n${bodies}` }, config), files: {} };
  }
  const [, interpreter, argument] = /^#![ \t]*(\S+)(?:[ \t]+([^\n]*\S))?/.exec(first.content) ?? [];
  if (interpreter === undefined) return { args: commandOf({ rest: first.content }, config), files: {} };
  const name = 'script';
  return {
    args: [interpreter, ...(argument === undefined ? [] : [argument]), `${SCRIPT_FOLDER}/${name}`],
    files: { [name]: first.content },
  };
}

export interface RunMount {
  /** All that the result depends on. */
  readonly identity: unknown;
  /** When the instruction is about to run. */
  readonly mount: (root: StageRoot) => Promise<Mount>;
}

export interface RunMountScope {
  readonly session: Session;
  readonly workingDir: string;
  readonly expand: (word: string) => string;
  readonly hash: (content: Content) => Promise<string>;
  readonly findSource: (name: string) => Promise<SourceFiles>;
}

/** "type=cache,target=/x". Throws INVALID, and UNSUPPORTED for types that there are elsewhere. */
export async function readRunMount(text: string, scope: RunMountScope): Promise<RunMount> {
  const fields = readFields(text, scope.expand);
  const type = fields.get('type') ?? 'bind';
  const target = fields.get('target') ?? fields.get('dst') ?? fields.get('destination');
  if (target === undefined) throw invalid(text, 'target is missing');
  const destination = posix.resolve('/', scope.workingDir, target);
  switch (type) {
    case 'tmpfs':
      return {
        identity: ['tmpfs', destination],
        mount: () => Promise.resolve({ destination, type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] }),
      };
    case 'cache':
      return cacheMount(fields, destination, scope);
    case 'bind':
      return bindMount(text, fields, destination, scope);
    default:
      throw new RunncError('UNSUPPORTED', `--mount=${text}: type: there are bind, cache and tmpfs`);
  }
}

function readFields(text: string, expand: (word: string) => string): ReadonlyMap<string, string> {
  const known = [
    'type',
    'target',
    'dst',
    'destination',
    'source',
    'src',
    'from',
    'id',
    'sharing',
    'readonly',
    'ro',
  ];
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    if (!known.includes(name)) throw invalid(text, `${shorten(name)} is not supported`);
    fields.set(name, equals < 0 ? 'true' : expand(part.slice(equals + 1)));
  }
  return fields;
}

/** A folder of the host's that builds share. What is in it must not matter for the result. */
function cacheMount(
  fields: ReadonlyMap<string, string>,
  destination: string,
  { session }: RunMountScope,
): RunMount {
  const id = fields.get('id') ?? destination;
  const folder = `${session.cache.folder}/mounts/${createHash('sha256').update(id).digest('hex')}`;
  return {
    identity: ['cache', destination, id],
    mount: async () => {
      try {
        mkdirSync(folder, { recursive: true, mode: 0o755 });
      } catch (error) {
        throw new RunncError('HOST', `--mount=type=cache: ${folder} cannot be made: ${errorMessage(error)}`);
      }
      return Promise.resolve({
        destination,
        type: 'bind',
        source: folder,
        options: ['rbind', 'rprivate', 'rw'],
      });
    },
  };
}

/** Read-only: a copy of what the context, a stage or an image has. */
async function bindMount(
  text: string,
  fields: ReadonlyMap<string, string>,
  destination: string,
  { session, hash, findSource }: RunMountScope,
): Promise<RunMount> {
  const from = fields.get('from');
  if (from === undefined) {
    throw new RunncError(
      'UNSUPPORTED',
      `--mount=${text}: a part of the context cannot be mounted: COPY it into a stage of its own and mount it by from=`,
    );
  }
  const source = await findSource(from);
  const path = fields.get('source') ?? fields.get('src') ?? '/';
  const located = (await source.tree()).locate(path);
  if (located.node === undefined) throw invalid(text, `${shorten(path)} does not exist in ${source.name}`);
  return {
    identity: ['bind', destination, await describeSources([{ name: '', node: located.node }], true, hash)],
    mount: async (root) => {
      const folder = `${root.folder}/mount-${createHash('sha256').update(source.name).digest('hex').slice(0, 16)}`;
      await unpackStage(session, source.layers, folder);
      return {
        destination,
        type: 'bind',
        source: `${folder}/${located.path}`,
        options: ['rbind', 'rprivate', 'ro'],
      };
    },
  };
}

function invalid(text: string, why: string): RunncError {
  return new RunncError('INVALID', `--mount=${text}: ${why}`);
}
