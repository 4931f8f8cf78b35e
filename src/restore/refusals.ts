import { WaldenError } from '../errors.ts';
import { formatLsn, type Lsn, type TimelineId } from '../postgres/lsn.ts';
import { describeMicros, formatMicros } from '../postgres/timestamp.ts';
import { segmentName, segmentNumber, segmentStart } from '../postgres/wal-name.ts';
import {
  type ArchiveView,
  backupSegments,
  type CompleteBackup,
  type PathView,
  runOfBackup,
  type WalPlace,
} from '../wal/archive-view.ts';
import type { Candidate, CandidateFacts } from './choose.ts';
import { timelineOfSegment } from '../wal/path-coverage.ts';
import { describeTarget, type RecoveryTarget } from './target.ts';

/**
 * Why a target cannot be reached, each with the nearest one that can: in the hint for the operator, and in
 * `details.nearest` for programs.
 */
export type Nearest =
  | { readonly kind: 'time'; readonly value: string }
  | { readonly kind: 'lsn'; readonly value: string }
  | { readonly kind: 'latest'; readonly value: string | undefined };

export function noBackup({ repository, cluster }: Pick<ArchiveView, 'repository' | 'cluster'>): WaldenError {
  return new WaldenError(
    'TARGET_UNREACHABLE',
    `repository ${repository} holds no complete backup of cluster ${cluster}`,
    { hint: `take one with: walden backup ${cluster}` },
  );
}

export function noBackupOnPath({ archive, timeline }: PathView): WaldenError {
  if (archive.backups.length === 0) return noBackup(archive);
  const others = [...new Set(archive.backups.map(({ facts }) => facts.timeline))].join(', ');
  return new WaldenError(
    'TARGET_UNREACHABLE',
    `no backup can be recovered along timeline ${timeline}: the backups are of timeline ${others} and not of its history`,
    { hint: `name another one: --timeline ${others}`, details: { timeline } },
  );
}

/** A named timeline that the archive knows nothing of, or whose history file it lacks. */
export function timelineUnknown(
  archive: ArchiveView,
  timeline: TimelineId | undefined,
  views: readonly PathView[],
): WaldenError {
  const held = archive.ranges.some((range) => range.timeline === timeline);
  const fact = held ? 'the archive holds WAL of it, but not its history file' : 'the archive holds nothing of it';
  return new WaldenError('TARGET_UNREACHABLE', `there is no way to timeline ${timeline ?? 'of the backup'}: ${fact}`, {
    hint: `timelines that can be reached: ${views.map((view) => view.timeline).join(', ')}`,
    details: { timeline, repository: archive.repository },
  });
}

/** The target lies before the end of every backup. */
export function tooEarly(view: PathView, target: RecoveryTarget, places: readonly WalPlace[]): WaldenError {
  const usable = view.backups.filter((backup) => runOfBackup(view, backup) !== undefined);
  const oldest = (usable.length === 0 ? view.backups : usable).at(-1);
  if (oldest === undefined) return noBackupOnPath(view);
  const { stoppedAt, stopLsn } = oldest.facts;
  const byLsn = target.kind === 'lsn';
  const nearest: Nearest = byLsn
    ? { kind: 'lsn', value: formatLsn(stopLsn) }
    : { kind: 'time', value: formatMicros(stoppedAt) };
  const first = places[0];
  const where = first === undefined ? '' : ` (${describeMicros(first.time)}, LSN ${formatLsn(first.end)})`;
  return new WaldenError(
    'TARGET_UNREACHABLE',
    `${describeTarget(target)}${where} lies before the end of the oldest backup that could serve it: ` +
      `${oldest.id} ended at ${describeMicros(stoppedAt)}, LSN ${formatLsn(stopLsn)}`,
    {
      hint: `the nearest that can be reached is --${nearest.kind} ${byLsn ? nearest.value : `'${describeMicros(stoppedAt)}'`}`,
      details: { nearest, timeline: view.timeline, repository: view.archive.repository },
    },
  );
}

/** A restore point or transaction that the archived WAL does not hold. */
export function placeMissing(view: PathView, target: RecoveryTarget): WaldenError {
  const what =
    target.kind === 'xid'
      ? `transaction ${target.xid} neither commits nor aborts`
      : `there is no ${describeTarget(target)}`;
  return new WaldenError(
    'TARGET_UNREACHABLE',
    `${what} in the WAL archived along timeline ${view.timeline} in repository ${view.archive.repository}`,
    {
      hint: 'if it is recent, have its WAL archived first: select pg_switch_wal(); else use --time or --latest',
      details: { nearest: { kind: 'latest', value: undefined } satisfies Nearest, timeline: view.timeline },
    },
  );
}

/** The newest backup that would do, without the WAL that makes it consistent. */
export function backupLacksWal(view: PathView, backup: CompleteBackup): WaldenError {
  const { from, to } = backupSegments(backup);
  const usable = view.backups.find((one) => runOfBackup(view, one) !== undefined);
  const nearest: Nearest | undefined = usable && { kind: 'time', value: formatMicros(usable.facts.stoppedAt) };
  return new WaldenError(
    'ARCHIVE_GAP',
    `backup ${backup.id} lacks WAL between its start and its stop: ${missingWithin(view, from, to)}`,
    {
      ...(usable && { hint: `the nearest that can be reached is --time '${describeMicros(usable.facts.stoppedAt)}'` }),
      details: { nearest, backup: backup.id, timeline: view.timeline, repository: view.archive.repository },
    },
  );
}

/** Where the path's own segment is missing, PostgreSQL would read an older timeline's, beyond the fork. */
export function wouldMix({ view, run }: Candidate, older: TimelineId): WaldenError {
  const missing = missingBetween(view, run.to + 1n, run.to + 1n);
  return new WaldenError(
    'ARCHIVE_GAP',
    `${missing}, while timeline ${older} has gone on: recovery along timeline ${view.timeline} would mix the two`,
    {
      hint: `wait until it is archived (select pg_switch_wal() there), name a target before it, or add --timeline ${older}`,
      details: { timeline: view.timeline, older, repository: view.archive.repository },
    },
  );
}

/** The WAL that follows the backup without a hole ends before the target. */
export function tooLate({ view, backup, run }: Candidate, target: RecoveryTarget, facts: CandidateFacts): WaldenError {
  const next = view.runs.find(({ from }) => from > run.to);
  const nearest = latestReachable(target, run.to, view, facts);
  const hole = next && missingBetween(view, run.to + 1n, next.from - 1n);
  const end = endOfWal(target, backup, facts, formatLsn(endOf(view, run.to)));
  const message =
    hole === undefined
      ? `${describeTarget(target)} is not covered by the archived WAL of timeline ${view.timeline}: ${end}`
      : `${describeTarget(target)} lies behind a hole in the WAL of timeline ${view.timeline}: ${hole}; before it, ${end}`;
  // A later backup, beyond the hole, would be taken for --latest alone.
  const from = hole === undefined ? '' : ` --backup ${backup.id}`;
  const commit = facts.lastCommit === undefined ? '' : ` (last commit ${describeMicros(facts.lastCommit)})`;
  const reach = nearest.kind === 'lsn' ? `--lsn ${nearest.value}` : `--latest${from}${commit}`;
  // What was removed on purpose is not lost.
  const isLost = next !== undefined && !isExpired(view, run.to + 1n, next.from - 1n);
  return new WaldenError(isLost ? 'ARCHIVE_GAP' : 'TARGET_UNREACHABLE', message, {
    hint: `the nearest that can be reached is ${reach}`,
    details: {
      nearest,
      backup: backup.id,
      timeline: view.timeline,
      repository: view.archive.repository,
      lastCommit: facts.lastCommit === undefined ? null : formatMicros(facts.lastCommit),
    },
  });
}

function latestReachable(target: RecoveryTarget, to: bigint, view: PathView, facts: CandidateFacts): Nearest {
  if (target.kind === 'lsn' && facts.lastRecord !== undefined && segmentNumber(target.lsn, sizeOf(view)) === to) {
    return { kind: 'lsn', value: formatLsn(facts.lastRecord) };
  }
  return { kind: 'latest', value: facts.lastCommit === undefined ? undefined : formatMicros(facts.lastCommit) };
}

function endOfWal(target: RecoveryTarget, backup: CompleteBackup, facts: CandidateFacts, endLsn: string): string {
  const commit = facts.lastCommit === undefined ? undefined : describeMicros(facts.lastCommit);
  if (target.kind === 'lsn') {
    return facts.lastRecord === undefined || facts.lastRecord >= target.lsn
      ? `it ends at ${endLsn}`
      : `its last record begins at ${formatLsn(facts.lastRecord)}`;
  }
  return commit === undefined ? `no transaction ends after backup ${backup.id}` : `its last commit is of ${commit}`;
}

/** The missing segments of a hole in words, with their names. */
export function missingBetween(view: PathView, from: bigint, to: bigint): string {
  const name = (segment: bigint): string =>
    segmentName(timelineOfSegment(view.path, segment, sizeOf(view)), segment, sizeOf(view));
  const one = from === to;
  const what = one ? `segment ${name(from)}` : `segments ${name(from)} to ${name(to)}`;
  if (isExpired(view, from, to)) return `${what} ${one ? 'was' : 'were'} removed by retention`;
  return `${what} ${one ? 'is' : 'are'} missing`;
}

/** Whether it was retention that removed all of these. */
function isExpired({ archive, path }: PathView, from: bigint, to: bigint): boolean {
  const ends = [from, to].map((segment) => timelineOfSegment(path, segment, archive.segmentBytes));
  const expired = archive.expired ?? [];
  return expired.some(
    ({ timeline, first, last }) => ends.every((end) => end === timeline) && first <= from && to <= last,
  );
}

/** The first hole between two segments that should both be there. */
function missingWithin(view: PathView, from: bigint, to: bigint): string {
  let first = from;
  for (const run of view.runs) if (run.from <= first && first <= run.to) first = run.to + 1n;
  const next = view.runs.find((run) => run.from > first);
  return missingBetween(view, first, next === undefined || next.from > to ? to : next.from - 1n);
}

function endOf(view: PathView, segment: bigint): Lsn {
  return segmentStart(segment + 1n, sizeOf(view));
}

function sizeOf(view: PathView): PathView['archive']['segmentBytes'] {
  return view.archive.segmentBytes;
}
