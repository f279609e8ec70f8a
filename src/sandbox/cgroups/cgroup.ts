/** What a container's cgroups of both versions have in common: the way in, changed limits, the end. */
import { closeSync, constants, openSync } from '../../files.ts';
import type { Resources } from '../../oci/spec.ts';
import { errorMessage, RunncError } from '../../errors.ts';
import type { CgroupDoors, CgroupState, FreezerState } from './index.ts';
import { pidsBelow, removeAll, removeEmpty } from './tree.ts';

export abstract class Cgroup {
  /** Its paths become fewer where the host does not let us have them all. */
  protected current: CgroupState;

  constructor(state: CgroupState) {
    this.current = state;
  }

  get state(): CgroupState {
    return this.current;
  }

  async make(resources: Resources = {}): Promise<CgroupDoors | undefined> {
    if (this.current.systemd || this.current.rootless) return undefined;
    try {
      await this.makeLimited(resources);
      return this.openDoors();
    } catch (error) {
      removeEmpty(this.#directories());
      throw error;
    }
  }

  async enter(pid: number, resources: Resources = {}): Promise<void> {
    try {
      if (this.current.systemd) {
        const { startScope } = await import('./systemd.ts');
        await startScope(this.current, pid, resources);
      }
      await this.makeLimited(resources);
      await this.add(pid);
    } catch (error) {
      // Whatever is left is empty, or holds only the process that the caller ends now; the first error counts.
      await this.delete().catch(() => undefined);
      throw error;
    }
  }

  async update(resources: Resources): Promise<void> {
    if (this.current.systemd) {
      const { setScopeLimits } = await import('./systemd.ts');
      await setScopeLimits(this.current, resources);
    }
    await this.limit(resources);
  }

  /** Another container's limits, or its frozen state, must not become this one's. */
  refuseUsed(): void {
    const [pid] = this.pids();
    if (pid !== undefined) throw this.#refusal(`is not empty: it holds process ${pid}`);
    if (this.freezerState() !== 'thawed') throw this.#refusal('is frozen');
  }

  pids(): readonly number[] {
    const dir = this.membership();
    return dir === undefined ? [] : pidsBelow(dir);
  }

  async delete(): Promise<void> {
    if (this.current.systemd) {
      const { stopScope } = await import('./systemd.ts');
      await stopScope(this.current);
    }
    await removeAll(this.#directories());
  }

  entrances(): readonly number[] {
    const opened: number[] = [];
    try {
      for (const file of this.entranceFiles()) opened.push(openSync(file, constants.O_WRONLY));
      return opened;
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      throw new RunncError('HOST', `cgroups: cannot enter: ${errorMessage(error)}`, { cause: error });
    }
  }

  abstract add(pid: number): Promise<void>;
  abstract freezerState(): FreezerState;

  /** The directories, with the limits of config.json. */
  protected abstract makeLimited(resources: Resources): Promise<void>;
  protected abstract limit(resources: Resources): Promise<void>;
  protected abstract openDoors(): CgroupDoors;
  protected abstract entranceFiles(): readonly string[];
  /** The directory that is asked who is in the cgroup. */
  protected abstract membership(): string | undefined;

  #directories(): readonly string[] {
    return [...new Set(Object.values(this.current.paths))];
  }

  #refusal(why: string): RunncError {
    return new RunncError('STATE', `linux.cgroupsPath: the cgroup ${this.membership() ?? ''} ${why}`);
  }
}
