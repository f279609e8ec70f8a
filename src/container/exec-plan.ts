/** What `runnc exec` hands to its proxy (tender/control), as the bytes that tender/control/plan.c reads. */

export interface ProxyPlan {
  /** Of the sandbox: the proxy and the broker become it. Absent: they keep the caller's. */
  readonly uid?: number;
  /** In characters; the proxy makes a terminal of this size, 0 by 0 leaves the kernel's. Absent: none. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** How many cgroup files there are among the descriptors. */
  readonly taskFds: number;
  /** From encodeSessionRequest(). */
  readonly request: Uint8Array;
}

const MAGIC = 0x45584352;
const VERSION = 1;
const Flag = { DROP_IDS: 1, TERMINAL: 2 } as const;
const HEAD_BYTES = 32;

export function encodeProxyPlan({ uid, terminal, taskFds, request }: ProxyPlan): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(VERSION, 4);
  head.writeUInt32LE(
    (uid === undefined ? 0 : Flag.DROP_IDS) | (terminal === undefined ? 0 : Flag.TERMINAL),
    8,
  );
  head.writeUInt32LE(uid ?? 0, 12);
  head.writeUInt32LE(uid ?? 0, 16);
  head.writeUInt32LE(taskFds, 20);
  head.writeUInt16LE(terminal?.rows ?? 0, 24);
  head.writeUInt16LE(terminal?.columns ?? 0, 26);
  return Buffer.concat([head, request]);
}
