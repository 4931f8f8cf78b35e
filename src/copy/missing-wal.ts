import type { SegmentRun, WalRange } from '../../catalog/catalog.ts';
import { withoutRuns } from '../wal/segment-runs.ts';

type Ranges = readonly Pick<WalRange, 'timeline' | 'first' | 'last'>[];

/**
 * What one repository lacks of what another one holds, from the segment `from` on. Pure. Ascending by timeline and segment,
 * as the ranges are.
 */
export function missingSegments(source: Ranges, target: Ranges, from: bigint): readonly SegmentRun[] {
  const wanted = source
    .map(({ timeline, first, last }) => ({ timeline, first: first < from ? from : first, last }))
    .filter(({ first, last }) => first <= last);
  return withoutRuns(wanted, target);
}
