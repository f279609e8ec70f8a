/**
 * The documents of an image (image-spec 1.1, and Docker's schema 2, which has the same fields under other media types).
 * They come from registries and archives that nobody vouches for: each is parsed by one function here, which throws
 * INVALID naming the document and the field. Fields that are not listed are kept in the blob and ignored here.
 */
import { errorMessage, RunncError } from '../errors.ts';
import {
  array,
  boolean,
  integer,
  leaf,
  nonEmptyString,
  object,
  record,
  type Schema,
  string,
  validate,
} from '../oci/schema.ts';
import { isDigest } from './digest.ts';

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  layerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  layerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  empty: 'application/vnd.oci.empty.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

/** Annotations of an index's entries. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** containerd's: the whole reference, where the one above holds the tag only. */
export const CONTAINERD_NAME = 'io.containerd.image.name';

/** What a registry must accept, says the distribution specification; nobody makes larger ones. */
export const MAX_MANIFEST_BYTES = 4 * 2 ** 20;
export const MAX_CONFIG_BYTES = 8 * 2 ** 20;
export const MAX_LAYERS = 1024;

export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly variant?: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
}

export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  /** The base first. */
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface HealthCheck {
  readonly Test?: readonly string[];
  /** Nanoseconds, like the other times. */
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly Retries?: number;
}

/** `config` of an image's configuration. */
export interface RunConfig {
  /** "user", "uid", "user:group", "uid:gid" and so on. */
  readonly User?: string;
  /** "port/protocol". */
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  /** "NAME=value". */
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  /** Absolute paths. */
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly Healthcheck?: HealthCheck;
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[];
}

export interface History {
  readonly created?: string;
  readonly author?: string;
  readonly created_by?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly variant?: string;
  readonly config?: RunConfig;
  readonly rootfs: {
    readonly type: 'layers';
    /** Digests of the uncompressed layers, the base first. */
    readonly diff_ids: readonly string[];
  };
  readonly history?: readonly History[];
}

const digest = leaf<string>('"sha256:" and 64 hexadecimal digits', 'digests', isDigest);
const two = leaf<2>('2', 'twos', (value) => value === 2);
const size = integer(0, Number.MAX_SAFE_INTEGER);
const strings = array(string);
const annotations = record(string);
const emptyObject = leaf<object>('an object', 'objects', (value) => typeof value === 'object');

const platform = object<Platform>(
  { architecture: string, os: string },
  { 'os.version': string, variant: string },
);

const descriptorSchema = object<Descriptor>(
  { mediaType: nonEmptyString, digest, size },
  { annotations, platform, artifactType: string },
);

const manifestSchema = object<ImageManifest>(
  { schemaVersion: two, config: descriptorSchema, layers: array(descriptorSchema) },
  { mediaType: string, artifactType: string, annotations },
);

const indexSchema = object<ImageIndex>(
  { schemaVersion: two, manifests: array(descriptorSchema) },
  { mediaType: string, annotations },
);

const runConfig = object<RunConfig>(
  {},
  {
    User: string,
    ExposedPorts: record(emptyObject),
    Env: strings,
    Entrypoint: strings,
    Cmd: strings,
    Volumes: record(emptyObject),
    WorkingDir: string,
    Labels: record(string),
    StopSignal: string,
    Healthcheck: object<HealthCheck>(
      {},
      { Test: strings, Interval: size, Timeout: size, StartPeriod: size, Retries: size },
    ),
    Shell: strings,
    OnBuild: strings,
  },
);

const configSchema = object<ImageConfig>(
  {
    architecture: string,
    os: string,
    rootfs: object<ImageConfig['rootfs']>(
      {
        type: leaf<'layers'>('"layers"', 'layers', (value) => value === 'layers'),
        diff_ids: array(digest),
      },
      {},
    ),
  },
  {
    created: string,
    author: string,
    'os.version': string,
    variant: string,
    config: runConfig,
    history: array(
      object<History>(
        {},
        { created: string, author: string, created_by: string, comment: string, empty_layer: boolean },
      ),
    ),
  },
);

/** `where` names the document in errors: "manifest sha256:…". */
export function parseManifest(data: Uint8Array | string, where: string): ImageManifest {
  const manifest = parse(manifestSchema, data, where);
  if (manifest.layers.length > MAX_LAYERS) {
    throw new RunncError(
      'INVALID',
      `${where}: layers: ${String(manifest.layers.length)} are more than ${String(MAX_LAYERS)}`,
    );
  }
  return manifest;
}

export function parseIndex(data: Uint8Array | string, where: string): ImageIndex {
  return parse(indexSchema, data, where);
}

export function parseConfig(data: Uint8Array | string, where: string): ImageConfig {
  return parse(configSchema, data, where);
}

export function isIndex(mediaType: string): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex;
}

export function isManifest(mediaType: string): boolean {
  return mediaType === mediaTypes.manifest || mediaType === mediaTypes.dockerManifest;
}

/** Descriptors that are equal but for annotations and platform name the same bytes. */
export function sameContent(a: Descriptor, b: Descriptor): boolean {
  return a.digest === b.digest && a.size === b.size;
}

function parse<T>(schema: Schema<T>, data: Uint8Array | string, where: string): T {
  let document: unknown;
  try {
    document = JSON.parse(typeof data === 'string' ? data : Buffer.from(data).toString('utf8'));
  } catch (error) {
    throw new RunncError('INVALID', `${where}: is not JSON: ${errorMessage(error)}`);
  }
  try {
    return validate(schema, document);
  } catch (error) {
    throw new RunncError('INVALID', `${where}: ${errorMessage(error)}`, { cause: error });
  }
}
