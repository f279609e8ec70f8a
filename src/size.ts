/** Amounts of bytes as users write and read them. */

const UNITS = ['', 'k', 'm', 'g', 't'];

/** "512m", "10g", "1048576", with powers of 1024 and an optional "b", as Docker takes them. undefined: it is none. */
export function parseBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,15})([kmgt]?)b?$/.exec(text.toLowerCase()) ?? [];
  if (digits === undefined) return undefined;
  const bytes = Number(digits) * 1024 ** UNITS.indexOf(unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** As Docker shows sizes. */
export function decimalSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let power = 0;
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000;
    power++;
  }
  return `${power === 0 || value >= 100 ? String(Math.round(value)) : value.toPrecision(3)}${units[power] ?? ''}`;
}
