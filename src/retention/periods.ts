import { type Micros, formatMicros, micros } from '../postgres/timestamp.ts';

const DAY = 86_400_000_000;

/** Names the day, the week (by its Monday), the month or the year of a moment, in UTC. Sorts by time. */
export const PERIODS = {
  daily: (moment: Micros) => formatMicros(moment).slice(0, 10),
  // 1970-01-01 was a Thursday.
  weekly: (moment: Micros) =>
    formatMicros(micros(Math.floor((moment + 3 * DAY) / (7 * DAY)) * 7 * DAY - 3 * DAY)).slice(0, 10),
  monthly: (moment: Micros) => formatMicros(moment).slice(0, 7),
  yearly: (moment: Micros) => formatMicros(moment).slice(0, 4),
} as const satisfies Readonly<Record<string, (moment: Micros) => string>>;

/**
 * Of each of the newest `count` periods that have any, the first one that `prefers`, or else the first.
 * @param newestFirst in the order of their moments
 */
export function newestOfPeriods<Item>(
  newestFirst: readonly Item[],
  count: number,
  { periodOf, prefers }: { readonly periodOf: (item: Item) => string; readonly prefers: (item: Item) => boolean },
): readonly Item[] {
  const periods = new Map<string, Item[]>();
  for (const item of newestFirst) {
    const period = periodOf(item);
    const items = periods.get(period) ?? [];
    if (periods.size === count && items.length === 0) continue;
    periods.set(period, items);
    items.push(item);
  }
  return [...periods.values()].flatMap((items) => items.find(prefers) ?? items.slice(0, 1));
}
