import { OCI_VERSION } from '../src/oci/state.ts';

/** That of package.json (a test holds them together). */
export const VERSION = '0.1.0';

/** Put in by the build of the one-file program. */
declare const RUNNC_COMMIT: string | undefined;
export const COMMIT = typeof RUNNC_COMMIT === 'string' ? RUNNC_COMMIT : 'unknown';

/** `docker info` reads the first two lines. */
export function versionText(): string {
  return `runnc version ${VERSION}\ncommit: ${COMMIT}\nspec: ${OCI_VERSION}\n`;
}
