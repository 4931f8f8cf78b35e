import type { SegmentRun } from '../../catalog/catalog.ts';
import type { TimelineId } from '../postgres/lsn.ts';

/** Behind every segment that there can be: of 64 bits of LSN, with the smallest segments, 44 are left. */
export const END_OF_WAL = 1n << 44n;

/** What of the one runs is in none of the others. Pure; ascending as `runs`, which the others need not be. */
export function withoutRuns(runs: readonly SegmentRun[], others: readonly SegmentRun[]): readonly SegmentRun[] {
  const merged = mergedRuns(others);
  return runs.flatMap((run) => [...without(run, merged)]);
}

/** What is in both. Pure. */
export function commonRuns(runs: readonly SegmentRun[], others: readonly SegmentRun[]): readonly SegmentRun[] {
  return withoutRuns(runs, withoutRuns(runs, others));
}

/** The same segments as few runs as possible, ascending by timeline and segment. Pure. */
export function mergedRuns(runs: readonly SegmentRun[]): readonly SegmentRun[] {
  const merged: { timeline: TimelineId; first: bigint; last: bigint }[] = [];
  for (const { timeline, first, last } of [...runs].sort(byPlace)) {
    const before = merged.at(-1);
    if (before?.timeline !== timeline || first > before.last + 1n) merged.push({ timeline, first, last });
    else if (last > before.last) before.last = last;
  }
  return merged;
}

/** The number of segments. */
export function countSegments(runs: readonly SegmentRun[]): number {
  return runs.reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0);
}

/** Whether this segment is in one of them. */
export function holdsSegment(runs: readonly SegmentRun[], timeline: TimelineId, segment: bigint): boolean {
  return runs.some((run) => run.timeline === timeline && run.first <= segment && segment <= run.last);
}

/** `held`: ascending. */
function* without(run: SegmentRun, held: readonly SegmentRun[]): Generator<SegmentRun> {
  const { timeline, last } = run;
  let next = run.first;
  for (const range of held) {
    if (range.timeline !== timeline || range.last < next) continue;
    if (range.first > last) break;
    if (range.first > next) yield { timeline, first: next, last: range.first - 1n };
    next = range.last + 1n;
  }
  if (next <= last) yield { timeline, first: next, last };
}

function byPlace(a: SegmentRun, b: SegmentRun): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0;
}
