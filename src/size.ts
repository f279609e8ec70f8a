/** Amounts of bytes as users write them. */

const UNITS = ['', 'k', 'm', 'g', 't'];

/** "512m", "10g", "1048576", with powers of 1024 and an optional "b", as Docker takes them. undefined: it is none. */
export function parseBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,15})([kmgt]?)b?$/.exec(text.toLowerCase()) ?? [];
  if (digits === undefined) return undefined;
  const bytes = Number(digits) * 1024 ** UNITS.indexOf(unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
