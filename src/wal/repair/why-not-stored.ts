import type { SegmentRun } from '../../../catalog/catalog.ts';
import { segmentName } from '../../postgres/wal-name.ts';
import { lacksSegment } from './archive-state.ts';
import type { DirectorySource } from './directory-source.ts';
import { forkOf } from './node-history.ts';
import type { Repair } from './repair.ts';

/** Why a segment of a directory that nobody misses is not to be stored now; undefined: it may. */
export function whyNotStored(
  { archive, context }: Pick<Repair, 'archive' | 'context'>,
  source: DirectorySource,
  { timeline, first }: SegmentRun,
): string | undefined {
  const difference = source.differenceOn(timeline);
  if (difference !== undefined) return difference;
  if (timeline !== 1 && !archive.histories.has(timeline)) {
    return `the archive has no history of timeline ${timeline}, and does not go on with it`;
  }
  const { segmentBytes } = context.identity;
  const fork = forkOf(archive.histories, timeline, segmentBytes);
  if (fork === undefined || first < fork.segment || !lacksSegment(archive, fork.timeline, fork.segment)) {
    return undefined;
  }
  // PostgreSQL takes the older timeline's file where the newer one's is not there (XLogFileReadAnyTLI).
  const next = segmentName(fork.timeline, fork.segment, segmentBytes);
  return (
    `held back: a recovery along timeline ${fork.timeline} would read it as long as ${next} is not in the archive; ` +
    'on the new primary: select pg_switch_wal(), then repair again'
  );
}
