import type { TimelineId } from '../postgres/lsn.ts';
import type { ArchiveView } from './archive-view.ts';
import { pathViews } from './archive-view.ts';
import { type CoveredRun, type PathStep, timelineOfSegment } from './path-coverage.ts';

/** Segments that are missing between others of the same history; both ends included. */
export interface WalGap {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

/** What is missing along any path, each gap once: ascending by timeline and segment. */
export function findGaps(archive: ArchiveView): readonly WalGap[] {
  const gaps = new Map<string, WalGap>();
  for (const view of pathViews(archive)) {
    for (const gap of gapsBetween(view.runs, view.path, archive)) {
      gaps.set([gap.timeline, gap.first, gap.last].join(), gap);
    }
  }
  return [...gaps.values()].sort((a, b) => a.timeline - b.timeline || (a.first < b.first ? -1 : 1));
}

/** The holes between consecutive runs of a path, cut where it passes to another timeline. */
export function gapsBetween(
  runs: readonly CoveredRun[],
  path: readonly PathStep[],
  { segmentBytes }: Pick<ArchiveView, 'segmentBytes'>,
): readonly WalGap[] {
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
