/** What `state` prints and hooks read: runtime-spec runtime.md "State", with runc's extra keys. */
export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: Status;
  /** As seen by the reader; 0 when stopped. */
  readonly pid: number;
  /** Absolute. */
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The version of the specification this runtime implements. */
export const OCI_VERSION = '1.3.0';
