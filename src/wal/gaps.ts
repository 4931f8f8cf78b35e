import type { SegmentRun } from '../../catalog/catalog.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import type { ArchiveView } from './archive-view.ts';
import { pathViews } from './archive-view.ts';
import { type CoveredRun, type PathStep, timelineOfSegment } from './path-coverage.ts';
import { withoutRuns } from './segment-runs.ts';

/** Segments that are missing between others of the same history, and that retention did not remove. */
export type WalGap = SegmentRun;

/** What is missing along any path, each segment once: ascending by timeline and segment. */
export function findGaps(archive: ArchiveView): readonly WalGap[] {
  const found = pathViews(archive)
    .flatMap((view) => gapsBetween(view.runs, view.path, archive))
    .sort((a, b) => a.timeline - b.timeline || (a.first < b.first ? -1 : 1));
  const gaps: { timeline: TimelineId; first: bigint; last: bigint }[] = [];
  for (const gap of found) {
    const before = gaps.at(-1);
    // The path to a later timeline sees only the part of a gap up to where it branches off.
    if (before?.timeline !== gap.timeline || gap.first > before.last + 1n) gaps.push({ ...gap });
    else if (gap.last > before.last) before.last = gap.last;
  }
  return gaps;
}

/** The holes between consecutive runs of a path, cut where it passes to another timeline. */
export function gapsBetween(
  runs: readonly CoveredRun[],
  path: readonly PathStep[],
  archive: Pick<ArchiveView, 'segmentBytes' | 'expired'>,
): readonly WalGap[] {
  return withoutRuns(missingBetween(runs, path, archive), archive.expired ?? []);
}

/** Whatever is not there between consecutive runs, by whose hand ever. */
export function missingBetween(
  runs: readonly CoveredRun[],
  path: readonly PathStep[],
  { segmentBytes }: Pick<ArchiveView, 'segmentBytes'>,
): readonly SegmentRun[] {
  return runs.slice(1).flatMap((run, index) => {
    const before = runs[index];
    if (before === undefined) return [];
    return path.flatMap((step, at) => {
      const next = path[at + 1];
      const stepFrom = step.begin / BigInt(segmentBytes);
      const stepTo = next === undefined ? run.from - 1n : next.begin / BigInt(segmentBytes) - 1n;
      const first = before.to + 1n > stepFrom ? before.to + 1n : stepFrom;
      const last = run.from - 1n < stepTo ? run.from - 1n : stepTo;
      return first <= last ? [{ timeline: timelineOfSegment(path, first, segmentBytes), first, last }] : [];
    });
  });
}
