/** `runnc inspect NAME`: what is known of an image of the store, in the form that docker gives it. */
import { openImage } from '../src/image/platform.ts';
import { formatReference, parseReference, shortReference } from '../src/image/reference.ts';
import { openStore, theImage } from './image-call.ts';
import { printJson } from './output.ts';
import type { Call } from './verb.ts';

export async function inspectImage(call: Call): Promise<number> {
  const [name = ''] = call.operands;
  const store = await openStore(call);
  const { descriptor } = await theImage(store, name);
  const image = openImage(store, descriptor);
  const { manifest, config } = image;
  const references = store
    .list()
    .flatMap(({ reference, descriptor: { digest } }) =>
      digest === descriptor.digest && reference !== undefined ? [parseReference(reference)] : [],
    );
  printJson([
    {
      Id: manifest.config.digest,
      RepoTags: references.filter(({ tag }) => tag !== undefined).map(shortReference),
      RepoDigests: [
        ...new Set(
          references.map(({ registry, repository }) =>
            shortReference(
              parseReference(formatReference({ registry, repository, digest: descriptor.digest })),
            ),
          ),
        ),
      ],
      Created: config.created,
      Author: config.author,
      Architecture: config.architecture,
      Variant: config.variant,
      Os: config.os,
      Size: [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, 0),
      Config: config.config ?? {},
      RootFS: { Type: config.rootfs.type, Layers: config.rootfs.diff_ids },
      Annotations: manifest.annotations,
      Descriptor: image.descriptor,
      Manifest: manifest,
    },
  ]);
  store.release();
  return 0;
}
