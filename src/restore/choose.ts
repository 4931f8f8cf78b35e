import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { segmentNumber } from '../postgres/wal-name.ts';
import { backupSegments, type CompleteBackup, type PathView, runOfBackup, type WalPlace } from '../wal/archive-view.ts';
import { type CoveredRun, olderTimelinesOfSegment, spansBetween, timelineOfSegment } from '../wal/path-coverage.ts';
import type { SegmentSpan } from '../../catalog/catalog.ts';
import * as refusal from './refusals.ts';
import type { RecoveryTarget } from './target.ts';

/**
 * The choice of a backup for a target along one path. Pure: what must be looked up comes as an argument.
 *
 * The rules are those of PostgreSQL 13 and later (xlogrecovery.c: recoveryStopsBefore, recoveryStopsAfter,
 * CheckRecoveryConsistency): a target that the WAL ends before is a FATAL ("recovery ended before configured recovery
 * target was reached"), and so is one before the end of the backup ("requested recovery stop point is before consistent
 * recovery point").
 */
export interface Candidate {
  readonly view: PathView;
  readonly backup: CompleteBackup;
  readonly run: CoveredRun;
}

/** What was looked up in the WAL from the candidate's backup to the end of its run. */
export interface CandidateFacts {
  readonly lastCommit: Micros | undefined;
  /** For a time: the first segment that holds a commit after the target (not before it, when exclusive). */
  readonly commitAfter: bigint | undefined;
  /** For an LSN: where the last whole record of its segment begins, when that could be told. */
  readonly lastRecord: Lsn | undefined;
}

/** What recovery will do. */
export interface Choice {
  readonly candidate: Candidate;
  readonly lastCommit: Micros | undefined;
  /** The WAL that must be replayed, both segments included. */
  readonly from: bigint;
  readonly to: bigint;
  readonly spans: readonly SegmentSpan[];
  readonly notes: readonly string[];
}

/**
 * The newest backup of the path that can serve the target, as far as its beginning goes.
 * @param places where the restore point or the end of the transaction stands on this path, ascending.
 * @throws TARGET_UNREACHABLE (too early for every backup, or not in the WAL), ARCHIVE_GAP (the backups lack WAL)
 */
export function newestCandidate(view: PathView, target: RecoveryTarget, places: readonly WalPlace[]): Candidate {
  if (view.backups.length === 0) throw refusal.noBackupOnPath(view);
  if ((target.kind === 'name' || target.kind === 'xid') && places.length === 0) {
    throw refusal.placeMissing(view, target);
  }
  const early = view.backups.filter((backup) => endsBefore(backup, target, places));
  const backup = early.find((one) => runOfBackup(view, one) !== undefined);
  const run = backup && runOfBackup(view, backup);
  if (backup !== undefined && run !== undefined) return { view, backup, run };
  const [broken] = early;
  if (broken !== undefined) throw refusal.backupLacksWal(view, broken);
  throw refusal.tooEarly(view, target, places);
}

/** Whether recovery is consistent when it meets the target. */
function endsBefore({ facts }: CompleteBackup, target: RecoveryTarget, places: readonly WalPlace[]): boolean {
  switch (target.kind) {
    case 'latest':
    case 'immediate':
      return true;
    case 'time':
      return facts.stoppedAt <= target.time;
    case 'lsn':
      return facts.stopLsn <= target.lsn;
    case 'name':
    case 'xid': {
      // PostgreSQL stops at the first one it meets, consistent or not.
      const first = places.find(({ end }) => end > facts.startLsn);
      return first !== undefined && first.end > facts.stopLsn;
    }
  }
}

/**
 * Whether the candidate's WAL reaches the target, and how much of it is needed.
 * @throws TARGET_UNREACHABLE (nothing that late is archived), ARCHIVE_GAP (there is, but behind missing segments)
 */
export function settle(
  candidate: Candidate,
  target: RecoveryTarget,
  places: readonly WalPlace[],
  facts: CandidateFacts,
): Choice {
  const { backup, run } = candidate;
  const own = backupSegments(backup);
  const reached = targetSegment(candidate, target, places, facts);
  if (reached === undefined) throw refusal.tooLate(candidate, target, facts);
  const mixed = target.kind === 'latest' ? olderFileBehind(candidate) : undefined;
  if (mixed !== undefined) throw refusal.wouldMix(candidate, mixed);
  const to = reached > own.to ? reached : own.to;
  const notes = [...holeNotes(candidate, target), ...repeatedNotes(candidate, target, places), ...pageNotes(backup)];
  return {
    candidate,
    lastCommit: facts.lastCommit,
    from: own.from,
    to,
    spans: spansBetween(run, own.from, to),
    notes,
  };
}

/** The segment in which recovery ends, or undefined when the run does not reach so far. */
function targetSegment(
  { view, backup, run }: Candidate,
  target: RecoveryTarget,
  places: readonly WalPlace[],
  facts: CandidateFacts,
): bigint | undefined {
  const within = (segment: bigint): bigint | undefined => (segment <= run.to ? segment : undefined);
  const size = view.archive.segmentBytes;
  switch (target.kind) {
    case 'latest':
      return run.to;
    case 'immediate':
      return backupSegments(backup).to;
    case 'time':
      return facts.commitAfter;
    case 'lsn': {
      // Recovery ends at the first record that begins at or after the target. Behind the last record of a segment (the
      // rest of a segment that was switched away from is empty) that is the first one of the next segment.
      const segment = segmentNumber(target.lsn, size);
      const behind = facts.lastRecord !== undefined && facts.lastRecord < target.lsn;
      return within(behind ? segment + 1n : segment);
    }
    case 'name':
    case 'xid': {
      const first = places.find(({ end }) => end > backup.facts.stopLsn);
      return first && within(segmentNumber((first.end - 1n) as Lsn, size));
    }
  }
}

/** The timeline whose file PostgreSQL would go on with where the run ends, although the path has left it by then. */
function olderFileBehind({ view, run }: Candidate): TimelineId | undefined {
  const next = run.to + 1n;
  const { ranges, segmentBytes } = view.archive;
  // Never back to a timeline older than the one of the file before (curFileTLI).
  const current = timelineOfSegment(view.path, run.to, segmentBytes);
  return olderTimelinesOfSegment(view.path, next, segmentBytes).findLast(
    (timeline) =>
      timeline >= current &&
      ranges.some((range) => range.timeline === timeline && range.first <= next && next <= range.last),
  );
}

function holeNotes({ view, run }: Candidate, target: RecoveryTarget): readonly string[] {
  const next = view.runs.find(({ from }) => from > run.to);
  if (next === undefined || target.kind !== 'latest') return [];
  return [
    `the WAL ends at a hole: ${refusal.missingBetween(view, run.to + 1n, next.from - 1n)}; ` +
      'what was archived after it cannot be reached from any backup before it',
  ];
}

function repeatedNotes({ backup }: Candidate, target: RecoveryTarget, places: readonly WalPlace[]): readonly string[] {
  const after = places.filter(({ end }) => end > backup.facts.stopLsn);
  if (target.kind !== 'name' || after.length < 2) return [];
  return [`${after.length} restore points "${target.name}" follow the backup: recovery stops at the first of them`];
}

function pageNotes({ id, facts }: CompleteBackup): readonly string[] {
  if (facts.corruptPages.length === 0) return [];
  const pages = facts.corruptPages.reduce((sum, { blocks }) => sum + blocks.length, 0);
  const files = facts.corruptPages.map(({ path }) => path);
  const shown = files.slice(0, 3).join(', ') + (files.length > 3 ? `, and ${files.length - 3} more files` : '');
  return [`backup ${id} holds ${pages} corrupt pages that the server had when it was taken: ${shown}`];
}
