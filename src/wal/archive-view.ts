import type { BackupFacts, BackupRecord, ClusterName, RepositoryName, SegmentRun } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import type { Micros } from '../postgres/timestamp.ts';
import type { BrokenChain } from '../repository/backup-chain.ts';
import { type SegmentBytes, segmentNumber } from '../postgres/wal-name.ts';
import { type Ancestry, type CoveredRun, coveredRuns, pathOf, type PathStep } from './path-coverage.ts';

export interface CompleteBackup extends BackupRecord {
  readonly facts: BackupFacts;
}

/** What one repository holds of a cluster, as far as the choice of a restore needs it. */
export interface ArchiveView {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly segmentBytes: SegmentBytes;
  /** Those that can be restored: with an incremental one all that it builds on is there. */
  readonly backups: readonly CompleteBackup[];
  /** Those that cannot. */
  readonly broken?: readonly BrokenChain[];
  /** Of the history files; timeline 1 has none. */
  readonly histories: readonly Ancestry[];
  readonly ranges: readonly SegmentRun[];
  /** What is missing of them since retention removed it: nothing is lost there. */
  readonly expired?: readonly SegmentRun[];
  /** Those of the ranges, of one segment each, whose segment has not come to its end: only the last of a path can be that. */
  readonly unfinished?: readonly SegmentRun[];
}

/** The archive seen along the path to one timeline. */
export interface PathView {
  readonly archive: ArchiveView;
  readonly timeline: TimelineId;
  readonly path: readonly PathStep[];
  readonly runs: readonly CoveredRun[];
  /** Backups from which recovery along this path can begin, newest first. */
  readonly backups: readonly CompleteBackup[];
}

/** Where something stands in the WAL of a path. `end` is the end of its record. */
export interface WalPlace {
  readonly end: Lsn;
  readonly time: Micros;
}

/**
 * A path for each timeline whose history is known, newest timeline first. A later timeline without its history file is
 * left out: PostgreSQL refuses such a recovery_target_timeline.
 */
export function pathViews(archive: ArchiveView): readonly PathView[] {
  const known = new Map<TimelineId, Ancestry>(archive.histories.map((history) => [history.timeline, history]));
  const first = 1 as TimelineId;
  if (!known.has(first)) known.set(first, { timeline: first, ancestors: [] });
  return [...known.values()].sort((a, b) => b.timeline - a.timeline).map((ancestry) => pathView(archive, ancestry));
}

function pathView(archive: ArchiveView, ancestry: Ancestry): PathView {
  const path = pathOf(ancestry);
  return {
    archive,
    timeline: ancestry.timeline,
    path,
    runs: runsAlong(path, archive),
    backups: archive.backups.filter((backup) => liesOn(path, backup)).sort(newestFirst),
  };
}

/** An unfinished segment that others follow was never completed: what is missing of it is a hole. */
function runsAlong(
  path: readonly PathStep[],
  { ranges, unfinished, segmentBytes }: ArchiveView,
): readonly CoveredRun[] {
  const runs = coveredRuns(path, ranges, segmentBytes);
  const broken = unfinished?.filter(({ timeline, first: segment }) =>
    runs.some(({ spans, to }) => {
      const isIn = spans.some((span) => span.timeline === timeline && span.from <= segment && segment <= span.to);
      return isIn && segment < to;
    }),
  );
  if (broken === undefined || broken.length === 0) return runs;
  const left = ranges.filter((range) => !broken.includes(range));
  return coveredRuns(path, left, segmentBytes);
}

/** PostgreSQL refuses a backup that ends after the fork: "requested timeline is not a child of this server's history". */
export function liesOn(path: readonly PathStep[], { facts }: Pick<CompleteBackup, 'facts'>): boolean {
  const step = path.find(({ timeline }) => timeline === facts.timeline);
  return step !== undefined && step.begin <= facts.startLsn && (step.end === undefined || facts.stopLsn <= step.end);
}

/** By recorded time, as everything that orders backups; the position settles what the clock leaves open. */
export function newestFirst(a: CompleteBackup, b: CompleteBackup): number {
  if (a.facts.stoppedAt !== b.facts.stoppedAt) return b.facts.stoppedAt - a.facts.stoppedAt;
  if (a.facts.stopLsn !== b.facts.stopLsn) return a.facts.stopLsn < b.facts.stopLsn ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}

/** The segments that a backup cannot do without, both included: from its start to its stop. */
export function backupSegments(backup: CompleteBackup): { readonly from: bigint; readonly to: bigint } {
  const { startLsn, stopLsn, identity } = backup.facts;
  return {
    from: segmentNumber(startLsn, identity.segmentBytes),
    to: segmentNumber((stopLsn - 1n) as Lsn, identity.segmentBytes),
  };
}

/** The unbroken WAL that this backup begins in, or undefined when it lacks some of its own. */
export function runOfBackup(view: PathView, backup: CompleteBackup): CoveredRun | undefined {
  const { from, to } = backupSegments(backup);
  return view.runs.find((run) => run.from <= from && to <= run.to);
}
