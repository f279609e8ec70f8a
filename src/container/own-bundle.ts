/** A bundle that is made for one container: its files lie in the container's own folder and are deleted with it. */
import { writeFileSync } from 'node:fs';
import { errorMessage, RunncError } from '../errors.ts';
import { type Bundle, readBundle } from '../oci/bundle.ts';
import type { Spec } from '../oci/spec.ts';

export interface OwnBundle {
  /** root.path is absolute. Sources of mounts may name the files below. */
  readonly spec: Spec;
  /** What the content of the rootfs is known by to who gives the bundle: see OpenRootfsOptions. */
  readonly contentId?: string;
  /** Name → content. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Checked like one that somebody else has written. Throws INVALID, HOST. */
export function writeOwnBundle(folder: string, { spec, files = {} }: OwnBundle): Bundle {
  try {
    for (const [name, content] of Object.entries(files))
      writeFileSync(`${folder}/${name}`, content, { mode: 0o644 });
    writeFileSync(`${folder}/config.json`, JSON.stringify(spec), { mode: 0o600 });
  } catch (error) {
    throw new RunncError('HOST', `${folder}: cannot write the container's bundle: ${errorMessage(error)}`);
  }
  return readBundle(folder);
}
