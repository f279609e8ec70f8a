/** As node:timers/promises has it, without one more module for every call of the command to load. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
