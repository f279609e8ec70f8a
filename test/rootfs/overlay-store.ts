/** A folder as Docker's overlay2 keeps it: layers named by 64 digits, links to them in l/. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

export interface MountedContainer {
  readonly rootfs: string;
  /** Its folder for what the container writes. */
  readonly upper: string;
}

export class OverlayStore {
  readonly path: string;
  readonly #mounted: string[] = [];
  #next = 1;

  constructor(path: string) {
    this.path = join(path, 'overlay2');
    fs.mkdirSync(join(this.path, 'l'), { recursive: true });
  }

  layer(fill: (folder: string) => void, suffix = ''): string {
    const name = `${(this.#next++).toString(16).padStart(64, '0')}${suffix}`;
    const folder = join(this.path, name, 'diff');
    fs.mkdirSync(folder, { recursive: true });
    fill(folder);
    fs.symlinkSync(`../${name}/diff`, join(this.path, 'l', this.#link(folder)));
    return folder;
  }

  /** Docker's own layer over the image, and an upper one: mounted. */
  container(lowerTopFirst: readonly string[], { relative = false } = {}): MountedContainer {
    const init = this.layer((folder) => {
      for (const name of ['dev', 'etc']) fs.mkdirSync(join(folder, name));
      for (const name of ['.dockerenv', 'dev/console', 'etc/hosts', 'etc/resolv.conf']) {
        fs.writeFileSync(join(folder, name), '');
      }
      fs.symlinkSync('/proc/mounts', join(folder, 'etc/mtab'));
    }, '-init');
    const upper = this.layer(() => undefined);
    const own = dirname(upper);
    const rootfs = join(own, 'merged');
    fs.mkdirSync(rootfs);
    fs.mkdirSync(join(own, 'work'));
    const base = relative ? '' : `${this.path}/`;
    const lower = [init, ...lowerTopFirst].map((layer) => `${base}l/${this.#link(layer)}`).join(':');
    const options = `lowerdir=${lower},upperdir=${own}/diff,workdir=${own}/work`;
    execFileSync('mount', ['-t', 'overlay', '-o', options, 'overlay', rootfs], { cwd: this.path });
    this.#mounted.push(rootfs);
    return { rootfs, upper };
  }

  unmount(): void {
    for (const rootfs of this.#mounted.splice(0)) execFileSync('umount', [rootfs]);
  }

  #link(layer: string): string {
    return `L${dirname(layer)
      .slice(this.path.length + 1)
      .replace(/^0+/, '')}`;
  }
}
