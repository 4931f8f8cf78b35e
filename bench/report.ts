import { renderTable } from '../src/cli/render/table.ts';

/** One contender's figures of one round, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>;

export interface Contender {
  readonly name: string;
  readonly run: () => Promise<Figures>;
}

export interface Rounds {
  readonly rounds: number;
  /** Only contenders whose name matches. */
  readonly only: RegExp;
  /** Only clusters, or stores, whose name matches. */
  readonly clusters: RegExp;
  /** A directory of another disk than the cluster's, for what synchronous receivers write. */
  readonly receivers: string | undefined;
}

/** Rounds in turn (A B C A B C …), so that a machine that drifts drifts for all. @returns each one's medians */
export async function inTurn(
  everybody: readonly Contender[],
  { rounds, only }: Pick<Rounds, 'rounds' | 'only'>,
): Promise<ReadonlyMap<string, Figures>> {
  const contenders = everybody.filter(({ name }) => only.test(name));
  const all = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, run } of contenders) {
      process.stderr.write(`  round ${round} of ${rounds}: ${name} … `);
      const figures = await run();
      all.get(name)?.push(figures);
      const [first] = Object.entries(figures);
      process.stderr.write(first === undefined ? '\n' : `${first[0]} ${format(first[1])}\n`);
    }
  }
  return new Map([...all].map(([name, figures]) => [name, medians(figures)]));
}

function medians(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((figures) => figures[name] ?? Number.NaN))]));
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** The smallest value that `percent` of all do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

export function printFigures(title: string, results: ReadonlyMap<string, Figures>): void {
  const names = [...new Set([...results.values()].flatMap((figures) => Object.keys(figures)))];
  const columns = names.map((name) => ({
    heading: name,
    right: true as const,
    cell: ([, figures]: [string, Figures]) => (figures[name] === undefined ? '' : format(figures[name])),
  }));
  const shape = [{ heading: title, cell: ([name]: [string, Figures]) => name }, ...columns];
  console.log(`\n${renderTable(shape, [...results], Number.POSITIVE_INFINITY)}`);
}

export interface Bar {
  readonly what: string;
  readonly value: number;
  readonly least?: number;
  readonly most?: number;
}

/** Says for each bar whether it is reached. */
export function printBars(bars: readonly Bar[]): void {
  for (const { what, value, least, most } of bars) {
    if (Number.isNaN(value)) continue;
    const reached = (least === undefined || value >= least) && (most === undefined || value <= most);
    const bound = least === undefined ? `at most ${format(most ?? Number.NaN)}` : `at least ${format(least)}`;
    console.log(`${reached ? 'reached' : 'MISSED '}  ${what}: ${format(value)} (${bound})`);
  }
}

export function format(value: number): string {
  if (Number.isNaN(value)) return '-';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** NaN where it was not measured. */
export function figure(results: ReadonlyMap<string, Figures>, name: string, of: string): number {
  return results.get(name)?.[of] ?? Number.NaN;
}

/** A figure of `a` over the same of `b`, NaN where one was not measured. */
export function ratio(results: ReadonlyMap<string, Figures>, a: string, b: string, of: string): number {
  return figure(results, a, of) / figure(results, b, of);
}
