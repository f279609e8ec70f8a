/** `runnc rmi`: names go, and with its last name the image. */
import { errorMessage, RunncError } from '../src/errors.ts';
import { normalizeReference, parseReference, shortReference } from '../src/image/reference.ts';
import type { ImageStore, StoredImage } from '../src/image/store.ts';
import { pruneUnpacked, theImage, withStore } from './image-call.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

export async function run(call: Call): Promise<number> {
  const { options, operands, log } = call;
  let status = 0;
  await withStore(call, async (store) => {
    for (const name of operands) {
      try {
        await remove(store, name, options.flag('force'));
      } catch (error) {
        const isGone = error instanceof RunncError && error.code === 'NOT_FOUND' && options.flag('force');
        if (isGone) continue;
        log.error(errorMessage(error));
        status = 1;
      }
    }
    pruneUnpacked(store, (message) => {
      log.warn(message);
    });
  });
  return status;
}

async function remove(store: ImageStore, name: string, force: boolean): Promise<void> {
  const image = await theImage(store, name);
  const { digest } = image.descriptor;
  const names = namesOf(store, digest);
  if (isName(image, name)) {
    await store.untag(name);
    print(`Untagged: ${short(normalizeReference(name))}\n`);
    if (names.length > 1) return;
  } else {
    if (names.length > 1 && !force) {
      throw new RunncError(
        'STATE',
        `image ${name} has several names (${names.map(short).join(', ')}): remove them one by one, or use --force`,
      );
    }
    await store.remove(image.descriptor);
    for (const each of names) print(`Untagged: ${short(each)}\n`);
  }
  print(`Deleted: ${digest}\n`);
}

function namesOf(store: ImageStore, digest: string): string[] {
  return store
    .list()
    .flatMap(({ reference, descriptor }) =>
      descriptor.digest === digest && reference !== undefined ? [reference] : [],
    );
}

/** Not by its id. */
function isName({ reference }: StoredImage, name: string): boolean {
  try {
    return reference !== undefined && normalizeReference(name) === normalizeReference(reference);
  } catch {
    return false;
  }
}

function short(reference: string): string {
  return shortReference(parseReference(reference));
}
