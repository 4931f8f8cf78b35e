import type { WalRange } from '../../catalog/catalog.ts';
import type { TimelineId } from '../postgres/lsn.ts';

/** Segments of one timeline; both ends included. */
export interface SegmentRun {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

type Ranges = readonly Pick<WalRange, 'timeline' | 'first' | 'last'>[];

/**
 * What one repository lacks of what another one holds, from the segment `from` on. Pure. Ascending by timeline and segment,
 * as the ranges are.
 */
export function missingSegments(source: Ranges, target: Ranges, from: bigint): readonly SegmentRun[] {
  return source.flatMap(({ timeline, first, last }) => {
    const begin = first < from ? from : first;
    return begin > last ? [] : [...without({ timeline, first: begin, last }, target)];
  });
}

/** The number of segments. */
export function countSegments(runs: readonly SegmentRun[]): number {
  return runs.reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0);
}

function* without(run: SegmentRun, held: Ranges): Generator<SegmentRun> {
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
