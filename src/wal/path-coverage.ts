import type { SegmentRun, SegmentSpan } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { type SegmentBytes, segmentNumber } from '../postgres/wal-name.ts';

/** One timeline of a path and the part of the WAL that is replayed from it: [begin, end). */
export interface PathStep {
  readonly timeline: TimelineId;
  readonly begin: Lsn;
  /** Where the next timeline of the path forks off; undefined for the last one. */
  readonly end: Lsn | undefined;
}

/** What a history file says: the timelines before this one and where each was left, oldest first. */
export interface Ancestry {
  readonly timeline: TimelineId;
  readonly ancestors: readonly { readonly timeline: TimelineId; readonly switchLsn: Lsn }[];
}

/** Segments of a path that are all there, one after the other; both ends included. */
export interface CoveredRun {
  readonly from: bigint;
  readonly to: bigint;
  /** The same segments by timeline, ascending. */
  readonly spans: readonly SegmentSpan[];
}

/** The timelines that recovery to this one passes through, oldest first. */
export function pathOf({ timeline, ancestors }: Ancestry): readonly PathStep[] {
  let begin = 0n as Lsn;
  const steps: PathStep[] = [];
  for (const ancestor of ancestors) {
    steps.push({ timeline: ancestor.timeline, begin, end: ancestor.switchLsn });
    begin = ancestor.switchLsn;
  }
  return [...steps, { timeline, begin, end: undefined }];
}

/**
 * The timeline whose file holds this segment of the path. The segment in which a timeline forks off is read from the new
 * timeline, which begins with a copy of the old one's bytes (XLogFileReadAnyTLI, XLogInitNewTimeline).
 */
export function timelineOfSegment(path: readonly PathStep[], segment: bigint, size: SegmentBytes): TimelineId {
  const step = path.findLast((candidate) => segmentNumber(candidate.begin, size) <= segment) ?? path[0];
  if (step === undefined) throw new RangeError('a path has at least one timeline');
  return step.timeline;
}

/**
 * The older timelines of the path whose file of this segment PostgreSQL would take if the right one is not there
 * (XLogFileReadAnyTLI tries the newest first, and then every older one that had begun by then).
 */
export function olderTimelinesOfSegment(
  path: readonly PathStep[],
  segment: bigint,
  size: SegmentBytes,
): readonly TimelineId[] {
  const begun = path.filter(({ begin }) => segmentNumber(begin, size) <= segment);
  return begun.slice(0, -1).map(({ timeline }) => timeline);
}

/** The unbroken runs of segments that the archive holds along a path, ascending. */
export function coveredRuns(
  path: readonly PathStep[],
  ranges: readonly SegmentRun[],
  size: SegmentBytes,
): readonly CoveredRun[] {
  const runs: { from: bigint; to: bigint; spans: SegmentSpan[] }[] = [];
  for (const span of coveredSpans(path, ranges, size)) {
    const last = runs.at(-1);
    if (last?.to === span.from - 1n) {
      last.to = span.to;
      last.spans.push(span);
    } else {
      runs.push({ from: span.from, to: span.to, spans: [span] });
    }
  }
  return runs;
}

/** The part of a run from one segment to another, by timeline. */
export function spansBetween(run: CoveredRun, from: bigint, to: bigint): readonly SegmentSpan[] {
  return run.spans
    .map(({ timeline, ...span }) => ({
      timeline,
      from: span.from > from ? span.from : from,
      to: span.to < to ? span.to : to,
    }))
    .filter((span) => span.from <= span.to);
}

function coveredSpans(
  path: readonly PathStep[],
  ranges: readonly SegmentRun[],
  size: SegmentBytes,
): readonly SegmentSpan[] {
  return path.flatMap((step, index) => {
    const next = path[index + 1];
    const from = segmentNumber(step.begin, size);
    const to = next === undefined ? undefined : segmentNumber(next.begin, size) - 1n;
    return ranges
      .filter((range) => range.timeline === step.timeline)
      .map((range) => ({
        timeline: step.timeline,
        from: range.first > from ? range.first : from,
        to: to === undefined || range.last < to ? range.last : to,
      }))
      .filter((span) => span.from <= span.to)
      .sort((a, b) => (a.from < b.from ? -1 : 1));
  });
}
