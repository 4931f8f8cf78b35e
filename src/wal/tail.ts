import type { RepositoryName, SegmentRun } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import type { WalIndexFound } from '../postgres/wal-index-builder.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import type { ArchiveView, WalPlace } from './archive-view.ts';

/** A segment that continues the archive, but stands outside of it: whole, or as far as it has come. */
export interface TailSegment {
  readonly name: WalFileName;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  readonly isWhole: boolean;
  /** Stored as far as it had come in this repository; undefined: in the receiver's spool. */
  readonly storedIn: RepositoryName | undefined;
  /** The file of the spool, when it was put aside there. */
  readonly keptAs?: string | undefined;
  /** Where its last whole record ends, and where that begins; no record may begin in what has come. */
  readonly end: Lsn;
  readonly lastRecord: Lsn | undefined;
  readonly index: WalIndexFound;
  /** Commits and aborts of the transaction that was looked for; ascending. */
  readonly transactionEnds: readonly WalPlace[];
}

/** Of each segment what goes furthest. */
export function furthest(tail: readonly TailSegment[]): readonly TailSegment[] {
  const byName = new Map<WalFileName, TailSegment>();
  for (const one of tail) {
    const known = byName.get(one.name);
    if (known === undefined || known.end < one.end) byName.set(one.name, one);
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * What of the tail this archive does not hold: it may have been stored since. A segment in which no record begins adds
 * nothing that a plan could aim at.
 */
export function newIn(archive: ArchiveView, tail: readonly TailSegment[]): readonly TailSegment[] {
  return tail.filter(
    ({ timeline, segment, lastRecord }) =>
      lastRecord !== undefined &&
      !archive.ranges.some((range) => range.timeline === timeline && range.first <= segment && segment <= range.last),
  );
}

/** The archive as if it held the tail. */
export function withTail(archive: ArchiveView, tail: readonly TailSegment[]): ArchiveView {
  const rangeOf = ({ timeline, segment }: TailSegment): SegmentRun => {
    return { timeline, first: segment, last: segment };
  };
  const whole = tail.filter(({ isWhole }) => isWhole).map(rangeOf);
  const unfinished = tail.filter(({ isWhole }) => !isWhole).map(rangeOf);
  return { ...archive, ranges: [...archive.ranges, ...whole, ...unfinished].sort(byPlace), unfinished };
}

function byPlace(a: SegmentRun, b: SegmentRun): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  return a.first < b.first ? -1 : 1;
}
