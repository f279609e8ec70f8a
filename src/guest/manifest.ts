/** A Solo5 application manifest: the devices a guest declares (tender/common/abi/solo5_notes.h). */
export type DeviceType = 'BLOCK_BASIC' | 'NET_BASIC';

export interface Device {
  /** 1 to 67 ASCII letters and digits. */
  readonly name: string;
  readonly type: DeviceType;
}

export interface Manifest {
  readonly version: 1;
  /** In the order of the note, the reserved first entry left out; at most 63. */
  readonly devices: readonly Device[];
}
