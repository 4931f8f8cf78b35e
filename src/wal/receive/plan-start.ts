import { WaldenError } from '../../errors.ts';
import { formatLsn, type Lsn, type TimelineId } from '../../postgres/lsn.ts';
import { type SegmentBytes, segmentNumber } from '../../postgres/wal-name.ts';
import { type CoveredRun, type PathStep, timelineOfSegment } from '../path-coverage.ts';

/** A segment of the spool. */
export interface SpooledSegment {
  readonly timeline: TimelineId;
  readonly segment: bigint;
}

export interface StartKnown {
  /** The timelines that led to the one that the server is on. */
  readonly path: readonly PathStep[];
  readonly segmentBytes: SegmentBytes;
  /** Of the segment that was being received when the last session ended. */
  readonly partial: SpooledSegment | undefined;
  /** Of the last whole segment in the spool. */
  readonly finished: SpooledSegment | undefined;
  /** The last segment of the path that every required repository holds. */
  readonly archived: bigint | undefined;
  /** The first segment that the slot keeps on the server and that is neither in the spool nor in every required repository. */
  readonly missing: bigint | undefined;
  /** Where the WAL begins that the slot keeps on the server. */
  readonly slotRestart: Lsn | undefined;
  readonly serverFlushed: Lsn;
  /** The server said that it has this segment no more, nor any before. */
  readonly lost: bigint | undefined;
}

export interface PlannedStart {
  readonly timeline: TimelineId;
  /** Streamed from its first byte. */
  readonly segment: bigint;
  /** Segments that nobody has: neither the repositories, nor the spool, nor the server. Both ends included. */
  readonly gap: { readonly first: bigint; readonly last: bigint } | undefined;
}

/**
 * Where to go on: behind what the spool has, else behind what the repositories have, else where the slot begins, else in the
 * segment that the server is writing; but with what is missing before that: segments that come at once are stored in any
 * order, and a crash may leave out one. Where the server no longer has a segment, with the next of these that it may have.
 * @throws SERVER_MISMATCH when the server's history is not that of what was received
 */
export function planStart(known: StartKnown): PlannedStart {
  const { path, segmentBytes, lost, missing } = known;
  const spooled = nextOfSpool(known);
  const archived = known.archived === undefined ? undefined : known.archived + 1n;
  const slot = known.slotRestart === undefined ? undefined : segmentNumber(known.slotRestart, segmentBytes);
  const current = segmentNumber(known.serverFlushed, segmentBytes);
  const isThere = (one: bigint | undefined): one is bigint => one !== undefined && (lost === undefined || one > lost);
  const behind = [spooled, archived, slot].find(isThere) ?? current;
  const segment = isThere(missing) && missing < behind ? missing : behind;
  const wanted = largest(archived, spooled);
  return {
    timeline: timelineOfSegment(path, segment, segmentBytes),
    segment,
    gap: wanted === undefined || segment <= wanted ? undefined : { first: wanted, last: segment - 1n },
  };
}

/** The first segment from `from` on that neither each of `archives` has in its runs nor the spool has whole. */
export function firstMissing(
  from: bigint,
  archives: readonly (readonly CoveredRun[])[],
  spooled: ReadonlySet<bigint>,
): bigint {
  let segment = from;
  for (;;) {
    const ends = archives.flatMap((runs) => runs.find((run) => run.from <= segment && segment <= run.to)?.to ?? []);
    if (ends.length > 0 && ends.length === archives.length) {
      segment = ends.reduce((least, end) => (end < least ? end : least)) + 1n;
    } else if (spooled.has(segment)) segment += 1n;
    else return segment;
  }
}

/** Whether the path passes through this segment on this timeline. */
export function isOnPath(
  { path, segmentBytes }: Pick<StartKnown, 'path' | 'segmentBytes'>,
  one: SpooledSegment,
): boolean {
  return timelineOfSegment(path, one.segment, segmentBytes) === one.timeline;
}

function nextOfSpool(known: StartKnown): bigint | undefined {
  const { partial, finished } = known;
  return largest(
    partial === undefined ? undefined : onPath(known, partial.timeline, partial.segment),
    finished === undefined ? undefined : onPath(known, finished.timeline, finished.segment + 1n),
  );
}

/** The segment to go on with, for one that was wanted on this timeline: no later than where the server left the timeline. */
function onPath({ path, segmentBytes }: StartKnown, timeline: TimelineId, segment: bigint): bigint {
  const step = path.find((candidate) => candidate.timeline === timeline);
  const server = path.at(-1);
  if (step === undefined || server === undefined) {
    const at = server === undefined ? '' : `, which begins at ${formatLsn(server.begin)},`;
    throw new WaldenError(
      'SERVER_MISMATCH',
      `the server is on timeline ${server?.timeline ?? 0}${at} and does not come from timeline ${timeline}, of which there is WAL in the spool`,
      { hint: 'connect to the node that was promoted last; what is in the spool stays there' },
    );
  }
  if (step.end === undefined) return segment;
  const fork = segmentNumber(step.end, segmentBytes);
  return segment < fork ? segment : fork;
}

function largest(...segments: readonly (bigint | undefined)[]): bigint | undefined {
  return segments.reduce(
    (most, one) => (most === undefined || (one !== undefined && one > most) ? one : most),
    undefined,
  );
}
