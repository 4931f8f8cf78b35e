import type { CommitBounds, SegmentSpan } from '../../catalog/catalog.ts';
import { isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { describeMicros, type Micros } from '../postgres/timestamp.ts';
import { segmentNumber } from '../postgres/wal-name.ts';
import {
  type ArchiveView,
  backupSegments,
  newestFirst,
  type PathView,
  pathViews,
  type WalPlace,
} from '../wal/archive-view.ts';
import { type Candidate, type CandidateFacts, type Choice, newestCandidate, settle } from './choose.ts';
import { spansBetween, timelineOfSegment } from '../wal/path-coverage.ts';
import * as refusal from './refusals.ts';
import type { RecoveryTarget, TargetChoice } from './target.ts';

/** What the decision asks about the WAL of one repository. */
export interface ArchiveLookups {
  commitBounds(span: SegmentSpan): Promise<CommitBounds>;
  firstSegmentWithCommitAfter(span: SegmentSpan, time: Micros, orEqual: boolean): Promise<bigint | undefined>;
  /** With the timeline of the segment that each was found in; ascending. */
  restorePoints(name: string): Promise<readonly (WalPlace & { readonly timeline: TimelineId })[]>;
  /** Commits and aborts of this transaction in these segments, which follow one another; ascending. */
  transactionEnds(spans: readonly SegmentSpan[], xid: number): Promise<readonly WalPlace[]>;
  /** Where the last whole record of the segment begins; undefined when that cannot be told. */
  lastRecord(timeline: TimelineId, segment: bigint): Promise<Lsn | undefined>;
}

/**
 * What recovery to this target begins with and passes through, in one repository.
 *
 * Without a named timeline it is the newest that a backup leads to, as PostgreSQL's own default; for `immediate` the
 * backup's own. Another timeline is never taken silently: it may be a history that the operator gave up.
 * @throws TARGET_UNREACHABLE, ARCHIVE_GAP: why not, and the nearest that can be reached
 */
export async function decide(archive: ArchiveView, choice: TargetChoice, lookups: ArchiveLookups): Promise<Choice> {
  const views = pathViews(archive);
  const view = selectView(views, archive, choice);
  try {
    const decided = await attempt(view, choice.target, lookups);
    const notes = choice.target.kind === 'latest' ? await laterElsewhere(views, decided, lookups) : [];
    return { ...decided, notes: [...decided.notes, ...notes] };
  } catch (error) {
    if (choice.timeline !== undefined || !isWaldenError(error, 'TARGET_UNREACHABLE', 'ARCHIVE_GAP')) throw error;
    throw await withOtherTimeline(error, views, view, choice.target, lookups);
  }
}

function selectView(views: readonly PathView[], archive: ArchiveView, choice: TargetChoice): PathView {
  const named = choice.timeline;
  const newest = [...archive.backups].sort(newestFirst)[0]?.facts.timeline;
  const view =
    named !== undefined
      ? views.find(({ timeline }) => timeline === named)
      : choice.target.kind === 'immediate' && newest !== undefined
        ? views.find(({ timeline }) => timeline === newest)
        : (views.find(({ backups }) => backups.length > 0) ?? views[0]);
  if (view !== undefined) return view;
  throw refusal.timelineUnknown(archive, named ?? newest, views);
}

async function attempt(view: PathView, target: RecoveryTarget, lookups: ArchiveLookups): Promise<Choice> {
  const places = await placesOf(view, target, lookups);
  const candidate = newestCandidate(view, target, places);
  return settle(candidate, target, places, await factsOf(candidate, target, lookups));
}

async function placesOf(view: PathView, target: RecoveryTarget, lookups: ArchiveLookups): Promise<readonly WalPlace[]> {
  if (target.kind === 'xid') return await transactionEnds(view, target.xid, lookups);
  if (target.kind !== 'name') return [];
  const size = view.archive.segmentBytes;
  const points = await lookups.restorePoints(target.name);
  return points.filter(({ end, timeline }) => {
    const segment = segmentNumber((end - 1n) as Lsn, size);
    return timelineOfSegment(view.path, segment, size) === timeline;
  });
}

/**
 * Walking segments costs, so the newest are searched first, and the search ends where a backup can serve what was found.
 * All ends of the transaction from there on are known then, and PostgreSQL stops at the first.
 */
async function transactionEnds(view: PathView, xid: number, lookups: ArchiveLookups): Promise<readonly WalPlace[]> {
  let places: readonly WalPlace[] = [];
  let to = view.runs.at(-1)?.to ?? -1n;
  const search = async (from: bigint): Promise<void> => {
    const found: WalPlace[] = [];
    // There may be thousands of backups and a hundred runs: only those that reach in here are asked for.
    for (const run of view.runs.filter((one) => one.from <= to && from <= one.to)) {
      found.push(...(await lookups.transactionEnds(spansBetween(run, from, to), xid)));
    }
    places = [...found, ...places];
    to = from - 1n;
  };
  for (const { facts } of [...view.backups].sort((a, b) => (a.facts.startLsn < b.facts.startLsn ? 1 : -1))) {
    await search(segmentNumber(facts.startLsn, view.archive.segmentBytes));
    const first = places.find(({ end }) => end > facts.startLsn);
    if (first !== undefined && first.end > facts.stopLsn) return places;
  }
  // Before every backup: only the refusal becomes clearer.
  await search(0n);
  return places;
}

async function factsOf(candidate: Candidate, target: RecoveryTarget, lookups: ArchiveLookups): Promise<CandidateFacts> {
  const { run, backup } = candidate;
  const spans = spansBetween(run, backupSegments(backup).from, run.to);
  return {
    lastCommit: await lastCommit(spans, lookups),
    commitAfter:
      target.kind === 'time' ? await firstCommitAfter(spans, target.time, !target.inclusive, lookups) : undefined,
    lastRecord: target.kind === 'lsn' ? await lastRecordBeside(candidate, target.lsn, lookups) : undefined,
  };
}

async function lastRecordBeside(
  { view, run }: Candidate,
  position: Lsn,
  lookups: ArchiveLookups,
): Promise<Lsn | undefined> {
  const size = view.archive.segmentBytes;
  const segment = segmentNumber(position, size);
  if (segment > run.to) return undefined;
  return await lookups.lastRecord(timelineOfSegment(view.path, segment, size), segment);
}

async function lastCommit(spans: readonly SegmentSpan[], lookups: ArchiveLookups): Promise<Micros | undefined> {
  let last: Micros | undefined;
  for (const span of spans) {
    const bounds = await lookups.commitBounds(span);
    if (bounds.last !== undefined && (last === undefined || bounds.last > last)) last = bounds.last;
  }
  return last;
}

async function firstCommitAfter(
  spans: readonly SegmentSpan[],
  time: Micros,
  orEqual: boolean,
  lookups: ArchiveLookups,
): Promise<bigint | undefined> {
  for (const span of spans) {
    const segment = await lookups.firstSegmentWithCommitAfter(span, time, orEqual);
    if (segment !== undefined) return segment;
  }
  return undefined;
}

/** The same refusal, with the timeline on which the target could be reached. */
async function withOtherTimeline(
  error: WaldenError,
  views: readonly PathView[],
  tried: PathView,
  target: RecoveryTarget,
  lookups: ArchiveLookups,
): Promise<WaldenError> {
  for (const view of views) {
    if (view === tried || view.backups.length === 0) continue;
    try {
      await attempt(view, target, lookups);
    } catch (other) {
      if (isWaldenError(other, 'TARGET_UNREACHABLE', 'ARCHIVE_GAP')) continue;
      throw toWaldenError(other);
    }
    return new WaldenError(error.code, error.message, {
      hint: `timeline ${view.timeline} reaches it: add --timeline ${view.timeline}`,
      details: { ...error.details, otherTimeline: view.timeline },
      cause: error,
    });
  }
  return error;
}

/** Commits on a timeline that recovery will not take, later than the last one that it will reach. */
async function laterElsewhere(
  views: readonly PathView[],
  { candidate, lastCommit: reached }: Choice,
  lookups: ArchiveLookups,
): Promise<readonly string[]> {
  const notes: string[] = [];
  for (const view of views) {
    const run = view.runs.at(-1);
    if (view === candidate.view || view.backups.length === 0 || run === undefined) continue;
    const last = await lastCommit(run.spans, lookups);
    if (last === undefined || (reached !== undefined && last <= reached)) continue;
    notes.push(
      `timeline ${view.timeline}, which is not taken, holds later commits, up to ${describeMicros(last)}: ` +
        `add --timeline ${view.timeline} to recover along it`,
    );
  }
  return notes;
}
