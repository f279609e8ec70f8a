/** `runnc images` */
import { formatReference, parseReference, shortReference } from '../src/image/reference.ts';
import type { ImageStore, StoredImage } from '../src/image/store.ts';
import { decimalSize } from '../src/size.ts';
import { ago, hostImage, openStore } from './image-call.ts';
import { print, printTable } from './output.ts';
import type { Call } from './verb.ts';

const SHORT_ID = 12;

export async function run(call: Call): Promise<number> {
  const {
    options,
    operands: [wanted],
  } = call;
  const store = await openStore(call);
  const images = store
    .list()
    .filter(({ reference }) => wanted === undefined || isAsked(reference, wanted))
    .map((stored) => describe(store, stored));
  if (options.flag('quiet')) {
    print([...new Set(images.map(({ id }) => id.slice(0, SHORT_ID)))].map((id) => `${id}\n`).join(''));
  } else if (options.text('format') === 'json') {
    print(`${JSON.stringify(images)}\n`);
  } else {
    const digests = options.flag('digests');
    printTable([
      ['REPOSITORY', 'TAG', ...(digests ? ['DIGEST'] : []), 'IMAGE ID', 'CREATED', 'SIZE'],
      ...images.map(({ repository, tag, digest, id, created, size }) => [
        `${repository} `,
        `${tag} `,
        ...(digests ? [digest] : []),
        id.slice(0, SHORT_ID),
        ago(created),
        decimalSize(size),
      ]),
    ]);
  }
  return 0;
}

interface Row {
  readonly reference?: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  /** Docker's, without "sha256:". */
  readonly id: string;
  readonly created?: string;
  /** Bytes in the store. */
  readonly size: number;
}

function describe(store: ImageStore, stored: StoredImage): Row {
  const { reference, descriptor } = stored;
  const image = hostImage(store, stored);
  const parts = image === undefined ? [] : [image.manifest.config, ...image.manifest.layers];
  const parsed = reference === undefined ? undefined : parseReference(reference);
  const created = image?.config.created;
  return {
    ...(reference === undefined ? {} : { reference }),
    repository:
      parsed === undefined
        ? '<none>'
        : shortReference({ registry: parsed.registry, repository: parsed.repository }),
    tag: parsed?.tag ?? '<none>',
    digest: descriptor.digest,
    id: (image?.manifest.config.digest ?? descriptor.digest).slice('sha256:'.length),
    ...(created === undefined ? {} : { created }),
    size: parts.reduce((sum, { size }) => sum + size, descriptor.size),
  };
}

/** A repository means all its tags. */
function isAsked(reference: string | undefined, wanted: string): boolean {
  if (reference === undefined) return false;
  const asked = parseReference(wanted);
  const { registry, repository } = parseReference(reference);
  if (registry !== asked.registry || repository !== asked.repository) return false;
  const saysWhich = wanted.includes('@') || wanted.slice(wanted.lastIndexOf('/')).includes(':');
  return !saysWhich || formatReference(asked) === reference;
}
