import type { SegmentRun } from '../../catalog/catalog.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import type { ArchiveView, PathView } from './archive-view.ts';
import { pathViews, runOfBackup } from './archive-view.ts';
import { type CoveredRun, type PathStep, timelineOfSegment } from './path-coverage.ts';
import { withoutRuns } from './segment-runs.ts';

/** Segments that are missing between others of the same history, or before its last fork, and that retention did not remove. */
export type WalGap = SegmentRun;

/**
 * What is missing along any path, each segment once: ascending by timeline and segment. A history file alone says that the
 * WAL before its fork was written: what the archive lacks of it is missing before anything of the new timeline has come.
 */
export function findGaps(archive: ArchiveView): readonly WalGap[] {
  return gapsOf(archive, runsToFork);
}

/** The same without what is missing before a fork behind which there is nothing: of an archive that is still being filled. */
export function findGapsInside(archive: ArchiveView): readonly WalGap[] {
  return gapsOf(archive, ({ runs }) => runs);
}

/**
 * What is missing on the way to the newest timeline behind the newest backup that can be recovered along it: nothing later is
 * reached until it is there, or another backup is. Ascending.
 */
export function gapsBehindBackup(archive: ArchiveView): readonly WalGap[] {
  const [view] = pathViews(archive);
  if (view === undefined) return [];
  const begin = view.backups.map((backup) => runOfBackup(view, backup)).find((run) => run !== undefined);
  if (begin === undefined) return [];
  const runs = runsToFork(view);
  return gapsBetween(runs.slice(runs.indexOf(begin)), view.path, archive);
}

/** With the segment that the last timeline forks off in, where the runs do not come so far. */
function runsToFork({ runs, path, archive }: PathView): readonly CoveredRun[] {
  const begin = path.at(-1)?.begin ?? 0n;
  const fork = begin / BigInt(archive.segmentBytes);
  const last = runs.at(-1);
  if (path.length === 1 || last === undefined || last.to >= fork - 1n) return runs;
  return [...runs, { from: fork, to: fork, spans: [] }];
}

function gapsOf(archive: ArchiveView, runsOf: (view: PathView) => readonly CoveredRun[]): readonly WalGap[] {
  const found = pathViews(archive)
    .flatMap((view) => gapsBetween(runsOf(view), view.path, archive))
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
