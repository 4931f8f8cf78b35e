import type { SegmentSpan } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { segmentStart } from '../postgres/wal-name.ts';
import { type ArchiveView, type CompleteBackup, pathViews, type PathView, runOfBackup } from './archive-view.ts';
import { gapsBetween, missingBetween, type WalGap } from './gaps.ts';
import { commonRuns } from './segment-runs.ts';

/** From where to where one timeline can be restored, by what one repository holds. */
export interface RecoveryWindow {
  readonly timeline: TimelineId;
  /** The oldest backup that recovery along this timeline can begin with. */
  readonly backup: CompleteBackup;
  /** End of the unbroken WAL behind the newest such backup. */
  readonly latestLsn: Lsn;
  /** Where the newest commit that can be reached is to be looked for, ascending. */
  readonly spans: readonly SegmentSpan[];
  /** What is missing in between: after a hole, recovery can only begin with a later backup. */
  readonly holes: readonly WalGap[];
  /** Older backups that can be restored to their own ends: retention has removed the WAL behind them. Oldest first. */
  readonly points: readonly CompleteBackup[];
}

/** One window per timeline that has WAL or a backup of its own and that some backup can reach; ascending. */
export function recoveryWindows(archive: ArchiveView): readonly RecoveryWindow[] {
  const own = new Set<TimelineId>([
    ...archive.ranges.map((range) => range.timeline),
    ...archive.backups.map((backup) => backup.facts.timeline),
  ]);
  return pathViews(archive)
    .filter((view) => own.has(view.timeline))
    .map((view) => windowOf(view))
    .filter((window) => window !== undefined)
    .sort((a, b) => a.timeline - b.timeline);
}

function windowOf(view: PathView): RecoveryWindow | undefined {
  const usable = view.backups.flatMap((backup) => {
    const run = runOfBackup(view, backup);
    return run === undefined ? [] : [{ backup, run }];
  });
  const indexes = usable.map(({ run }) => view.runs.indexOf(run));
  const last = Math.max(...indexes);
  // What lies before the last part that retention removed leads nowhere.
  const cut = lastCutBefore(view, last);
  const within = usable.filter(({ run }) => view.runs.indexOf(run) > cut);
  const oldest = within.at(-1);
  if (oldest === undefined) return undefined;
  const runs = view.runs.slice(view.runs.indexOf(oldest.run), last + 1);
  const newest = runs.at(-1) ?? oldest.run;
  return {
    timeline: view.timeline,
    backup: oldest.backup,
    latestLsn: segmentStart(newest.to + 1n, view.archive.segmentBytes),
    spans: newest.spans,
    holes: gapsBetween(runs, view.path, view.archive),
    points: usable
      .filter((one) => !within.includes(one))
      .map(({ backup }) => backup)
      .reverse(),
  };
}

/** The last run before this one behind which retention has removed something, by index; -1 without one. */
export function lastCutBefore({ runs, path, archive }: PathView, before: number): number {
  return runs.findLastIndex((_, index) => {
    if (index >= before) return false;
    const missing = missingBetween(runs.slice(index, index + 2), path, archive);
    return commonRuns(missing, archive.expired ?? []).length > 0;
  });
}
