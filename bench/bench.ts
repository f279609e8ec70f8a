/** One bench: what it is called on the command line, and how it yields its metrics. */
export type Metrics = Readonly<Record<string, number>>;

export interface Bench {
  readonly name: string;
  /** One line for the listing. */
  readonly what: string;
  run(): Promise<Metrics>;
}

/** Three significant digits are more than these measurements carry. */
export function rounded(metrics: Readonly<Record<string, number | undefined>>): Metrics {
  const result: Record<string, number> = {};
  for (const [name, value] of Object.entries(metrics)) {
    if (value !== undefined) result[name] = Number(value.toPrecision(3));
  }
  return result;
}
