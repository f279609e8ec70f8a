/** A bundle that is made for one container: its files lie in the container's own folder and are deleted with it. */
import { writeFileSync } from '../files.ts';
import { errorMessage, RunncError } from '../errors.ts';
import { type Bundle, readBundle } from '../oci/bundle.ts';
import type { Spec } from '../oci/spec.ts';
import { makeOwnData } from './own-data.ts';

export interface OwnBundle {
  /** root.path is absolute. Sources of mounts may name the files below. */
  readonly spec: Spec;
  /** What the content of the rootfs is known by to who gives the bundle: see OpenRootfsOptions. */
  readonly contentId?: string;
  /** Name → content. */
  readonly files?: Readonly<Record<string, string>>;
  /** What it keeps on disk. */
  readonly data?: OwnData;
}

export interface OwnData {
  /** Absolute path of a folder that is made for it, and deleted with the container. */
  readonly folder: string;
  /** Puts there what the spec's mounts name. */
  readonly fill: () => Promise<void>;
}

/** Checked like one that somebody else has written. Throws INVALID, HOST. */
export async function writeOwnBundle(folder: string, { spec, files = {}, data }: OwnBundle): Promise<Bundle> {
  try {
    for (const [name, content] of Object.entries(files))
      writeFileSync(`${folder}/${name}`, content, { mode: 0o644 });
    writeFileSync(`${folder}/config.json`, JSON.stringify(spec), { mode: 0o600 });
  } catch (error) {
    throw new RunncError('HOST', `${folder}: cannot write the container's bundle: ${errorMessage(error)}`);
  }
  if (data !== undefined) {
    makeOwnData(folder, data.folder);
    await data.fill();
  }
  return readBundle(folder);
}
